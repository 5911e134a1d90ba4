//! What a scope asks of passwords, as it is stored.

use serde::{Deserialize, Serialize};

use super::StoreError;

/// The least that can be asked for (NIST SP 800-63B, section 3.1.1.2), and the most that people can be asked for.
const CHARS: std::ops::RangeInclusive<usize> = 8..=64;
const BITS: std::ops::RangeInclusive<u32> = 0..=128;
const WORDS: usize = 1_000;

/// What a scope asks of new passwords; common ones are refused in any case.
///
/// ```
/// use policy_runtime::identity::PasswordRules;
/// let strict = PasswordRules { min_chars: 14, words: vec!["acme".into()], ..PasswordRules::default() };
/// assert!(strict.check().is_ok());
/// assert!(PasswordRules { min_chars: 4, ..strict }.check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "whoever writes rules names what differs from the usual")]
pub struct PasswordRules {
    /// The least number of characters.
    pub min_chars: usize,
    /// The least strength: bits, if every character had been drawn at random from kinds like those that are there, not
    /// counting one that repeats or follows the one before.
    pub min_bits: u32,
    /// What everybody in the scope knows, such as the company's name: not enough for a password.
    pub words: Vec<String>,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self { min_chars: 10, min_bits: 40, words: Vec::new() }
    }
}

impl PasswordRules {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// When a bound is outside of what makes sense.
    pub fn check(&self) -> Result<(), StoreError> {
        let problem = if !CHARS.contains(&self.min_chars) {
            format!("`min_chars` is {} to {}, not {}", CHARS.start(), CHARS.end(), self.min_chars)
        } else if !BITS.contains(&self.min_bits) {
            format!("`min_bits` is at most {}, not {}", BITS.end(), self.min_bits)
        } else if self.words.len() > WORDS {
            format!("there are more than {WORDS} `words`")
        } else {
            return Ok(());
        };
        Err(StoreError::Invalid(format!("rules of passwords: {problem}")))
    }
}
