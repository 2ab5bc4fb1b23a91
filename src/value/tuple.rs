//! Key encoding of single values, the same as Arrow's row format (`arrow-row`), without building a column for each.
//!
//! A value that is not null is a byte 1 and its big-endian bytes, sign flipped so that they compare as it does; a null
//! is as long and all zeros. A text is 2 and its bytes in blocks (four of 8, then blocks of 32), zero-padded, each
//! followed by 255, the last by the bytes that count in it; an empty text is a byte 1, a null one 0.

use super::{Scalar, Type};

const NULL: u8 = 0;
const VALID: u8 = 1;
const EMPTY_TEXT: u8 = 1;
const TEXT: u8 = 2;
const CONTINUED: u8 = 255;

/// Bytes of each of the first blocks of a text.
const SMALL: usize = 8;
/// Bytes of the first blocks together.
const SMALL_TOTAL: usize = 32;
/// Bytes of each later block.
const LARGE: usize = 32;

/// Appends the encoding of a value of a column of this type.
///
/// # Panics
/// If the value is neither null nor of that type (an int will do for a float).
pub(super) fn push(ty: Type, value: &Scalar, bytes: &mut Vec<u8>) {
    match (ty, value) {
        (Type::String, Scalar::Null) => bytes.push(NULL),
        (Type::Bool, Scalar::Null) => bytes.extend([NULL; 2]),
        (Type::Int | Type::Float | Type::Timestamp, Scalar::Null) => bytes.extend([NULL; 9]),
        (Type::String, Scalar::String(text)) => push_text(text.as_bytes(), bytes),
        (Type::Bool, Scalar::Bool(value)) => bytes.extend([VALID, u8::from(*value)]),
        (Type::Int, Scalar::Int(value)) | (Type::Timestamp, Scalar::Timestamp(value)) => push_int(*value, bytes),
        (Type::Float, Scalar::Float(value)) => push_float(*value, bytes),
        (Type::Float, Scalar::Int(value)) => push_float(*value as f64, bytes),
        (ty, value) => panic!("{value:?} is not of the key column's type {ty}"),
    }
}

fn push_int(value: i64, bytes: &mut Vec<u8>) {
    bytes.push(VALID);
    bytes.extend((value ^ i64::MIN).to_be_bytes());
}

/// Appends a float in the order of `total_cmp`: negative floats have all bits but the sign flipped.
fn push_float(value: f64, bytes: &mut Vec<u8>) {
    let bits = value.to_bits() as i64;
    push_int(bits ^ (((bits >> 63) as u64) >> 1) as i64, bytes);
}

fn push_text(text: &[u8], bytes: &mut Vec<u8>) {
    if text.is_empty() {
        bytes.push(EMPTY_TEXT);
        return;
    }
    bytes.push(TEXT);
    let (small, large) = text.split_at(text.len().min(SMALL_TOTAL));
    push_blocks(small, SMALL, bytes);
    if !large.is_empty() {
        *bytes.last_mut().expect("a block was just written") = CONTINUED;
        push_blocks(large, LARGE, bytes);
    }
}

/// Appends the blocks of a text; all but the last are marked as continued.
fn push_blocks(text: &[u8], size: usize, bytes: &mut Vec<u8>) {
    for block in text.chunks(size) {
        bytes.extend_from_slice(block);
        bytes.resize(bytes.len() + size - block.len(), 0);
        bytes.push(CONTINUED);
    }
    let rest = (text.len() - 1) % size + 1;
    *bytes.last_mut().expect("there is at least one block") = rest as u8;
}

/// Returns what follows the encoding of a value of a column of this type; `None` if it does not begin with one.
pub(super) fn skip(ty: Type, bytes: &[u8]) -> Option<&[u8]> {
    let width = match ty {
        Type::String => return skip_text(bytes),
        Type::Bool => 1,
        Type::Int | Type::Float | Type::Timestamp => 8,
    };
    let (value, rest) = bytes.split_at_checked(1 + width)?;
    let is_value = match value[0] {
        NULL => value[1..].iter().all(|byte| *byte == 0),
        VALID => ty != Type::Bool || value[1] <= 1,
        _ => false,
    };
    is_value.then_some(rest)
}

fn skip_text(bytes: &[u8]) -> Option<&[u8]> {
    let (first, mut rest) = bytes.split_first()?;
    match *first {
        NULL | EMPTY_TEXT => return Some(rest),
        TEXT => {}
        _ => return None,
    }
    let mut text = Vec::new();
    loop {
        let size = if text.len() < SMALL_TOTAL { SMALL } else { LARGE };
        let (block, after) = rest.split_at_checked(size + 1)?;
        rest = after;
        let (block, counted) = (&block[..size], block[size]);
        if counted == CONTINUED {
            text.extend_from_slice(block);
            continue;
        }
        let (known, padding) = block.split_at_checked(usize::from(counted))?;
        if known.is_empty() || padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        text.extend_from_slice(known);
        return std::str::from_utf8(&text).is_ok().then_some(rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::{ColumnBuilder, KeyCodec};

    fn scalar(ty: Type) -> BoxedStrategy<Scalar> {
        let value = match ty {
            Type::String => {
                "\\PC{0,80}|[a-c]{8}|[a-c]{31,33}|[a-c]{63,66}".prop_map(|text| Scalar::String(text.into())).boxed()
            }
            Type::Int => any::<i64>().prop_map(Scalar::Int).boxed(),
            Type::Float => any::<f64>().prop_map(Scalar::Float).boxed(),
            Type::Bool => any::<bool>().prop_map(Scalar::Bool).boxed(),
            Type::Timestamp => any::<i64>().prop_map(Scalar::Timestamp).boxed(),
        };
        prop_oneof![1 => Just(Scalar::Null), 6 => value].boxed()
    }

    fn tuples() -> impl Strategy<Value = (Vec<Type>, Vec<Scalar>)> {
        let ty = prop::sample::select(&Type::ALL[..]);
        prop::collection::vec(ty, 1..4).prop_flat_map(|types| {
            let values: Vec<_> = types.iter().map(|ty| scalar(*ty)).collect();
            (Just(types), values)
        })
    }

    proptest! {
        #[test]
        fn oracle_a_tuple_has_the_bytes_of_arrows_row_format((types, values) in tuples()) {
            let codec = KeyCodec::of_rows(&types);
            let columns: Vec<_> = types.iter().zip(&values).map(|(ty, value)| {
                let mut builder = ColumnBuilder::new(*ty);
                builder.append(value);
                builder.finish()
            }).collect();
            let (key, rows) = (codec.encode_one(&values), codec.encode(&columns));
            let row = rows.row(0);
            prop_assert_eq!(key.as_bytes(), row.as_ref());
        }

        #[test]
        fn only_the_bytes_of_a_tuple_are_admitted_and_those_decode(
            (types, values) in tuples(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
            cut: prop::sample::Index,
        ) {
            let codec = KeyCodec::of_rows(&types);
            let good = codec.encode_one(&values).as_bytes().to_vec();
            prop_assert!(codec.admits(&good));
            prop_assert!(!codec.admits(&good[..cut.index(good.len())]));
            let mut hostile = good;
            for (at, bit) in flips {
                let at = at.index(hostile.len());
                hostile[at] ^= 1 << bit;
            }
            if codec.admits(&hostile) {
                let scalars = codec.decode_one(&hostile);
                let again = codec.encode_one(&scalars);
                prop_assert_eq!(again.as_bytes(), &hostile[..]);
            }
        }
    }
}
