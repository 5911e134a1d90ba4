//! Tokens of pages: where a list goes on, bound to the caller and to what was asked.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use policy_core::value::Millis;
use sha2::Sha256;

use super::ask::Refused;
use crate::json::Json;
use crate::secret::Secret;

/// How long a token is good for.
const LIFE_MS: i64 = 3_600_000;
/// The most results of one page, and how many there are if the caller does not say.
const MOST: usize = 1_000;
const USUAL: usize = 100;
const MAC: usize = 32;
const TIME: usize = 8;

/// The key under which tokens are made.
pub(super) struct PageKey(Secret<[u8; 32]>);

impl std::fmt::Debug for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageKey(..)")
    }
}

/// What part of a list is asked for.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) limit: usize,
    pub(super) after: Option<String>,
    /// Whether the caller asked for pages, and so is told of them.
    pub(super) asked: bool,
}

impl PageKey {
    /// A key of this process: tokens end with it.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(Secret::new(bytes)))
    }

    /// A key that servers share.
    pub(super) const fn shared(bytes: Secret<[u8; 32]>) -> Self {
        Self(bytes)
    }

    fn mac(&self, bound: &str, rest: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).ok()?;
        mac.update(&(bound.len() as u64).to_be_bytes());
        mac.update(bound.as_bytes());
        mac.update(rest);
        Some(mac)
    }

    /// A token for what comes after the last result that the caller was shown.
    pub(super) fn token(&self, bound: &str, last: &str, now: Millis) -> Option<String> {
        let mut rest = now.0.to_be_bytes().to_vec();
        rest.extend_from_slice(last.as_bytes());
        let mut token = self.mac(bound, &rest)?.finalize().into_bytes().to_vec();
        token.extend_from_slice(&rest);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// Reads what a request says of pages.
    pub(super) fn read(&self, page: Option<&Json>, bound: &str, now: Millis) -> Result<Page, Refused> {
        let Some(page) = page.filter(|page| **page != Json::Null) else {
            return Ok(Page { limit: MOST, after: None, asked: false });
        };
        let Json::Object(_) = page else { return Err(Refused::malformed("`page` is not an object")) };
        let limit = match page.get("limit") {
            None | Some(Json::Null) => USUAL,
            Some(limit) => limit
                .as_long()
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| *n > 0)
                .ok_or_else(|| Refused::malformed("`page.limit` is not a whole number above 0"))?
                .min(MOST),
        };
        let after = match page.get("token") {
            None | Some(Json::Null) => None,
            Some(Json::Text(token)) if token.is_empty() => None,
            Some(Json::Text(token)) => Some(self.open(token, bound, now).ok_or_else(|| {
                Refused::malformed(
                    "`page.token` is not one for this request: it has ended, or something else has changed",
                )
            })?),
            Some(Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_)) => {
                return Err(Refused::malformed("`page.token` is not a string"));
            }
        };
        Ok(Page { limit, after, asked: true })
    }

    fn open(&self, token: &str, bound: &str, now: Millis) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (mac, rest) = bytes.split_at_checked(MAC)?;
        self.mac(bound, rest)?.verify_slice(mac).ok()?;
        let (time, last) = rest.split_at_checked(TIME)?;
        let made = i64::from_be_bytes(time.try_into().ok()?);
        let age = now.0.checked_sub(made)?;
        if !(0..=LIFE_MS).contains(&age) {
            return None;
        }
        String::from_utf8(last.to_vec()).ok()
    }
}

/// What a token is bound to: the endpoint, the caller, and every member of the request but its page.
pub(super) fn bound(endpoint: &str, caller: &str, body: &Json) -> String {
    let mut out = format!("{endpoint}\n{caller}\n");
    match body {
        Json::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| *name != "page") {
                let _ = writeln!(out, "{name:?}: {value:?}");
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => {}
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_request_its_caller_and_an_hour() {
        let key = PageKey::random().unwrap();
        let now = Millis(1_000_000);
        let token = key.token("a", "last", now).unwrap();
        assert_eq!(key.open(&token, "a", now).as_deref(), Some("last"));
        assert_eq!(key.open(&token, "b", now), None);
        assert_eq!(key.open(&token, "a", Millis(now.0 + LIFE_MS + 1)), None);
        assert_eq!(key.open(&token, "a", Millis(now.0 - 1)), None, "made in the future");
        assert_eq!(PageKey::random().unwrap().open(&token, "a", now), None);
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(key.open(&String::from_utf8(other).unwrap(), "a", now).as_deref(), Some("other"));
        }
        assert_eq!(key.open("", "a", now), None);
        assert_eq!(key.open("%%%", "a", now), None);
    }
}
