//! What our client shows a provider: a secret that was agreed on, or one that is signed anew each time.

use policy_core::value::Millis;
use serde_json::json;

use super::super::presets::Browser;
use super::super::signing::SigningKey;
use crate::identity::Configuration;
use crate::secret::Secret;

/// How long a signed secret is good, in seconds.
const SIGNED_S: i64 = 5 * 60;

#[derive(Debug)]
pub(super) enum ClientSecret {
    Agreed(Secret<String>),
    /// Apple's: a token of the team, for Apple, about the client.
    Signed {
        key: Box<SigningKey>,
        team: String,
        issuer: String,
    },
}

impl ClientSecret {
    /// The secret of a configuration; a client without one proves itself by PKCE alone.
    pub(super) fn of(configuration: &Configuration, browser: Browser, issuer: &str) -> Result<Option<Self>, String> {
        let (settings, secret) = (&configuration.settings, &configuration.client_secret);
        if browser != Browser::Apple {
            if browser == Browser::GitHub && secret.is_none() {
                return Err("GitHub takes no client without a secret; set `client_secret`".into());
            }
            return Ok(secret.clone().map(Self::Agreed));
        }
        let (Some(team), Some(kid), Some(pem)) = (&settings.team_id, &settings.key_id, secret) else {
            return Err("Apple's client needs `team_id`, `key_id` and its private key as `client_secret_file`".into());
        };
        let key = SigningKey::from_pem(kid, pem).map_err(|error| format!("`client_secret`: {}", error.detail()))?;
        Ok(Some(Self::Signed { key: key.into(), team: team.clone(), issuer: issuer.to_owned() }))
    }

    /// The secret to show now.
    pub(super) fn now(&self, client: &str, now: Millis) -> Secret<String> {
        match self {
            Self::Agreed(secret) => secret.clone(),
            Self::Signed { key, team, issuer } => {
                let now = now.0.div_euclid(1_000);
                key.sign(
                    "JWT",
                    &json!({ "iss": team, "iat": now, "exp": now + SIGNED_S, "aud": issuer, "sub": client }),
                )
            }
        }
    }
}
