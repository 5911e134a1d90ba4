//! Errands of browsers at providers: what was asked, until the answer comes, once, in the same browser.
//!
//! The database keeps hashes alone. What the ID token must repeat and what proves the code are made of the state, which the
//! browser takes along, and of a cookie, which it keeps: whoever reads the database, or the addresses, has neither.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy_core::Scope;
use sha2::{Digest as _, Sha256};

use super::SignInError;
use super::clients::{digest, fresh_secret};
use crate::authn::token::Question;
use crate::clock::Clock;
use crate::database::{Arg, Database, DatabaseError};
use crate::secret::Secret;

/// How long an answer may take, in seconds.
pub(super) const ERRAND_S: u32 = 10 * 60;
/// The cookie that ties errands to a browser.
const COOKIE: &str = "__Host-policy-errand";
/// How many errands may be under way; beyond it nobody is sent until some are over.
const MOST: i64 = 100_000;

/// What becomes of whom the provider vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    SignIn,
    Register,
    Accept,
    Link,
    Found,
}

impl Purpose {
    const ALL: [(Self, &'static str); 5] = [
        (Self::SignIn, "sign-in"),
        (Self::Register, "register"),
        (Self::Accept, "accept"),
        (Self::Link, "link"),
        (Self::Found, "found"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(own, _)| *own == self).map_or("", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == word).map(|(purpose, _)| *purpose)
    }
}

/// What a browser is sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) configuration: String,
    pub(super) scope: Scope,
    pub(super) purpose: Purpose,
    /// Who links an identity.
    pub(super) user: Option<String>,
    /// What a client asked for, empty where none did; of who links, the session; of who accepts, the invitation's hash.
    pub(super) question: String,
}

impl Errand {
    /// To sign in.
    pub(super) fn of(provider: &str, scope: Scope, question: &str) -> Self {
        let (configuration, question) = (provider.to_owned(), question.to_owned());
        Self { configuration, scope, purpose: Purpose::SignIn, user: None, question }
    }

    /// What a client asked for, if one did.
    pub(super) fn of_client(&self) -> Option<&str> {
        let asks = matches!(self.purpose, Purpose::SignIn | Purpose::Register);
        Some(self.question.as_str()).filter(|question| asks && !question.is_empty())
    }
}

/// A browser as it is known between leaving and coming back.
#[derive(Debug)]
pub(super) struct Browser(Secret<String>);

impl Browser {
    /// The browser that sent these cookies, if it has been on an errand of late.
    pub(super) fn of(headers: &http::HeaderMap) -> Option<Self> {
        let all = headers.get_all(http::header::COOKIE).iter().filter_map(|header| header.to_str().ok());
        let mut values = all.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = values.by_ref().filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
        let value = values.next().filter(|value| value.len() == 44 && value.bytes().all(|b| b.is_ascii_graphic()));
        // Said twice, it is not clear which is ours.
        value.filter(|_| values.next().is_none()).map(|value| Self(Secret::new(value.to_owned())))
    }

    pub(super) fn new() -> Result<Self, SignInError> {
        Ok(Self(fresh_secret("")?.0))
    }

    /// The header that lets it be known when it comes back; from another site's form too, if that is how it comes.
    pub(super) fn set_cookie(&self, by_form: bool) -> String {
        let site = if by_form { "None" } else { "Lax" };
        format!("{COOKIE}={}; Path=/; Max-Age={ERRAND_S}; Secure; HttpOnly; SameSite={site}", self.0.expose())
    }

    /// What it is compared by.
    pub(super) fn hash(&self) -> String {
        digest(self.0.expose())
    }

    /// A text that nobody can make without the cookie.
    fn made(&self, purpose: &str, state: &str) -> String {
        let mut hash = Sha256::new();
        for part in [purpose, self.0.expose(), state] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}

/// What goes along with a question.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) state: Secret<String>,
    nonce: Secret<String>,
    verifier: Secret<String>,
}

impl Made {
    pub(super) fn of(browser: &Browser, state: Secret<String>) -> Self {
        let made = |purpose| Secret::new(browser.made(purpose, state.expose()));
        Self { nonce: made("nonce"), verifier: made("verifier"), state }
    }

    pub(super) fn question<'a>(&'a self, callback: &'a str, fresh: bool) -> Question<'a> {
        let (state, nonce, verifier) = (self.state.expose(), self.nonce.expose(), self.verifier.expose());
        Question { callback, state, nonce, verifier, fresh }
    }
}

/// The errands that are under way. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Errands {
    database: Database,
    clock: std::sync::Arc<dyn Clock>,
}

impl Errands {
    pub(super) const fn new(database: Database, clock: std::sync::Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Notes what a browser is sent for, and makes what goes along.
    pub(super) async fn begin(&self, browser: &Browser, errand: &Errand) -> Result<Made, SignInError> {
        let (state, hash) = fresh_secret("")?;
        let now = self.clock.now().0;
        let mut tx = self.database.begin().await?;
        tx.run("DELETE FROM policy_logins WHERE until <= $1", vec![now.into()]).await?;
        let row: Vec<Arg> = vec![
            hash.into(),
            browser.hash().into(),
            errand.configuration.as_str().into(),
            errand.scope.to_string().into(),
            errand.user.clone().into(),
            errand.question.as_str().into(),
            errand.purpose.word().into(),
            now.saturating_add(i64::from(ERRAND_S) * 1_000).into(),
            MOST.into(),
        ];
        let sql = "INSERT INTO policy_logins (hash, browser, configuration, scope, user_id, question, purpose, until) \
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE (SELECT COUNT(*) FROM policy_logins) < $9";
        if tx.run(sql, row).await? == 0 {
            return Err(DatabaseError::Unavailable("too many browsers are on errands".into()).into());
        }
        tx.commit().await?;
        Ok(Made::of(browser, state))
    }

    /// Ends an errand, whatever comes of it; `None` unless this browser was sent for it, and not long ago.
    pub(super) async fn end(&self, browser: &Browser, state: &str) -> Result<Option<Errand>, SignInError> {
        let mut tx = self.database.begin().await?;
        // Whoever deletes the row was first. Another browser's answer ends nothing.
        let sql = "DELETE FROM policy_logins WHERE hash = $1 AND browser = $2 AND until > $3 \
                   RETURNING configuration, scope, user_id, question, purpose";
        let args = vec![digest(state).into(), browser.hash().into(), self.clock.now().0.into()];
        let Some(row) = tx.row(sql, args).await? else { return Ok(None) };
        tx.commit().await?;
        let damaged = || DatabaseError::Unavailable("a stored errand is damaged".into());
        Ok(Some(Errand {
            configuration: row.text(0)?,
            scope: row.text(1)?.parse().map_err(|_| damaged())?,
            user: row.maybe_text(2)?,
            question: row.text(3)?,
            purpose: Purpose::parse(&row.text(4)?).ok_or_else(damaged)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(cookie: &str) -> Option<Browser> {
        let headers = [(http::header::COOKIE, cookie.parse().unwrap())].into_iter().collect();
        Browser::of(&headers)
    }

    #[test]
    fn a_browser_is_known_by_one_sound_cookie() {
        let own = Browser::new().unwrap();
        let cookie = own.set_cookie(false).split(';').next().unwrap().to_owned();
        let again = browser(&format!("a=b; {cookie}; c=d")).unwrap();
        assert_eq!(again.made("nonce", "s"), own.made("nonce", "s"));
        assert_ne!(own.made("nonce", "s"), own.made("verifier", "s"));
        assert_ne!(own.made("nonce", "s"), Browser::new().unwrap().made("nonce", "s"));
        for bad in [format!("{cookie}; {cookie}"), format!("{COOKIE}=short"), String::from("a=b")] {
            assert!(browser(&bad).is_none(), "{bad}");
        }
        assert!(own.set_cookie(true).contains("SameSite=None; ") || own.set_cookie(true).ends_with("SameSite=None"));
    }
}
