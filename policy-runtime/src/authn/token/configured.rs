//! From configurations as they are written and stored to the sources that verify tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::jws::Algorithm;
use super::keys::{KeySet, MAX_KEY_SET, SharedSecret};
use super::mapping::{ClaimKind, ClaimMapping, OnMismatch};
use super::path::ClaimPath;
use super::presets::{KeyPlace, PRESETS, Preset};
use super::provision::Provisioned;
use super::rules::TokenRules;
use super::source::{KeySource, TokenSource};
use super::{Fetcher, JwksTimes, Reach, RemoteKeys};
use crate::authn::{AuthnCode, AuthnError, BoxFuture};
use crate::clock::Clock;
use crate::identity::{
    AttributeSettings, Configuration, Directory, ProviderSettings, ProvisioningSettings, Reference, ReferenceSettings,
};

/// What is wrong with a configuration or with its use in a scope.
///
/// ```
/// use policy_runtime::authn::token::ProviderFault;
/// let fault = ProviderFault { provider: "corporate".into(), problem: "no issuer is named".into() };
/// assert_eq!(fault.to_string(), "provider `corporate`: no issuer is named");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provider `{provider}`: {problem}")]
pub struct ProviderFault {
    /// The configuration's name.
    pub provider: String,
    /// What is wrong.
    pub problem: String,
}

/// The whole issuer of a provider; `None` where none is named.
///
/// # Errors
/// When the preset is unknown, or the issuer is said twice or not at all.
///
/// ```
/// use policy_runtime::authn::token::issuer_of;
/// use policy_runtime::identity::ProviderSettings;
/// let settings = ProviderSettings::of("oidc").issuer("https://idp.example");
/// assert_eq!(issuer_of(&settings), Ok(Some("https://idp.example".to_owned())));
/// ```
pub fn issuer_of(settings: &ProviderSettings) -> Result<Option<String>, String> {
    let preset = preset_of(settings)?;
    match (&settings.issuer, &settings.customer) {
        (Some(_), Some(_)) => Err("`issuer` and `customer` say the same thing; write one of them".into()),
        (Some(issuer), None) => Ok(Some(issuer.clone())),
        (None, Some(own)) => Ok(Some(preset.issuer_of(own))),
        (None, None) if preset.issuer_of("") == preset.issuer_of("x") => Ok(Some(preset.issuer_of(""))),
        (None, None) => Ok(None),
    }
}

pub(super) fn preset_of(settings: &ProviderSettings) -> Result<&'static Preset, String> {
    Preset::find(&settings.preset).ok_or_else(|| {
        let known: Vec<&str> = PRESETS.iter().map(Preset::name).collect();
        format!("there is no preset `{}`; there are {}", settings.preset, known.join(", "))
    })
}

/// What a provider's tokens must be.
///
/// # Errors
/// When the settings contradict one another or leave out what is needed.
///
/// ```
/// use policy_runtime::authn::token::rules_of;
/// use policy_runtime::identity::ProviderSettings;
/// let settings = ProviderSettings::of("oidc").issuer("https://idp.example").audience("shop");
/// assert!(rules_of(&settings, false).is_ok());
/// ```
pub fn rules_of(settings: &ProviderSettings, is_shared: bool) -> Result<TokenRules, String> {
    let preset = preset_of(settings)?;
    let issuer = issuer_of(settings)?;
    let mut audience = settings.audience.iter();
    let mut rules = match (issuer, is_shared) {
        _ if !settings.tenants.is_empty() => {
            let first = audience.next().ok_or("there is no `audience`")?;
            preset.rules_for_tenants(settings.tenants.iter().map(String::as_str), first)
        }
        (None, true) => {
            let rules = preset.rules("", "");
            if preset.keys() == KeyPlace::Shared { rules } else { TokenRules::unnamed() }
        }
        (None, false) => return Err("there is no `issuer`".into()),
        (Some(issuer), _) if preset.keys() == KeyPlace::Shared => {
            preset.rules("", "").issuer(super::IssuerRule::Exactly(issuer))
        }
        (Some(issuer), is_shared) => match audience.next() {
            Some(first) => preset.rules(&issuer, first),
            // A secret is shared with few; public keys prove nothing about for whom a token is.
            None if is_shared => TokenRules::unnamed().issuer(super::IssuerRule::Exactly(issuer)),
            None => return Err("there is no `audience`".into()),
        },
    };
    rules = audience.fold(rules, TokenRules::or_audience);
    if !settings.algorithms.is_empty() {
        let parse = |name: &String| {
            let algorithm = Algorithm::parse(name).ok_or_else(|| format!("there is no algorithm `{name}`"))?;
            if !is_shared && algorithm == Algorithm::Hs256 {
                return Err("`HS256` needs a shared secret".to_owned());
            }
            Ok(algorithm)
        };
        rules = rules.algorithms(settings.algorithms.iter().map(parse).collect::<Result<Vec<_>, _>>()?);
    }
    if let Some(seconds) = settings.max_lifetime_s {
        rules = rules.max_lifetime_s(seconds);
    }
    rules = settings.required.iter().fold(rules, |rules, claim| rules.required(ClaimPath::dotted(claim)));
    Ok(settings.equal.iter().fold(rules, |rules, (claim, value)| rules.equal(ClaimPath::dotted(claim), value)))
}

/// What the claims of a provider's tokens become in a scope.
///
/// # Errors
/// When an attribute has no kind, is built in, or is mapped twice.
///
/// ```
/// use policy_runtime::authn::token::mapping_of;
/// use policy_runtime::identity::{ProviderSettings, ReferenceSettings};
/// assert!(mapping_of(&ProviderSettings::of("oidc"), &ReferenceSettings::default()).is_ok());
/// ```
pub fn mapping_of(settings: &ProviderSettings, reference: &ReferenceSettings) -> Result<ClaimMapping, String> {
    let mut mapping = preset_of(settings)?.mapping().map_err(|error| error.to_string())?;
    for claim in &reference.roles_from {
        mapping = mapping.roles(ClaimPath::dotted(claim));
    }
    for (value, role) in &reference.roles {
        mapping = mapping.allow_role(value, role);
    }
    for role in &reference.everybody {
        mapping = mapping.everybody_is(role);
    }
    for (name, attribute) in &reference.attributes {
        let claim =
            if attribute.literal { ClaimPath::name(&attribute.claim) } else { ClaimPath::dotted(&attribute.claim) };
        let (kind, on_mismatch) = (kind_of(attribute)?, on_mismatch_of(attribute)?);
        mapping = mapping.attribute_or(name, claim, kind, on_mismatch).map_err(|error| error.to_string())?;
    }
    if let Some(tenant) = &reference.tenant {
        let allowed = tenant.allowed.iter().map(String::as_str);
        mapping = mapping.tenant(ClaimPath::dotted(&tenant.claim), allowed);
    }
    if let Some(mfa) = &reference.mfa {
        mapping = mapping.mfa(mfa.amr.iter().map(String::as_str), mfa.acr.iter().map(String::as_str));
    }
    Ok(mapping)
}

/// Whether nobody shows tokens of a configuration here: it is there to sign in with.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::authn::token::is_for_browsers_alone;
/// use policy_runtime::identity::{Configuration, ProviderSettings};
/// let google = |settings: ProviderSettings| Configuration::new("google", Scope::System, settings);
/// assert!(is_for_browsers_alone(&google(ProviderSettings::of("google").client("shop"))));
/// assert!(!is_for_browsers_alone(&google(ProviderSettings::of("google").client("shop").audience("shop"))));
/// ```
pub fn is_for_browsers_alone(configuration: &Configuration) -> bool {
    let settings = &configuration.settings;
    let is_without_tokens = Preset::find(&settings.preset).is_some_and(|preset| preset.keys() == KeyPlace::None);
    let has_client = settings.client_id.is_some() && configuration.secret.is_none();
    is_without_tokens || (has_client && settings.audience.is_empty())
}

fn kind_of(attribute: &AttributeSettings) -> Result<ClaimKind, String> {
    Ok(match attribute.kind.as_str() {
        "text" => ClaimKind::Text,
        "bool" => ClaimKind::Bool,
        "long" => ClaimKind::Long,
        "decimal" => ClaimKind::Decimal,
        "datetime" => ClaimKind::Datetime,
        "uuid" => ClaimKind::Uuid,
        "ip" => ClaimKind::Ip,
        "texts" => ClaimKind::texts(),
        "longs" => ClaimKind::Set(Box::new(ClaimKind::Long)),
        "words" => ClaimKind::Words,
        other => {
            return Err(format!(
                "there is no kind `{other}`; there are text, bool, long, decimal, datetime, uuid, ip, texts, longs, words"
            ));
        }
    })
}

fn on_mismatch_of(attribute: &AttributeSettings) -> Result<OnMismatch, String> {
    match attribute.on_mismatch.as_deref() {
        None | Some("refuse") => Ok(OnMismatch::Refuse),
        Some("absent") => Ok(OnMismatch::Absent),
        Some(other) => Err(format!("`on_mismatch` is `refuse` or `absent`, not `{other}`")),
    }
}

/// Asks a provider, at a URL that its configuration names, as far and by whom trusted as that says.
pub(super) fn fetcher_of(settings: &ProviderSettings, url: &str) -> Result<Fetcher, String> {
    let reach = if settings.private_network { Reach::Private } else { Reach::of(url) };
    let fetcher = match &settings.tls_roots {
        Some(pem) => Fetcher::trusting(reach, MAX_KEY_SET, pem),
        None => Fetcher::new(reach, MAX_KEY_SET),
    };
    fetcher.map_err(|error| error.to_string())
}

/// Asks for the keys where discovery names them, and where presets know them if there is no discovery.
#[derive(Debug)]
pub(super) struct Somewhere(Vec<Arc<RemoteKeys>>);

impl Somewhere {
    pub(super) const fn of(places: Vec<Arc<RemoteKeys>>) -> Self {
        Self(places)
    }
}

impl KeySource for Somewhere {
    fn keys<'a>(&'a self, kid: Option<&'a str>) -> BoxFuture<'a, Result<Arc<KeySet>, AuthnError>> {
        Box::pin(async move {
            let mut last = AuthnError::new(AuthnCode::Unavailable, "the issuer's keys cannot be had");
            for place in &self.0 {
                match place.keys(kid).await {
                    Ok(keys) => return Ok(keys),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

/// The keys of a provider, wherever they are.
///
/// # Errors
/// When nothing says where they are, or TLS cannot be set up.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::token::keys_of;
/// use policy_runtime::clock::{Clock, SystemClock};
/// use policy_runtime::identity::ProviderSettings;
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock);
/// assert_eq!(keys_of(&ProviderSettings::of("oidc").issuer("https://idp.example"), &clock).unwrap().len(), 1);
/// ```
pub fn keys_of(settings: &ProviderSettings, clock: &Arc<dyn Clock>) -> Result<Vec<Arc<RemoteKeys>>, String> {
    let preset = preset_of(settings)?;
    let issuer = issuer_of(settings)?;
    let fetcher = |url: &str| fetcher_of(settings, url);
    let at = |url: &str| Ok::<_, String>(RemoteKeys::at_by(url, fetcher(url)?, clock.clone(), JwksTimes::default()));
    if let Some(url) = &settings.keys_url {
        return Ok(vec![at(url)?]);
    }
    let Some(issuer) = issuer else {
        return match preset.key_url("") {
            Some(url) if !settings.tenants.is_empty() => Ok(vec![at(&url)?]),
            _ => Err("nothing says where its keys are: `issuer`, `keys_url` or a secret".into()),
        };
    };
    if let Some(url) = preset.key_url(&issuer) {
        return Ok(vec![at(&url)?]);
    }
    let discovered = RemoteKeys::discover_by(&issuer, fetcher(&issuer)?, clock.clone(), JwksTimes::default());
    let mut places = vec![discovered];
    if settings.any_place {
        for path in ["/api/auth/jwks", "/.well-known/jwks.json"] {
            places.push(at(&format!("{}{path}", issuer.trim_end_matches('/')))?);
        }
    }
    Ok(places)
}

/// Makes the sources of all references, and says what is wrong with those of which none can be made.
///
/// References to one configuration share its keys. Users are provisioned in `store`. A configuration that has a client and
/// names no audience is there to sign in with, so that its tokens are nobody's credential.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::token::token_sources;
/// use policy_runtime::clock::{Clock, SystemClock};
/// use policy_runtime::identity::{Directory, MemoryStore};
/// let (store, clock): (Arc<dyn Directory>, Arc<dyn Clock>) = (Arc::new(MemoryStore::default()), Arc::new(SystemClock));
/// let (sources, faults) = token_sources(&[], &[], &store, &clock);
/// assert!(sources.is_empty() && faults.is_empty());
/// ```
pub fn token_sources(
    configurations: &[Configuration],
    references: &[Reference],
    store: &Arc<dyn Directory>,
    clock: &Arc<dyn Clock>,
) -> (Vec<TokenSource>, Vec<ProviderFault>) {
    let (mut sources, mut faults) = (Vec::new(), Vec::new());
    let mut keys: BTreeMap<&str, Arc<Somewhere>> = BTreeMap::new();
    for reference in references {
        let mut make = || -> Result<Option<TokenSource>, String> {
            let found = configurations.iter().find(|found| found.name == reference.configuration);
            let configuration = found.ok_or("there is no such configuration")?;
            if is_for_browsers_alone(configuration) {
                return Ok(None);
            }
            let (name, scope) = (configuration.name.as_str(), reference.scope.clone());
            let settings = &configuration.settings;
            let rules = rules_of(settings, configuration.secret.is_some())?;
            let source = if let Some(secret) = &configuration.secret {
                let secret = SharedSecret::new(secret).map_err(|error| error.detail().to_owned())?;
                TokenSource::with_secret(name, scope, rules, secret)
            } else {
                let shared = if let Some(shared) = keys.get(name) {
                    shared.clone()
                } else {
                    let shared = Arc::new(Somewhere::of(keys_of(settings, clock)?));
                    keys.insert(name, shared.clone());
                    shared
                };
                TokenSource::with_source(name, scope, rules, shared)
            };
            let mapping = mapping_of(settings, &reference.settings)?;
            let source = source.mapping(mapping.clone());
            Ok(Some(match users_of(reference, mapping, store) {
                Some(users) => source.users(Arc::new(users)),
                None => source,
            }))
        };
        match make() {
            Ok(source) => sources.extend(source),
            Err(problem) => faults.push(ProviderFault { provider: reference.configuration.clone(), problem }),
        }
    }
    (sources, faults)
}

/// The users of a reference; none where tokens alone make participants.
pub(super) fn users_of(
    reference: &Reference,
    mapping: ClaimMapping,
    store: &Arc<dyn Directory>,
) -> Option<Provisioned> {
    let users = Provisioned::new(&reference.configuration, reference.scope.clone(), store.clone()).mapping(mapping);
    Some(match &reference.settings.provisioning {
        ProvisioningSettings::Token => return None,
        ProvisioningSettings::PreCreated { domains } => users.authoritative_for(domains.iter().map(String::as_str)),
        ProvisioningSettings::Auto { domains, roles } => {
            users.automatic(domains.iter().map(String::as_str), roles.iter().map(String::as_str))
        }
        ProvisioningSettings::Registration => users.registration(),
    })
}
