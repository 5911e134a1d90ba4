//! Where a thing was written: byte ranges in a rule's text and places in files.
//!
//! In: nothing. Out: [`Span`], [`Place`]. Absent: the text itself, which the caller keeps.

use std::fmt;

/// A half-open range: bytes of a rule's text, or token numbers when the rule was written as Rust tokens.
///
/// ```
/// use policy_core::source::Span;
/// assert_eq!(Span::new(3, 5).to(Span::new(8, 9)), Span::new(3, 9));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// First byte (or token).
    pub start: u32,
    /// One past the last byte (or token).
    pub end: u32,
}

impl Span {
    /// Makes a span from its two ends.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// Returns the smallest span that covers both.
    #[must_use]
    pub const fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }
}

/// The line and the column of a byte of a text, counted from 1.
///
/// ```
/// use policy_core::source::line_column;
/// assert_eq!(line_column("forbid\n  a.b", 9), (2, 3));
/// ```
pub fn line_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.char_indices().take_while(|(at, _)| *at < byte);
    before.fold((1, 1), |(line, column), (_, c)| if c == '\n' { (line + 1, 1) } else { (line, column + 1) })
}

/// A place in a source file, as `file!()` and `line!()` name it.
///
/// ```
/// use policy_core::source::Place;
/// assert_eq!(Place { file: file!(), line: 7 }.to_string(), format!("{}:7", file!()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the workspace it was compiled in.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
