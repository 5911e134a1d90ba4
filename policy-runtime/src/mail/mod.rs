//! Letters to people: by SMTP where it matters, into private files while a program is made.
//!
//! In: an address, a subject and a text, which may hold a link that is as good as a password for a while. Out: a letter that
//! was handed over within a deadline, or a [`MailError`] that says nothing of it. Absent: what letters are about, and who asks
//! for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use lettre::Address;
use policy_core::Scope;

use crate::secret::Secret;

mod file;
mod smtp;

pub use file::FileMailer;
pub use smtp::{MailTls, SmtpMailer, SmtpSettings};

/// A letter to one person, in plain text.
///
/// ```
/// use policy_runtime::mail::Letter;
/// use policy_runtime::secret::Secret;
/// let text = || Secret::new("https://id.example/..".to_owned());
/// let letter = Letter::new("alice@example.com", "Your new password", text()).unwrap();
/// assert!(!format!("{letter:?}").contains("id.example"));
/// assert!(Letter::new("alice@example.com\r\nBcc: everybody@example.com", "x", text()).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Letter {
    to: Address,
    subject: String,
    text: Secret<String>,
}

impl Letter {
    /// Writes a letter.
    ///
    /// # Errors
    /// When the address is none, or the subject is not one line.
    pub fn new(to: &str, subject: &str, text: Secret<String>) -> Result<Self, MailError> {
        let to = to.trim().parse().map_err(|_| MailError::new("the address takes no letters"))?;
        if subject.chars().any(char::is_control) {
            return Err(MailError::new("the subject is not one line"));
        }
        Ok(Self { to, subject: subject.to_owned(), text })
    }
}

/// A letter was not sent; the text is for the log, and holds nothing of the letter.
///
/// ```
/// use policy_runtime::mail::MailError;
/// assert_eq!(MailError::new("no route to host").to_string(), "the letter was not sent: no route to host");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the letter was not sent: {0}")]
pub struct MailError(String);

impl MailError {
    /// Says why.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Sends letters.
///
/// ```
/// use futures_util::future::BoxFuture;
/// use policy_runtime::mail::{Letter, MailError, Mailer};
///
/// #[derive(Debug)]
/// struct Nowhere;
///
/// impl Mailer for Nowhere {
///     fn send<'a>(&'a self, _: &'a Letter) -> BoxFuture<'a, Result<(), MailError>> {
///         Box::pin(async { Err(MailError::new("there is no post")) })
///     }
/// }
/// ```
pub trait Mailer: fmt::Debug + Send + Sync {
    /// Sends a letter.
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>>;
}

/// Who sends the letters of which scope. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::Scope;
/// use policy_runtime::mail::{FileMailer, Mails};
/// let acme = Scope::organization("acme")?;
/// let mails = Mails::default().with(acme, Arc::new(FileMailer::new("letters")));
/// assert!(mails.of(&Scope::application("acme", "shop")?).is_some(), "that of its organization");
/// assert!(mails.of(&Scope::organization("globex")?).is_none());
/// let mails = mails.otherwise(Arc::new(FileMailer::new("others")));
/// assert!(mails.of(&Scope::organization("globex")?).is_some());
/// # Ok::<(), policy_core::name::NameError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Mails {
    by_scope: BTreeMap<Scope, Arc<dyn Mailer>>,
    otherwise: Option<Arc<dyn Mailer>>,
}

impl Mails {
    /// Says who sends the letters of a scope, and of those below that have nobody of their own.
    #[must_use]
    pub fn with(mut self, scope: Scope, mailer: Arc<dyn Mailer>) -> Self {
        self.by_scope.insert(scope, mailer);
        self
    }

    /// Says who sends all other letters.
    #[must_use]
    pub fn otherwise(mut self, mailer: Arc<dyn Mailer>) -> Self {
        self.otherwise = Some(mailer);
        self
    }

    /// Who sends the letters of a scope: its own, that of the nearest scope above, or nobody.
    pub fn of(&self, scope: &Scope) -> Option<&Arc<dyn Mailer>> {
        let organization = scope.organization_id().cloned().map(Scope::Organization);
        let nearest = [Some(scope.clone()), organization, Some(Scope::System)];
        nearest.into_iter().flatten().find_map(|scope| self.by_scope.get(&scope)).or(self.otherwise.as_ref())
    }
}
