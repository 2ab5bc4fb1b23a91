//! Datatypes of tensors, and the values of binary tensors: little-endian, row-major, without padding.

use crate::serve::instance_table::TableCell;
use crate::value::Type;

/// A datatype of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

use TensorType::*;

impl TensorType {
    /// Every datatype.
    pub const ALL: [TensorType; 14] =
        [Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64, Bytes];

    /// The spelling in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Bool => "BOOL",
            Uint8 => "UINT8",
            Uint16 => "UINT16",
            Uint32 => "UINT32",
            Uint64 => "UINT64",
            Int8 => "INT8",
            Int16 => "INT16",
            Int32 => "INT32",
            Int64 => "INT64",
            Fp16 => "FP16",
            Bf16 => "BF16",
            Fp32 => "FP32",
            Fp64 => "FP64",
            Bytes => "BYTES",
        }
    }

    /// The spelling in model configurations.
    pub fn config_name(self) -> String {
        format!("TYPE_{}", if self == Bytes { "STRING" } else { self.name() })
    }

    /// The datatype of a name.
    pub fn find(name: &str) -> Option<TensorType> {
        TensorType::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The datatype in which metadata list a column. Times are text.
    pub fn of_column(ty: Type) -> TensorType {
        match ty {
            Type::Bool => Bool,
            Type::Int => Int64,
            Type::Float => Fp64,
            Type::String | Type::Timestamp => Bytes,
        }
    }

    /// The bytes of a value in a binary tensor; `None` for text, whose values have lengths of their own.
    pub fn width(self) -> Option<usize> {
        match self {
            Bool | Uint8 | Int8 => Some(1),
            Uint16 | Int16 | Fp16 | Bf16 => Some(2),
            Uint32 | Int32 | Fp32 => Some(4),
            Uint64 | Int64 | Fp64 => Some(8),
            Bytes => None,
        }
    }

    /// Returns the value in the bytes of a binary tensor, which are as many as the datatype is wide. NaN is null.
    pub fn decode(self, bytes: &[u8]) -> TableCell<'_> {
        let unsigned = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        // The sign of a narrower int is carried upwards.
        let unused = 64 - 8 * (bytes.len() as u32).min(8);
        let signed = unsigned.checked_shl(unused).map_or(0, |value| value as i64 >> unused);
        let float = match self {
            Bool => return TableCell::Bool(unsigned != 0),
            Uint8 | Uint16 | Uint32 | Uint64 => return TableCell::Unsigned(unsigned),
            Int8 | Int16 | Int32 | Int64 => return TableCell::Int(signed),
            Bytes => return std::str::from_utf8(bytes).map_or(TableCell::Null, TableCell::Text),
            Fp16 => half(unsigned as u16),
            Bf16 => f32::from_bits((unsigned as u32) << 16).into(),
            Fp32 => f32::from_bits(unsigned as u32).into(),
            Fp64 => f64::from_bits(unsigned),
        };
        if float.is_nan() { TableCell::Null } else { TableCell::Float(float) }
    }
}

/// Returns the value of a half-precision float: a sign, 5 bits of exponent, 10 of fraction (IEEE 754).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * (-24f64).exp2(),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * f64::from(exponent - 25).exp2(),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ty: TensorType, bytes: &[u8]) -> String {
        format!("{:?}", ty.decode(bytes))
    }

    #[test]
    fn binary_values_are_little_endian() {
        for (ty, bytes, expected) in [
            (Bool, &[1u8][..], "Bool(true)"),
            (Bool, &[0], "Bool(false)"),
            (Uint8, &[255], "Unsigned(255)"),
            (Int8, &[255], "Int(-1)"),
            (Int16, &[0, 128], "Int(-32768)"),
            (Uint16, &[1, 2], "Unsigned(513)"),
            (Int32, &(-7i32).to_le_bytes(), "Int(-7)"),
            (Uint32, &u32::MAX.to_le_bytes(), "Unsigned(4294967295)"),
            (Int64, &i64::MIN.to_le_bytes(), "Int(-9223372036854775808)"),
            (Uint64, &u64::MAX.to_le_bytes(), "Unsigned(18446744073709551615)"),
            (Fp32, &0.1f32.to_le_bytes(), "Float(0.10000000149011612)"),
            (Fp64, &(-0.1f64).to_le_bytes(), "Float(-0.1)"),
            (Fp64, &f64::NAN.to_le_bytes(), "Null"),
            (Fp64, &f64::INFINITY.to_le_bytes(), "Float(inf)"),
            (Bf16, &[0xc0, 0x3f], "Float(1.5)"),
            (Fp16, &[0x00, 0x3e], "Float(1.5)"),
            (Fp16, &[0xff, 0xfb], "Float(-65504.0)"),
            (Fp16, &[0x01, 0x00], "Float(5.960464477539063e-8)"),
            (Fp16, &[0x00, 0xfc], "Float(-inf)"),
            (Fp16, &[0x01, 0x7c], "Null"),
            (Bytes, "é".as_bytes(), "Text(\"é\")"),
        ] {
            assert_eq!(shown(ty, bytes), expected, "{ty:?} {bytes:?}");
        }
    }

    #[test]
    fn names_are_found_again_and_widths_are_those_of_the_names() {
        for ty in TensorType::ALL {
            assert_eq!(TensorType::find(ty.name()), Some(ty));
            let bits: String = ty.name().chars().filter(char::is_ascii_digit).collect();
            assert_eq!(
                ty.width().filter(|_| ty != Bool).map(|width| (8 * width).to_string()).unwrap_or_default(),
                bits
            );
        }
        assert_eq!([Bytes.config_name(), Fp64.config_name()], ["TYPE_STRING", "TYPE_FP64"]);
    }
}
