//! The separator of the fields of CSV.

/// The separator of the fields of CSV.
///
/// ```
/// use tidemill::value::Separator;
/// assert_eq!(Separator::named("\t"), Some(Separator::Tab));
/// assert_eq!(Separator::most_of("at;price, EUR;qty"), Separator::Semicolon);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Separator {
    #[default]
    Comma,
    Semicolon,
    Tab,
    Bar,
}

impl Separator {
    /// All separators, the default first.
    pub const ALL: [Separator; 4] = [Separator::Comma, Separator::Semicolon, Separator::Tab, Separator::Bar];

    /// All of them as an error lists them.
    pub const EXPECTED: &'static str = r#"one of ",", ";", "\t" and "|""#;

    /// Returns the separator itself.
    pub fn byte(self) -> u8 {
        match self {
            Separator::Comma => b',',
            Separator::Semicolon => b';',
            Separator::Tab => b'\t',
            Separator::Bar => b'|',
        }
    }

    /// Returns it as text.
    pub fn text(self) -> &'static str {
        match self {
            Separator::Comma => ",",
            Separator::Semicolon => ";",
            Separator::Tab => "\t",
            Separator::Bar => "|",
        }
    }

    /// Returns the separator that a text is.
    pub fn named(text: &str) -> Option<Separator> {
        Separator::ALL.into_iter().find(|separator| separator.text() == text)
    }

    /// Returns the separator that a line of CSV has most of outside quotes: of equals the first, and the default if it has
    /// none.
    pub fn most_of(line: &str) -> Separator {
        let outside: String = line.split('"').step_by(2).collect();
        let count = |separator: &Separator| outside.matches(separator.text()).count();
        // Of equals, `max_by_key` takes the last.
        Separator::ALL.into_iter().rev().max_by_key(count).unwrap_or_default()
    }
}
