//! Sections of a dataflow file: their keys, and the meaning of keys that are missing.

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// The heading in the reference, and the section's name in problems.
    pub title: &'static str,
    pub summary: &'static str,
    pub keys: &'static [SectionKey],
}

/// A key of a section.
#[derive(Debug)]
pub struct SectionKey {
    pub name: &'static str,
    /// The form of the value.
    pub form: &'static str,
    pub absent: Absent,
    pub summary: &'static str,
}

/// The meaning of a missing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The key is required.
    Required,
    /// The key is optional and has no default.
    Nothing,
    /// The default, as it would be written.
    Is(&'static str),
}

/// A key of a section.
pub const fn key(name: &'static str, form: &'static str, absent: Absent, summary: &'static str) -> SectionKey {
    SectionKey { name, form, absent, summary }
}
