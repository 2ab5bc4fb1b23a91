//! The quotes of a record of CSV.

/// The fault of the quotes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuoteFault {
    /// Text between a closing quote and the separator.
    TextAfter,
    /// A quoted field without a closing quote.
    NotClosed,
}

/// Returns the first fault of a record's quotes. Quotes within a field that does not begin with one are text.
pub(super) fn quote_fault(record: &[u8], separator: u8) -> Option<QuoteFault> {
    let mut at = 0;
    loop {
        if record.get(at) == Some(&b'"') {
            at += 1;
            loop {
                at += record[at..].iter().position(|byte| *byte == b'"').map_or(record.len(), |length| length + 1);
                match record.get(at) {
                    _ if at > record.len() => return Some(QuoteFault::NotClosed),
                    Some(b'"') => at += 1,
                    None => break,
                    Some(byte) if *byte == separator => break,
                    Some(_) => return Some(QuoteFault::TextAfter),
                }
            }
        }
        match record.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == separator)) {
            Some(length) => at += length + 1,
            None => return None,
        }
    }
}
