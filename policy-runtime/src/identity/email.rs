//! E-mail addresses as they are compared.

use unicode_normalization::UnicodeNormalization as _;

/// An address in the form in which addresses are compared: trimmed, its domain in ASCII (IDNA), its case folded.
///
/// ```
/// use policy_runtime::identity::EmailKey;
/// let key = EmailKey::new("  Alice@BÜCHER.example ").unwrap();
/// assert_eq!(key, EmailKey::new("alice@xn--bcher-kva.example").unwrap());
/// assert_eq!(EmailKey::new("STRASSE@a.example"), EmailKey::new("straße@a.example"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailKey(String);

/// Why a text is not an address.
///
/// ```
/// use policy_runtime::identity::{EmailError, EmailKey};
/// assert_eq!(EmailKey::new("no address"), Err(EmailError));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address has a name, one `@` and a domain, 254 bytes at most")]
pub struct EmailError;

impl EmailKey {
    /// Checks an address and brings it into the form in which it is compared.
    ///
    /// # Errors
    /// When the text is no address.
    pub fn new(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.len() > 254 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(EmailError);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError)?;
        if local.is_empty() || local.contains('@') || domain.is_empty() {
            return Err(EmailError);
        }
        let domain = idna::domain_to_ascii(domain).map_err(|_| EmailError)?;
        if domain.is_empty() || domain.starts_with('.') || domain.contains("..") {
            return Err(EmailError);
        }
        let local: String = local.nfc().collect();
        let local: String = caseless::default_case_fold_str(&local).nfc().collect();
        Ok(Self(format!("{local}@{}", domain.trim_end_matches('.'))))
    }

    /// The folded address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain in ASCII.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn same_and_different() {
        let key = |text: &str| EmailKey::new(text).map(|k| k.as_str().to_owned());
        assert_eq!(key(" Alice@Example.COM\t").as_deref(), Ok("alice@example.com"));
        assert_eq!(key("e\u{301}@a.b"), key("\u{e9}@a.b"), "composed and decomposed");
        assert_ne!(key("alice+1@a.b"), key("alice@a.b"));
        assert_ne!(key("al.ice@a.b"), key("alice@a.b"));
        for bad in [
            "",
            "a",
            "@a.b",
            "a@",
            "a@b@c",
            "a b@c.d",
            "a@b\0.c",
            "a@.b",
            "a@b..c",
            &format!("{}@a.b", "x".repeat(255)),
        ] {
            assert_eq!(key(bad), Err(EmailError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_is_stable(text in "\\PC{0,40}@[a-zA-Z0-9äöüß.-]{0,30}") {
            if let Ok(key) = EmailKey::new(&text) {
                prop_assert_eq!(EmailKey::new(key.as_str()), Ok(key.clone()));
            }
        }
    }
}
