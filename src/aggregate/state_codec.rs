//! The binary form of state: postcard's, written and read value by value.
//!
//! A window writes a count and then its entries, and has its aggregate write each accumulator. So nothing but that is
//! compiled for each aggregate in each kind of window, and no type has to name all that is in the bytes.

use serde::{Deserialize, Serialize};

/// Bytes to which values are appended.
#[derive(Debug, Default)]
pub struct StateWriter(Vec<u8>);

impl StateWriter {
    /// Appends a value.
    pub fn value(&mut self, value: &impl Serialize) {
        let bytes = postcard::to_extend(value, std::mem::take(&mut self.0));
        self.0 = bytes.expect("the state of a window always encodes");
    }

    /// Appends the number of values that follow.
    pub fn count(&mut self, count: usize) {
        self.value(&count);
    }

    /// Appends a count and that many values, each by `write`.
    pub fn all<T>(&mut self, values: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut StateWriter, T)) {
        self.count(values.len());
        values.for_each(|value| write(self, value));
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The rest of the bytes of a state.
#[derive(Clone, Copy, Debug)]
pub struct StateReader<'a>(&'a [u8]);

impl<'a> StateReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        StateReader(bytes)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// If the bytes that follow are not one of its type.
    pub fn value<T: Deserialize<'a>>(&mut self) -> Result<T, postcard::Error> {
        let (value, rest) = postcard::take_from_bytes(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    /// Reads a count and that many values, each by `read`.
    ///
    /// # Errors
    /// If the bytes that follow are not that.
    pub fn all<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, postcard::Error>,
    ) -> Result<Vec<T>, postcard::Error> {
        let count: usize = self.value()?;
        // A value takes a byte at least, so a damaged count reserves no more than there can be.
        let mut all = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            all.push(read(self)?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_postcard() {
        let values = vec![(7u32, -300i64, "seven".to_owned()), (8, i64::MAX, String::new())];
        let mut writer = StateWriter::default();
        writer.all(values.iter(), |writer, (slot, time, text)| {
            writer.value(slot);
            writer.value(time);
            writer.value(text);
        });
        let bytes = writer.into_bytes();
        assert_eq!(bytes, postcard::to_stdvec(&values).unwrap());
        let mut reader = StateReader::new(&bytes);
        let read = reader.all(|from| Ok((from.value::<u32>()?, from.value::<i64>()?, from.value::<String>()?)));
        assert_eq!(read.unwrap(), values);
    }

    #[test]
    fn a_count_beyond_the_bytes_is_an_error() {
        let mut writer = StateWriter::default();
        writer.count(usize::MAX);
        writer.value(&1u8);
        let bytes = writer.into_bytes();
        assert!(StateReader::new(&bytes).all(|from| from.value::<u8>()).is_err());
    }
}
