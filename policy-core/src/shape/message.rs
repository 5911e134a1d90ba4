//! Messages that are put together while a program is compiled.

use super::form::{Form, FormField, same_text};

/// Room for a quoted rule of the longest kind, with its carets.
const ROOM: usize = 16 * 1024;

/// A message under construction; what does not fit is left out.
pub(super) struct Message {
    bytes: [u8; ROOM],
    len: usize,
}

impl Message {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; ROOM], len: 0 }
    }

    #[expect(clippy::indexing_slicing, reason = "only compilers run it, and the room was asked for before")]
    pub(super) const fn add(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        if self.len + bytes.len() <= ROOM {
            let mut at = 0;
            while at < bytes.len() {
                self.bytes[self.len + at] = bytes[at];
                at += 1;
            }
            self.len += bytes.len();
        }
        self
    }

    /// Adds a text in backticks.
    pub(super) const fn word(self, text: &str) -> Self {
        self.add("`").add(text).add("`")
    }

    /// Adds the name of a kind.
    pub(super) const fn kind(self, form: &Form) -> Self {
        match form {
            Form::Bool => self.add("Bool"),
            Form::Long => self.add("Long"),
            Form::Decimal => self.add("Decimal"),
            Form::Text => self.add("Text"),
            Form::Uuid => self.add("Uuid"),
            Form::Datetime => self.add("Datetime"),
            Form::Ip => self.add("Ip"),
            Form::Enum(_) => self.add("an Enum"),
            Form::Set(item) => self.add("Set of ").kind(item),
            Form::Record(_) => self.add("a Record"),
        }
    }

    /// Offers the nearest of some names, or lists them.
    pub(super) const fn offer(self, wanted: &str, names: Names) -> Self {
        match names.nearest(wanted) {
            Some(near) => self.add("\nhelp: did you mean ").word(near).add("?"),
            None if names.len() == 0 => self.add("\nhelp: it has no attributes"),
            None => {
                let mut out = self.add(names.leading());
                let mut n = 0;
                while n < names.len() && n < 12 {
                    if let Some(name) = names.get(n) {
                        out = out.add(if n == 0 { "" } else { ", " }).word(name);
                    }
                    n += 1;
                }
                if names.len() > 12 { out.add(", ...") } else { out }
            }
        }
    }

    /// Ends the build.
    #[track_caller]
    #[expect(clippy::panic, reason = "only compilers run it: this is how a const fn refuses")]
    pub(super) const fn fail(self) -> ! {
        match str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("this rule cannot be checked"),
        }
    }
}

/// The names that there are.
#[derive(Clone, Copy)]
pub(super) enum Names {
    Attributes(&'static [FormField]),
    Variants(&'static [&'static str]),
}

impl Names {
    const fn len(self) -> usize {
        match self {
            Self::Attributes(all) => all.len(),
            Self::Variants(all) => all.len(),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "only compilers run it, and the length was asked for before")]
    const fn get(self, n: usize) -> Option<&'static str> {
        match self {
            Self::Attributes(all) if n < all.len() => Some(all[n].name),
            Self::Variants(all) if n < all.len() => Some(all[n]),
            Self::Attributes(_) | Self::Variants(_) => None,
        }
    }

    const fn leading(self) -> &'static str {
        match self {
            Self::Attributes(_) => "\nhelp: it has ",
            Self::Variants(_) => "\nhelp: it is one of ",
        }
    }

    /// As [`crate::name::nearest`] finds it.
    const fn nearest(self, wanted: &str) -> Option<&'static str> {
        let limit = if wanted.len() / 3 > 1 { wanted.len() / 3 } else { 1 };
        let (mut found, mut best, mut n) = (None, usize::MAX, 0);
        while let Some(name) = self.get(n) {
            let far = distance(wanted.as_bytes(), name.as_bytes());
            if far < best && (far <= limit || name.eq_ignore_ascii_case(wanted)) && !same_text(wanted, name) {
                (found, best) = (Some(name), far);
            }
            n += 1;
        }
        found
    }
}

/// Damerau's distance of the first 63 bytes (optimal string alignment).
#[expect(clippy::indexing_slicing, reason = "only compilers run it, and every index is at most 63")]
const fn distance(a: &[u8], b: &[u8]) -> usize {
    const MOST: usize = 63;
    let a_len = if a.len() < MOST { a.len() } else { MOST };
    let b_len = if b.len() < MOST { b.len() } else { MOST };
    let (mut before, mut above, mut row) = ([0; MOST + 1], [0; MOST + 1], [0; MOST + 1]);
    let mut j = 0;
    while j <= b_len {
        above[j] = j;
        j += 1;
    }
    let mut i = 0;
    while i < a_len {
        row[0] = i + 1;
        let mut j = 0;
        while j < b_len {
            let mut best = above[j] + if a[i] == b[j] { 0 } else { 1 };
            best = least(best, above[j + 1] + 1);
            best = least(best, row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == b[j] && b[j - 1] == a[i] {
                best = least(best, before[j - 1] + 1);
            }
            row[j + 1] = best;
            j += 1;
        }
        before = above;
        above = row;
        i += 1;
    }
    above[b_len]
}

const fn least(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_finds_the_same_names() {
        const NAMES: [&str; 6] = ["amount", "ownerId", "status", "sharedWith", "id", "in_review"];
        for wanted in ["amuont", "owner_id", "stat", "xyz", "shared", "i", "ID", "in-review", "ammount", ""] {
            let ours = Names::Variants(&NAMES).nearest(wanted);
            assert_eq!(ours, crate::name::nearest(wanted, NAMES), "{wanted}");
        }
    }
}
