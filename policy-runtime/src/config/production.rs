//! What is too careless for production.

use std::path::Path;

use super::raw::Raw;
use super::secrets::{Written, weakness};
use super::{Config, is_loopback};
use crate::authn::token::is_for_browsers_alone;
use crate::database::DatabaseAddress;

/// Adds every fault; one never hides another.
pub(super) fn check(config: &Config, raw: &Raw, folder: &Path, faults: &mut Vec<String>) {
    if !config.base_url.starts_with("https://") {
        faults.push(format!("production: the base URL is not https: `{}`", config.base_url));
    }
    match &config.key {
        None if raw.secrets.key.is_none() && raw.secrets.key_file.is_none() => {
            faults.push("production: there is no `key`; make one with `openssl rand -hex 32`".into());
        }
        None => {}
        Some(key) => {
            if let Some(problem) = weakness(key.expose()) {
                faults.push(format!("production: the secret `key` {problem}"));
            }
        }
    }
    for problem in config.earlier_keys.iter().filter_map(|key| weakness(key.expose())) {
        faults.push(format!("production: one of `earlier_keys` {problem}"));
    }
    for provider in &raw.provider {
        let written = Written { value: provider.secret.clone(), file: provider.secret_file.clone() };
        // One that cannot be read is a fault already.
        if let Ok(Some(secret)) = written.secret("secret", folder)
            && let Some(problem) = weakness(secret.expose())
        {
            faults.push(format!("production: the secret of provider `{}` {problem}", provider.name));
        }
        let own = config.configurations.iter().find(|own| own.name == provider.name);
        if provider.settings.audience.is_empty() && !own.is_some_and(is_for_browsers_alone) {
            faults.push(format!("production: provider `{}` takes tokens without an audience", provider.name));
        }
        if let Some(issuer) = provider.settings.issuer.as_deref()
            && issuer.starts_with("http://")
        {
            faults.push(format!("production: the issuer of provider `{}` is not https: `{issuer}`", provider.name));
        }
    }
    if matches!(config.database, DatabaseAddress::Memory) {
        faults.push("production: the database is in memory, and ends with the process".into());
    }
    if config.cors.credentials && config.cors.origins.iter().any(|origin| origin == "*") {
        faults.push("production: CORS lets pages of every origin (`*`) send credentials".into());
    }
    if !config.secure_cookies {
        faults.push("production: cookies are not secure; they would go over plain http".into());
    }
    if !config.rate_limits {
        faults.push("production: rate limits are off".into());
    }
    let is_covered = config.tls.is_some() || !config.trusted_proxies.is_empty();
    if !(is_covered || (config.is_local() && is_loopback(&config.base_url))) {
        faults.push(format!(
            "production: credentials would come over plain http to {}; name a certificate in `tls_chain_file`, or put a proxy \
             that speaks TLS in front, and name it in `trusted_proxies`",
            config.listen
        ));
    }
}
