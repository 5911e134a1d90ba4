//! Where a provider is asked: by discovery, or where everybody knows that it is.

use std::sync::Arc;
use std::time::Duration;

use policy_core::value::Millis;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::fetch::{Fetcher, is_fit_for_browsers};
use super::super::presets::{Browser, Preset};
use super::super::{FetchError, Json};
use super::failed;
use crate::authn::AuthnError;
use crate::clock::Clock;
use crate::identity::ProviderSettings;

/// After how long a provider is asked for its endpoints again.
const KEPT: Duration = Duration::from_mins(10);
/// How long nobody asks again after a failure.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// The endpoints of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) authorization: String,
    pub(super) token: String,
    pub(super) user_info: Option<String>,
    /// Whether every answer says whose it is (RFC 9207).
    pub(super) names_itself: bool,
    /// Whether the client's secret goes into the form.
    pub(super) secret_in_form: bool,
}

impl Found {
    /// Whether an answer may say that it is this issuer's.
    pub(super) fn is_named(&self, name: &str, issuer: &str) -> bool {
        // GitHub has two names: the address of its endpoints is the newer one.
        name == issuer || self.authorization.strip_suffix("/authorize") == Some(name)
    }
}

#[derive(Debug)]
pub(super) enum Endpoints {
    Known(Arc<Found>),
    Discovered { issuer: String, kept: Mutex<Kept> },
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    found: Option<Arc<Found>>,
    asked: Option<Millis>,
}

impl Endpoints {
    pub(super) fn of(preset: &Preset, settings: &ProviderSettings, issuer: &str) -> Self {
        let known = |authorization: String, token: String, user_info: Option<String>| {
            let found = Found { authorization, token, user_info, names_itself: false, secret_in_form: true };
            Self::Known(Arc::new(found))
        };
        match preset.browser() {
            Browser::GitHub => {
                // A company's own GitHub has its interface beside the pages.
                let at = issuer.trim_end_matches('/');
                let api =
                    if at == "https://github.com" { "https://api.github.com".into() } else { format!("{at}/api/v3") };
                let oauth = format!("{at}/login/oauth");
                known(format!("{oauth}/authorize"), format!("{oauth}/access_token"), Some(format!("{api}/user")))
            }
            // Several tenants share these endpoints.
            Browser::OpenId if !settings.tenants.is_empty() => {
                let at = "https://login.microsoftonline.com/organizations/oauth2/v2.0";
                known(format!("{at}/authorize"), format!("{at}/token"), None)
            }
            Browser::Never | Browser::OpenId | Browser::Google | Browser::Apple => {
                Self::Discovered { issuer: issuer.to_owned(), kept: Mutex::default() }
            }
        }
    }

    /// The endpoints as they are known, or as the provider says them now; one question at a time.
    pub(super) async fn find(
        &self,
        fetcher: &Fetcher,
        clock: &dyn Clock,
        until: Instant,
    ) -> Result<Arc<Found>, AuthnError> {
        let (issuer, kept) = match self {
            Self::Known(found) => return Ok(found.clone()),
            Self::Discovered { issuer, kept } => (issuer, kept),
        };
        let mut kept = tokio::time::timeout_at(until, kept.lock()).await.map_err(|_| failed(FetchError::TimedOut))?;
        let now = clock.now();
        let age = kept.asked.map_or(Duration::MAX, |at| Duration::from_millis(now.0.abs_diff(at.0)));
        if let Some(found) = kept.found.as_ref().filter(|_| age < KEPT) {
            return Ok(found.clone());
        }
        if kept.found.is_none() && age < COOL_DOWN {
            return Err(failed("it could not be asked a moment ago"));
        }
        kept.asked = Some(now);
        kept.found = None;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata = Json::parse(&fetcher.get(&url, until).await.map_err(failed)?).map_err(failed)?;
        let found = Arc::new(read(&metadata, issuer).map_err(failed)?);
        kept.found = Some(found.clone());
        Ok(found)
    }
}

/// Reads what is needed of a provider's metadata (OpenID Connect Discovery, RFC 8414).
fn read(metadata: &Json, issuer: &str) -> Result<Found, &'static str> {
    let text = |name: &str| metadata.get(name).and_then(Json::as_text);
    if text("issuer") != Some(issuer) {
        return Err("the metadata are those of another issuer");
    }
    let url = |name: &str, missing| text(name).filter(|url| is_fit_for_browsers(url)).ok_or(missing);
    let methods = metadata.get("token_endpoint_auth_methods_supported").and_then(Json::as_list);
    let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|one| one.as_text() == Some(method)));
    Ok(Found {
        authorization: url("authorization_endpoint", "the metadata name no authorization endpoint")?.to_owned(),
        token: url("token_endpoint", "the metadata name no token endpoint")?.to_owned(),
        user_info: text("userinfo_endpoint").map(str::to_owned),
        names_itself: metadata.get("authorization_response_iss_parameter_supported") == Some(&Json::Bool(true)),
        // Where nothing is said, the header is what all of them take.
        secret_in_form: takes("client_secret_post") && !takes("client_secret_basic"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(more: &str) -> Json {
        let text = format!(
            r#"{{"issuer":"https://i.example","authorization_endpoint":"https://i.example/a","token_endpoint":"https://i.example/t"{more}}}"#
        );
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn metadata_are_the_issuers_own_and_lead_to_safe_places() {
        let found = read(&metadata(""), "https://i.example").unwrap();
        assert!(!found.names_itself && !found.secret_in_form && found.user_info.is_none());
        let more = r#","authorization_response_iss_parameter_supported":true,"token_endpoint_auth_methods_supported":["client_secret_post"]"#;
        let found = read(&metadata(more), "https://i.example").unwrap();
        assert!(found.names_itself && found.secret_in_form);
        for issuer in ["https://i.example/", "https://evil.example", "http://i.example"] {
            assert!(read(&metadata(""), issuer).is_err(), "{issuer}");
        }
        for bad in ["http://i.example/a", "javascript:alert(1)", "https://i.example/a#f", "https://u@i.example/a", "/a"]
        {
            let text = format!(
                r#"{{"issuer":"https://i.example","authorization_endpoint":"{bad}","token_endpoint":"https://i.example/t"}}"#
            );
            assert!(read(&Json::parse(text.as_bytes()).unwrap(), "https://i.example").is_err(), "{bad}");
        }
    }
}
