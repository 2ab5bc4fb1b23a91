//! Reader of plain JSON objects: fields that are texts without escapes, short numbers, booleans or nulls.
//!
//! Nearly all messages are such objects, and reading them takes a fraction of what a general parser takes. Everything
//! else, malformed text included, is left to the parser. A property test holds both to the same rows and faults.

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
pub fn read_plain<'a>(shape: &ObjectShape, text: &'a str, write: impl FnMut(usize, Found<'a>) -> bool) -> bool {
    Scanner { text, at: 0 }.object(shape, write).is_some()
}

/// A position in a text.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn object(&mut self, shape: &ObjectShape, mut write: impl FnMut(usize, Found<'a>) -> bool) -> Option<()> {
        self.expect(b'{')?;
        if self.token() == Some(b'}') {
            return self.end();
        }
        self.at -= 1;
        let mut next = 0;
        loop {
            self.expect(b'"')?;
            let name = self.text()?;
            self.expect(b':')?;
            let value = self.value()?;
            // The value is complete only if what follows is a token of the object.
            let after = self.token().filter(|token| matches!(token, b',' | b'}'))?;
            if let Some(field) = shape.find(name, next) {
                next = field + 1;
                match shape.fields[field].value {
                    ValueShape::Column(column) if write(column, value) => {}
                    _ => return None,
                }
            }
            if after == b'}' {
                return self.end();
            }
        }
    }

    /// Expects that only space is left.
    fn end(&mut self) -> Option<()> {
        self.skip_space();
        (self.at == self.text.len()).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Returns the next byte that is no space, and moves past it. At the end, moves past the end.
    fn token(&mut self) -> Option<u8> {
        self.skip_space();
        let token = self.peek();
        self.at += 1;
        token
    }

    fn expect(&mut self, token: u8) -> Option<()> {
        (self.token() == Some(token)).then_some(())
    }

    /// Returns the text up to the closing quote, and moves past that.
    fn text(&mut self) -> Option<&'a str> {
        let start = self.at;
        let length =
            self.text.as_bytes().get(start..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        let end = start + length;
        self.at = end + 1;
        (self.text.as_bytes()[end] == b'"').then(|| &self.text[start..end])
    }

    fn value(&mut self) -> Option<Found<'a>> {
        match self.token()? {
            b'"' => self.text().map(Found::Text),
            b'-' => self.number(true),
            b'0'..=b'9' => {
                self.at -= 1;
                self.number(false)
            }
            b't' => self.word("rue", Found::Bool(true)),
            b'f' => self.word("alse", Found::Bool(false)),
            b'n' => self.word("ull", Found::Null),
            _ => None,
        }
    }

    fn word(&mut self, rest: &str, value: Found<'a>) -> Option<Found<'a>> {
        let found = self.text.as_bytes().get(self.at..)?.starts_with(rest.as_bytes());
        self.at += rest.len();
        found.then_some(value)
    }

    /// Reads a number after its sign. What follows it must be checked: an exponent is not read.
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
    fn digits(&mut self, mut number: u64) -> u64 {
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.wrapping_mul(10).wrapping_add((digit - b'0').into());
            self.at += 1;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, ColumnBuilder, FieldError, JsonDecoder, Scalar, Schema, Type};

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
        fn a_plain_object_is_read_as_the_parser_reads_it(json in nearly_plain()) {
            let columns = [("id", Type::String), ("x", Type::Float), ("n", Type::Int), ("at", Type::Timestamp), ("on", Type::Bool)];
            let schema = Schema::new(columns.map(|(name, ty)| Column::new(name, ty, true)).to_vec());
            let decoder = JsonDecoder::new(&schema);
            let mut parser = JsonDecoder::new(&schema);
            parser.may_be_plain = false;
            proptest::prop_assert_eq!(row(&decoder, &json), row(&parser, &json));
        }
    }
}
