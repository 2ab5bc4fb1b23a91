//! Reader of plain JSON objects: fields that are texts without escapes, short numbers, booleans or nulls.
//!
//! Nearly all messages are such objects, and reading them takes a fraction of what a general parser takes. Everything
//! else, malformed text included, is left to the parser. A property test holds both to the same rows and faults.
//!
//! Successive messages mostly have the same fields in the same order. So the fields of the last object are remembered
//! ([`FieldOrder`]), and a name is looked up only if it is not the one at its place there. Texts and digits are read eight
//! bytes at a time.

use super::cell::Found;
use super::json_shape::{ObjectShape, ValueShape};

/// The most digits of an int, so that every value fits 64 bits.
const INT_DIGITS: usize = 18;

/// The most digits of a float: an f64 holds them exactly as an integer, so that one division rounds correctly.
const FLOAT_DIGITS: usize = 15;

/// Powers of ten that an f64 holds exactly.
const POWERS: [f64; FLOAT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Reads an object, which must be all of the text, and passes the value of each column to `write`, in the order of its
/// fields. Returns false as soon as the object turns out not to be plain, a field to stand for more than one column, or
/// `write` returns false. The values passed until then are those that the parser finds.
pub fn read_plain<'a>(
    shape: &ObjectShape,
    order: &mut FieldOrder,
    text: &'a str,
    write: impl FnMut(usize, &Found<'a>) -> bool,
) -> bool {
    Scanner { text, at: 0 }.object(shape, order, write).is_some()
}

/// The fields of the last object, in their order. They speed up look-ups and change no result.
#[derive(Debug, Default)]
pub struct FieldOrder(Vec<ExpectedField>);

/// A name and the field of the shape that has it, if one does.
#[derive(Debug)]
struct ExpectedField {
    /// The name between its quotes.
    quoted: Vec<u8>,
    field: Option<usize>,
}

impl FieldOrder {
    /// The most fields that are remembered.
    const FIELDS: usize = 256;
    /// The longest name that is remembered, in bytes.
    const NAME_BYTES: usize = 128;

    /// Remembers the field at a place of an object.
    fn note(&mut self, place: usize, name: &str, field: Option<usize>) {
        if place >= Self::FIELDS || name.len() > Self::NAME_BYTES {
            return;
        }
        if place == self.0.len() {
            self.0.push(ExpectedField { quoted: Vec::new(), field: None });
        }
        // A name before this one may have been too long to be remembered.
        if let Some(expected) = self.0.get_mut(place) {
            expected.field = field;
            expected.quoted.clear();
            expected.quoted.extend([b"\"", name.as_bytes(), b"\""].concat());
        }
    }
}

/// A position in a text.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn object(
        &mut self,
        shape: &ObjectShape,
        order: &mut FieldOrder,
        mut write: impl FnMut(usize, &Found<'a>) -> bool,
    ) -> Option<()> {
        self.expect(b'{')?;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return self.end();
        }
        for place in 0.. {
            let field = self.field(shape, order, place)?;
            self.expect(b':')?;
            // Borrowed: copying a value whose parts were just stored one by one stalls the processor's store forwarding.
            let value = &self.value();
            let value = value.as_ref()?;
            // The value is complete only if what follows is a token of the object.
            let after = self.token().filter(|token| matches!(token, b',' | b'}'))?;
            if let Some(field) = field {
                match shape.fields[field].value {
                    ValueShape::Column(column) if write(column, value) => {}
                    _ => return None,
                }
            }
            if after == b'}' {
                break;
            }
        }
        self.end()
    }

    /// Reads the name at a place of the object, and returns the field of the shape that has it, if one does.
    #[inline]
    fn field(&mut self, shape: &ObjectShape, order: &mut FieldOrder, place: usize) -> Option<Option<usize>> {
        self.skip_space();
        if let Some(expected) = order.0.get(place)
            && self.rest().starts_with(&expected.quoted)
        {
            self.at += expected.quoted.len();
            return Some(expected.field);
        }
        self.expect(b'"')?;
        let name = self.text()?;
        let field = shape.find(name, place);
        order.note(place, name, field);
        Some(field)
    }

    /// Expects that only space is left.
    fn end(&mut self) -> Option<()> {
        self.skip_space();
        (self.at == self.text.len()).then_some(())
    }

    /// Returns the bytes from here on.
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Returns the next byte that is no space, and moves past it.
    fn token(&mut self) -> Option<u8> {
        self.skip_space();
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    fn expect(&mut self, token: u8) -> Option<()> {
        (self.token()? == token).then_some(())
    }

    /// Returns the text up to the closing quote, and moves past that.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let start = self.at;
        let end = start + end_of_text(self.rest())?;
        self.at = end + 1;
        (self.text.as_bytes()[end] == b'"').then(|| &self.text[start..end])
    }

    #[inline]
    fn value(&mut self) -> Option<Found<'a>> {
        self.skip_space();
        match self.peek()? {
            b'0'..=b'9' => return self.number(false),
            _ => self.at += 1,
        }
        match self.text.as_bytes()[self.at - 1] {
            b'"' => self.text().map(Found::Text),
            b'-' => self.number(true),
            b't' => self.word("rue", Found::Bool(true)),
            b'f' => self.word("alse", Found::Bool(false)),
            b'n' => self.word("ull", Found::Null),
            _ => None,
        }
    }

    fn word(&mut self, rest: &str, value: Found<'a>) -> Option<Found<'a>> {
        let found = self.rest().starts_with(rest.as_bytes());
        self.at += rest.len();
        found.then_some(value)
    }

    /// Reads a number after its sign. What follows it must be checked: an exponent is not read.
    #[inline]
    fn number(&mut self, negative: bool) -> Option<Found<'a>> {
        let start = self.at;
        let whole = self.digits(0);
        let digits = self.at - start;
        let has_leading_zero = digits > 1 && self.text.as_bytes()[start] == b'0';
        if digits == 0 || digits > INT_DIGITS || has_leading_zero {
            return None;
        }
        if self.peek() != Some(b'.') {
            let value = whole as i64;
            // Negative zero is a float.
            return (!negative || value != 0).then_some(Found::Int(if negative { -value } else { value }));
        }
        self.at += 1;
        let point = self.at;
        let scaled = self.digits(whole);
        let decimals = self.at - point;
        if decimals == 0 || digits + decimals > FLOAT_DIGITS {
            return None;
        }
        let value = scaled as f64 / POWERS[decimals];
        Some(Found::Float(if negative { -value } else { value }))
    }

    /// Appends digits to a number, which wraps around if there are too many.
    #[inline]
    fn digits(&mut self, mut number: u64) -> u64 {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk).and_then(|word| eight_digits(*word)) {
            number = number.wrapping_mul(100_000_000).wrapping_add(eight);
            at += 8;
        }
        while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
            number = number.wrapping_mul(10).wrapping_add((digit - b'0').into());
            at += 1;
        }
        self.at = at;
        number
    }
}

/// A word of eight times the same byte.
const fn eight_times(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Returns the position of the first quote, backslash or control character; `None` if there is none.
fn end_of_text(bytes: &[u8]) -> Option<usize> {
    // The highest bit of each byte below `limit`, which is at most 128. Bytes after the first of these may be marked wrongly.
    let below = |word: u64, limit: u8| word.wrapping_sub(eight_times(limit)) & !word & eight_times(0x80);
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let is = |byte: u8| below(word ^ eight_times(byte), 1);
        let found = is(b'"') | is(b'\\') | below(word, b' ');
        if found != 0 {
            return Some(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    let in_rest = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
    Some(bytes.len() - rest.len() + in_rest)
}

/// Returns the number of eight digits; `None` if they are not all digits.
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(text);
    let digits = word ^ eight_times(b'0');
    // A digit is at most 9, so that 6 more stay below 16.
    if (digits | digits.wrapping_add(eight_times(6))) & eight_times(0xf0) != 0 {
        return None;
    }
    // The first digit is the lowest byte. Join neighbours: to pairs, to fours, to eight.
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::super::{Column, ColumnBuilder, FieldError, JsonDecoder, Scalar, Schema, Type};
    use super::{eight_digits, end_of_text};

    /// The row that a decoder reads, or its fault.
    fn row(decoder: &JsonDecoder, json: &str) -> (Vec<String>, Vec<bool>, Result<(), FieldError>) {
        let mut columns: Vec<_> = decoder.schema.columns.iter().map(|c| ColumnBuilder::new(c.ty)).collect();
        let mut present = Vec::new();
        let result = decoder.decode(json.as_bytes(), &mut columns, &mut present);
        let text = |column: &mut ColumnBuilder| match Scalar::of(&column.finish(), 0) {
            Scalar::Float(value) => format!("{:x}", value.to_bits()),
            other => format!("{other:?}"),
        };
        (columns.iter_mut().map(text).collect(), present, result)
    }

    /// Texts near to plain objects: numbers of all kinds and sizes, duplicates, other types, spaces, cut anywhere.
    fn nearly_plain() -> impl proptest::strategy::Strategy<Value = String> {
        use proptest::prelude::*;
        let number = "-?(0|[1-9][0-9]{0,19})(\\.[0-9]{0,17})?([eE][+-]?[0-9]{1,2})?|-0|01|1\\.|9223372036854775807";
        let value = prop_oneof![4 => number, 2 => "\"[a-z \u{e9}]{0,6}\"", 1 => "\"(\\\\n|\u{1}|2013-01-01|7.5| 8)\"",
            2 => "true|false|null|nul|\\[1\\]|\\{\\}|\\{\"a\":1\\}"];
        let name = prop_oneof![8 => "id|x|n|at|on", 1 => "more|i\\\\u0064|"];
        let field =
            ("[ \n]?", name, "[ \t]?", value).prop_map(|(a, name, b, value)| format!("{a}\"{name}\"{b}:{b}{value}{a}"));
        let object = prop::collection::vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(",")));
        (object, "[ ,x]{0,1}", 0usize..400).prop_map(|(object, end, cut)| {
            let whole = object + &end;
            let cut = if cut < 100 { whole.floor_char_boundary(cut % (whole.len() + 1)) } else { whole.len() };
            whole[..cut].to_owned()
        })
    }

    proptest::proptest! {
        #[test]
        fn plain_objects_are_read_as_the_parser_reads_them(objects in proptest::collection::vec(nearly_plain(), 1..5)) {
            let columns = [("id", Type::String), ("x", Type::Float), ("n", Type::Int), ("at", Type::Timestamp), ("on", Type::Bool)];
            let schema = Schema::new(columns.map(|(name, ty)| Column::new(name, ty, true)).to_vec());
            let decoder = JsonDecoder::new(&schema);
            let mut parser = JsonDecoder::new(&schema);
            parser.may_be_plain = false;
            for json in &objects {
                // Each is expected to be plain, whatever the one before it was.
                decoder.unplain.set(0);
                proptest::prop_assert_eq!(row(&decoder, json), row(&parser, json));
            }
        }

        #[test]
        fn oracle_a_text_ends_at_its_first_special_byte(text in "[ -\u{7f}\u{e9}\u{1f}\u{80}\\\\\"]{0,40}") {
            let expected = text.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ');
            proptest::prop_assert_eq!(end_of_text(text.as_bytes()), expected);
        }

        #[test]
        fn oracle_eight_digits_are_what_the_standard_library_reads(text in "([0-9]{8}|[ -\u{7f}]{8})") {
            let bytes = text.as_bytes().first_chunk().expect("eight bytes");
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            proptest::prop_assert_eq!(eight_digits(*bytes), is_number.then(|| text.parse().expect("digits")));
        }
    }
}
