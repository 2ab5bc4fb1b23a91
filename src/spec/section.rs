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

impl SectionKey {
    /// Returns the form without the links that it has in the reference.
    pub fn plain_form(&self) -> String {
        let mut parts = self.form.split("](#");
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
        (first + &rest.collect::<String>()).replace('[', "")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_no_links_in_messages() {
        let plain = |form| key("k", form, Absent::Required, "").plain_form();
        assert_eq!(plain("[format](#formats)"), "format");
        assert_eq!(
            plain("[window](#windows) or list of [windows](#windows), or none"),
            "window or list of windows, or none"
        );
        assert_eq!(plain("string or list of strings"), "string or list of strings");
    }
}
