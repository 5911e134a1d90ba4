//! Looks at a configuration against the live world: providers, a sample token, what each scope lacks.

use std::fmt;
use std::sync::Arc;

use crate::authn::token::{KeyPlace, LoginProvider, Mapped, Preset, Question, keys_of, token_sources};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::identity::{Directory, MemoryStore, ProvisioningSettings, Reference};
use crate::secret::Secret;

/// What was found.
///
/// ```
/// use policy_runtime::server::Finding;
/// assert_eq!(Finding::Good("provider `main`: 2 keys".into()).to_string(), "ok     provider `main`: 2 keys");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "something is good, worth a look, or wrong")]
pub enum Finding {
    /// It works.
    Good(String),
    /// It works, and may not be meant.
    Look(String),
    /// It does not work.
    Wrong(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(text) => write!(f, "ok     {text}"),
            Self::Look(text) => write!(f, "look   {text}"),
            Self::Wrong(text) => write!(f, "WRONG  {text}"),
        }
    }
}

/// All findings, in order.
///
/// ```
/// use policy_runtime::server::{Examined, Finding};
/// assert!(Examined(vec![Finding::Look("nobody may sign in".into())]).is_good());
/// assert!(!Examined(vec![Finding::Wrong("no keys".into())]).is_good());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examined(pub Vec<Finding>);

impl Examined {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        !self.0.iter().any(|finding| matches!(finding, Finding::Wrong(_)))
    }
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// Asks every provider for its keys, explains a token, and says what each scope lacks. Nothing is stored, nobody signed in.
///
/// ```
/// use policy_runtime::config::Config;
/// use policy_runtime::server::examine;
///
/// async fn can_start(config: &Config) -> bool {
///     examine(config, None).await.is_good()
/// }
/// ```
pub async fn examine(config: &Config, token: Option<&Secret<String>>) -> Examined {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut found = Vec::new();
    for configuration in &config.configurations {
        let name = &configuration.name;
        if configuration.secret.is_some() {
            found.push(Finding::Good(format!("provider `{name}` shares a secret")));
            continue;
        }
        // What is there for signing in alone may have no keys.
        match LoginProvider::of(configuration, &clock) {
            Err(problem) => found.push(Finding::Wrong(format!("provider `{name}`: {problem}"))),
            Ok(None) => {}
            Ok(Some(provider)) => {
                let question = Question { callback: "", state: "", nonce: "", verifier: "", fresh: false };
                found.push(match provider.address(&question).await {
                    Ok(_) => Finding::Good(format!("people can be sent to provider `{name}`")),
                    Err(error) => Finding::Wrong(format!("provider `{name}`: {}", error.detail())),
                });
            }
        }
        let is_without_keys = Preset::find(&configuration.settings.preset).is_some_and(|p| p.keys() == KeyPlace::None);
        if is_without_keys {
            continue;
        }
        match keys_of(&configuration.settings, &clock) {
            Err(problem) => found.push(Finding::Wrong(format!("provider `{name}`: {problem}"))),
            Ok(places) => {
                let mut answers = Vec::new();
                for place in &places {
                    answers.push(place.ask().await);
                }
                let first = answers.iter().find_map(|answer| answer.as_ref().ok());
                let failed = answers.iter().find_map(|answer| answer.as_ref().err());
                found.push(match (first, failed) {
                    (Some(keys), _) => Finding::Good(format!("provider `{name}` has {} usable keys", keys.len())),
                    (None, Some(error)) => Finding::Wrong(format!("provider `{name}`: {error}")),
                    (None, None) => Finding::Wrong(format!("provider `{name}`: it has no keys")),
                });
                for (kid, reason) in first.map(crate::authn::token::KeySet::skipped).unwrap_or_default() {
                    let kid = kid.as_deref().unwrap_or("without id");
                    found.push(Finding::Look(format!("provider `{name}`: key `{kid}` is passed over: {reason}")));
                }
            }
        }
    }
    for scope in &config.scopes {
        lacks(config, scope, &mut found);
    }
    if let Some(token) = token {
        explain(config, token, &clock, &mut found).await;
    }
    Examined(found)
}

fn lacks(config: &Config, scope: &policy_core::Scope, found: &mut Vec<Finding>) {
    let uses: Vec<&Reference> = config.references.iter().filter(|reference| reference.scope == *scope).collect();
    let methods = config.methods.iter().find(|(known, _)| known == scope).map(|(_, methods)| methods);
    let on = |method: &str| methods.is_none_or(|methods| methods.contains(method));
    if methods.is_some_and(std::collections::BTreeSet::is_empty) {
        found.push(Finding::Wrong(format!("scope `{scope}`: every method is off, nobody can sign in")));
    }
    if uses.is_empty() {
        let rest = if on("password") { "people need passwords here" } else { "and passwords are off" };
        found.push(Finding::Look(format!("scope `{scope}` uses no provider; {rest}")));
    } else if !on("token") {
        found.push(Finding::Wrong(format!("scope `{scope}` uses providers, and the method `token` is off")));
    }
    for reference in uses {
        let (name, settings) = (&reference.configuration, &reference.settings);
        if settings.roles.is_empty() && settings.everybody.is_empty() {
            found.push(Finding::Look(format!("scope `{scope}`: provider `{name}` gives nobody a role")));
        }
        let problem = match &settings.provisioning {
            ProvisioningSettings::PreCreated { domains } if domains.is_empty() => {
                "binds users by invitation alone: it has the say about no domain"
            }
            ProvisioningSettings::Auto { domains, .. } if domains.is_empty() => "lets nobody in: no domain is allowed",
            ProvisioningSettings::Registration => "lets in only who has registered",
            ProvisioningSettings::Token
            | ProvisioningSettings::PreCreated { .. }
            | ProvisioningSettings::Auto { .. } => continue,
        };
        found.push(Finding::Look(format!("scope `{scope}`: provider `{name}` {problem}")));
    }
}

async fn explain(config: &Config, token: &Secret<String>, clock: &Arc<dyn Clock>, found: &mut Vec<Finding>) {
    // Nobody is stored by a look.
    let store: Arc<dyn Directory> = Arc::new(MemoryStore::default());
    let (sources, faults) = token_sources(&config.configurations, &config.references, &store, clock);
    found.extend(faults.iter().map(|fault| Finding::Wrong(fault.to_string())));
    if sources.is_empty() && faults.is_empty() {
        found.push(Finding::Wrong("the token: no scope uses a provider".into()));
    }
    for source in sources {
        let shown = source.dry_run(token.expose().trim(), clock.as_ref()).await;
        let whose = format!("the token, by `{}` in `{}`", shown.configuration, shown.scope);
        match &shown.verdict {
            Ok(()) => found.push(Finding::Good(format!("{whose}: it is good"))),
            Err(error) => {
                found.push(Finding::Wrong(format!("{whose}: {error}")));
                continue;
            }
        }
        for (name, mapped) in &shown.mapped {
            found.push(match mapped {
                Mapped::Value(value) => Finding::Good(format!("{whose}: `{name}` becomes {value:?}")),
                Mapped::Absent => Finding::Look(format!("{whose}: `{name}` is absent")),
                Mapped::Refused(problem) => Finding::Wrong(format!("{whose}: `{name}` refuses: {problem}")),
            });
        }
    }
}
