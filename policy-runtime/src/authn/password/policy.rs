//! Which passwords a scope takes.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

use crate::credential::MAX_PASSCODE;
use crate::identity::PasswordRules;
use crate::secret::Secret;

/// Passwords of eight characters and more that people choose most, in lower case: the list of Django 5.2 (BSD), which its
/// makers took from Royce Williams' list of what breaches showed.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("common.txt").lines().collect());

/// What is wrong with a new password; never says which word was found.
///
/// ```
/// use policy_runtime::authn::password::{PasswordPolicy, Weakness};
/// use policy_runtime::secret::Secret;
/// let policy = PasswordPolicy::default().min_chars(16);
/// let found = policy.check(&Secret::new("too short".to_owned()), &[]).unwrap_err();
/// assert!(!matches!(found, Weakness::Common), "{found}");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Weakness {
    /// It is too short.
    #[error("the password has fewer than {0} characters")]
    TooShort(usize),
    /// It is too long.
    #[error("the password is longer than {MAX_PASSCODE} bytes")]
    TooLong,
    /// Many others have it.
    #[error("the password is one that many people choose")]
    Common,
    /// It repeats or counts.
    #[error("the password repeats itself or counts")]
    Pattern,
    /// It is made of what everybody knows about the user, or in the scope.
    #[error("the password is made of words that others know of")]
    Personal,
    /// It is too easily guessed by trying.
    #[error("the password has too few different characters; make it longer or mix more kinds")]
    Guessable,
}

/// The passwords that a scope takes: by length, a kept list of common ones, and what is known of the user.
///
/// There are no rules about kinds of characters: they make passwords worse (NIST SP 800-63B, section 3.1.1.2).
///
/// ```
/// use policy_runtime::authn::password::{PasswordPolicy, Weakness};
/// use policy_runtime::secret::Secret;
/// let policy = PasswordPolicy::default();
/// let check = |text: &str| policy.check(&Secret::new(text.to_owned()), &["alice@example.com"]);
/// assert_eq!(check("Password2026!"), Err(Weakness::Common));
/// assert_eq!(check("alice2026acme"), Ok(()));
/// assert_eq!(check("alice-2026"), Err(Weakness::Personal));
/// assert_eq!(check("correct horse battery"), Ok(()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy(PasswordRules);

impl Default for PasswordPolicy {
    fn default() -> Self {
        PasswordRules::default().into()
    }
}

impl From<PasswordRules> for PasswordPolicy {
    fn from(rules: PasswordRules) -> Self {
        Self(rules)
    }
}

impl PasswordPolicy {
    /// Sets the least number of characters; eight is the least that can be set.
    #[must_use]
    pub const fn min_chars(mut self, count: usize) -> Self {
        self.0.min_chars = if count < 8 { 8 } else { count };
        self
    }

    /// Checks a new password; `known` are texts that others know of the user, such as the address and the name.
    ///
    /// # Errors
    /// With the first weakness found.
    pub fn check(&self, password: &Secret<String>, known: &[&str]) -> Result<(), Weakness> {
        let text = password.expose();
        if text.len() > MAX_PASSCODE {
            return Err(Weakness::TooLong);
        }
        let folded: String = caseless::default_case_fold_str(&text.nfkc().collect::<String>());
        let chars: Vec<char> = folded.chars().collect();
        if chars.len() < self.0.min_chars {
            return Err(Weakness::TooShort(self.0.min_chars));
        }
        if is_pattern(&chars) {
            return Err(Weakness::Pattern);
        }
        let core = core_of(&folded);
        if [folded.as_str(), core].iter().any(|text| COMMON.contains(text)) || WORDS.contains(&core) {
            return Err(Weakness::Common);
        }
        let mut rest = core.to_owned();
        let shared = self.0.words.iter().map(String::as_str);
        for word in known.iter().copied().chain(shared).flat_map(words_of) {
            rest = rest.replace(&word, "");
        }
        let left = rest.chars().filter(|c| c.is_alphabetic()).count();
        if rest != core && left < 4 {
            return Err(Weakness::Personal);
        }
        if bits(text) < f64::from(self.0.min_bits) { Err(Weakness::Guessable) } else { Ok(()) }
    }
}

/// Words too short for the list, which people lengthen by a year and a mark.
const WORDS: &[&str] =
    &["admin", "hello", "letmein", "login", "qwerty", "secret", "summer", "winter", "welcome", "test"];

/// What is left without the digits and marks that people put around a word.
fn core_of(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphabetic())
}

fn words_of(text: &str) -> Vec<String> {
    let folded = caseless::default_case_fold_str(text);
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= 3).map(str::to_owned).collect()
}

/// The strength of a text whose characters are drawn at random from kinds like those that are there. One that repeats the one
/// before it, or is its neighbour, tells nothing.
fn bits(text: &str) -> f64 {
    let has = |is_kind: fn(&char) -> bool| text.chars().any(|c| is_kind(&c));
    let kinds = [
        (has(char::is_ascii_lowercase), 26),
        (has(char::is_ascii_uppercase), 26),
        (has(char::is_ascii_digit), 10),
        (has(char::is_ascii_punctuation) || has(|c| *c == ' '), 33),
        (has(|c| !c.is_ascii()), 100),
    ];
    let alphabet: u32 = kinds.iter().filter(|(has, _)| *has).map(|(_, size)| size).sum();
    let mut before = None;
    let telling = text.chars().filter(|c| {
        let last = before.replace(u32::from(*c));
        last.is_none_or(|last| last.abs_diff(u32::from(*c)) > 1)
    });
    telling.map(|_| f64::from(alphabet.max(1)).log2()).sum()
}

/// Whether few different characters stand there, a short piece is repeated, or each follows the one before.
fn is_pattern(chars: &[char]) -> bool {
    let distinct: HashSet<&char> = chars.iter().collect();
    if distinct.len() < 5 {
        return true;
    }
    let repeats = (1..=chars.len() / 2)
        .any(|n| chars.len().is_multiple_of(n) && chars.chunks(n).all(|chunk| Some(chunk) == chars.get(..n)));
    let step = |pair: &[char], by: i64| match pair {
        [a, b] => i64::from(u32::from(*b)) - i64::from(u32::from(*a)) == by || (*a == '9' && *b == '0'),
        _ => false,
    };
    repeats || [1, -1].iter().any(|by| chars.windows(2).all(|pair| step(pair, *by)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weaknesses() {
        let known = ["alice.smith@acme.example", "Alice Smith"];
        let check = |text: &str| PasswordPolicy::default().check(&Secret::new(text.to_owned()), &known).err();
        let cases = [
            ("short", Some(Weakness::TooShort(10))),
            ("ßßßßßßßßß", Some(Weakness::Pattern)),
            ("aaaaaaaaaaaaa", Some(Weakness::Pattern)),
            ("abcdeabcde", Some(Weakness::Pattern)),
            ("abcdefghijkl", Some(Weakness::Pattern)),
            ("1234567890", Some(Weakness::Pattern)),
            ("zyxwvutsrqp", Some(Weakness::Pattern)),
            ("qwertyuiop", Some(Weakness::Common)),
            ("PASSWORD123", Some(Weakness::Common)),
            ("!!Password1!!", Some(Weakness::Common)),
            ("Welcome2026!", Some(Weakness::Common)),
            ("ＰＡＳＳＷＯＲＤ２０２６", Some(Weakness::Common)),
            ("AliceSmith1", Some(Weakness::Personal)),
            ("acme-2026-alice", Some(Weakness::Personal)),
            ("4829105736", Some(Weakness::Guessable)),
            ("aabbcddeffghhi", Some(Weakness::Guessable)),
            ("correct horse battery", None),
            ("ein Satz mit Umlauten äöü", None),
            ("🦀🐢🦊🐙🦉🐝🐳🦁🐼🦄", None),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text), expected, "{text}");
        }
        assert_eq!(check(&"ab7 ".repeat(300)), Some(Weakness::TooLong));
        assert_eq!(PasswordPolicy::default().min_chars(1), PasswordPolicy::default().min_chars(8));
        let own = PasswordRules { min_chars: 12, min_bits: 80, words: vec!["Acme Rockets".into()] };
        let own = |text: &str| PasswordPolicy::from(own.clone()).check(&Secret::new(text.to_owned()), &[]).err();
        assert_eq!(own("acmeRockets-2026"), Some(Weakness::Personal));
        assert_eq!(own("k7#pQ2vX"), Some(Weakness::TooShort(12)));
        assert_eq!(own("hxwqozbnatpm"), Some(Weakness::Guessable));
        assert_eq!(own("hxwqozbn-Atpm7"), None);
    }
}
