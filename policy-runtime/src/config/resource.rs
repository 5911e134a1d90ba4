//! The smallest form of a deployment: no server, no database, tokens that are verified offline.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{Config, Faults};
use crate::authn::Chain;
use crate::authn::token::{ParticipantIds, TokenAuthenticator, token_sources};
use crate::clock::Clock;
use crate::identity::{Directory, MemoryStore, ProvisioningSettings};
use crate::secret::Secret;

/// Makes the chain of a resource server: the tokens of the configured providers, and nothing that is stored.
///
/// Without a `key`, participants get ids that everybody who knows the issuer can compute; they are as unique, and as
/// opaque to rules, as others.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::config::{Config, Environment, resource_server};
/// let environment = Environment::of([("AUTH_ISSUER", "https://issuer.example"), ("AUTH_AUDIENCE", "api")]);
/// let config = Config::check("", &environment, ".".as_ref()).unwrap();
/// let chain = resource_server(&config, Arc::new(SystemClock)).unwrap();
/// # drop(chain);
/// ```
///
/// # Errors
/// When a provider cannot be used, or asks for users to be stored.
pub fn resource_server(config: &Config, clock: Arc<dyn Clock>) -> Result<Chain, Faults> {
    let stored = config.references.iter().filter(|used| used.settings.provisioning != ProvisioningSettings::Token);
    let mut faults: Vec<String> =
        stored.map(|used| format!("provider `{}`: a resource server stores no users", used.configuration)).collect();
    let nobody: Arc<dyn Directory> = Arc::new(MemoryStore::default());
    let (sources, unusable) = token_sources(&config.configurations, &config.references, &nobody, &clock);
    faults.extend(unusable.iter().map(ToString::to_string));
    if sources.is_empty() && faults.is_empty() {
        faults.push("there is no provider: set `AUTH_ISSUER` and `AUTH_AUDIENCE`, or `JWT_SECRET`".into());
    }
    let key = match config.earlier_keys.last().or(config.key.as_ref()) {
        Some(key) => key.expose().to_vec(),
        None => Sha256::digest(format!("participants of {}", config.application)).to_vec(),
    };
    let ids = ParticipantIds::new(Secret::new(key)).map_err(|error| Faults(vec![error.to_string()]))?;
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let tokens = sources.into_iter().fold(TokenAuthenticator::new(clock, ids), TokenAuthenticator::with);
    Ok(config
        .methods
        .iter()
        .fold(Chain::builder().with(tokens), |chain, (scope, methods)| {
            chain.methods(scope.clone(), methods.iter().map(String::as_str))
        })
        .build())
}
