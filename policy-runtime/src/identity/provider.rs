//! OIDC configurations and their references by scopes, as data: what a file says and a store keeps.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::Scope;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::secret::Secret;

/// A named provider of identities, owned by one scope.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::identity::{Configuration, ProviderSettings};
///
/// let acme = Scope::organization("acme").unwrap();
/// let settings = ProviderSettings::of("oidc").issuer("https://idp.example").audience("shop");
/// let corporate = Configuration::new("corporate", acme.clone(), settings);
/// assert!(corporate.admits(&Scope::application("acme", "shop").unwrap()), "it lies under the owner");
/// assert!(!corporate.admits(&Scope::organization("globex").unwrap()));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Configuration {
    /// Its name, unique in the deployment.
    pub name: String,
    /// Who owns it; this scope or one above edits it.
    pub owner: Scope,
    /// What its tokens look like and where its keys are.
    pub settings: ProviderSettings,
    /// The secret that its tokens are signed with, where it is shared.
    pub secret: Option<Secret<Vec<u8>>>,
    /// The secret of our client there; of Apple, the private key that makes it (PEM).
    pub client_secret: Option<Secret<String>>,
    /// Scopes outside the owner that may refer to it.
    pub shared_with: BTreeSet<Scope>,
    /// Whether it stands in the configuration file, which then has the say.
    pub declared: bool,
}

impl Configuration {
    /// Makes a configuration that nobody refers to yet.
    pub fn new(name: &str, owner: Scope, settings: ProviderSettings) -> Self {
        Self {
            name: name.to_owned(),
            owner,
            settings,
            secret: None,
            client_secret: None,
            shared_with: BTreeSet::new(),
            declared: false,
        }
    }

    /// Sets the shared secret.
    #[must_use]
    pub fn secret(mut self, secret: Secret<Vec<u8>>) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Sets the secret of our client at the provider.
    #[must_use]
    pub fn client_secret(mut self, secret: Secret<String>) -> Self {
        self.client_secret = Some(secret);
        self
    }

    /// Marks it as standing in the configuration file.
    #[must_use]
    pub const fn declared(mut self) -> Self {
        self.declared = true;
        self
    }

    /// Whether a scope may refer to it: one under the owner, or one that the owner shared it with.
    pub fn admits(&self, scope: &Scope) -> bool {
        self.owner.covers(scope) || self.shared_with.contains(scope)
    }

    /// What must stay once somebody is known by it.
    pub(super) fn fixed(&self) -> (&Scope, &Option<String>, &Option<String>, &Option<String>, &str) {
        let settings = &self.settings;
        (&self.owner, &settings.issuer, &settings.customer, &settings.client_id, &settings.preset)
    }

    pub(super) fn check_change(&self, earlier: &Self, is_known: bool) -> Result<(), StoreError> {
        if is_known && self.fixed() != earlier.fixed() {
            return Err(StoreError::Invalid(format!(
                "owner, issuer and client of configuration `{}` cannot change: users are known by it",
                self.name
            )));
        }
        Ok(())
    }
}

/// How a scope uses a configuration.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::identity::{Reference, ReferenceSettings};
/// let shop = Scope::application("acme", "shop").unwrap();
/// let reference = Reference::new("corporate", shop, ReferenceSettings::default());
/// assert!(!reference.declared, "made by an administrator, not by a file");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reference {
    /// The configuration's name.
    pub configuration: String,
    /// The scope that uses it.
    pub scope: Scope,
    /// What its claims become there, and who is let in.
    pub settings: ReferenceSettings,
    /// Whether it stands in the configuration file.
    pub declared: bool,
}

impl Reference {
    /// Makes a reference.
    pub fn new(configuration: &str, scope: Scope, settings: ReferenceSettings) -> Self {
        Self { configuration: configuration.to_owned(), scope, settings, declared: false }
    }

    /// Marks it as standing in the configuration file.
    #[must_use]
    pub const fn declared(mut self) -> Self {
        self.declared = true;
        self
    }
}

/// What is known of a provider: as a file writes it, and as a store keeps it.
///
/// ```
/// use policy_runtime::identity::ProviderSettings;
/// let written: ProviderSettings =
///     serde_json::from_str(r#"{"preset": "oidc", "issuer": "https://idp.example", "audience": ["shop"]}"#).unwrap();
/// assert_eq!(written, ProviderSettings::of("oidc").issuer("https://idp.example").audience("shop"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// The preset it starts from: `oidc`, `auth0`, `better-auth`, ...
    #[serde(default = "plain")]
    pub preset: String,
    /// The whole issuer, exactly as tokens name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Instead of the issuer: the part of it that is the customer's own (domain, project, tenant).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Entra only: the tenants that are let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// The audiences of which a token must name one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// Our id at the provider, for signing in with a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Apple only: the team that the client belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// Apple only: the name of the key that makes the client's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Where the keys are, if neither discovery nor the preset says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_url: Option<String>,
    /// Algorithms that are accepted, instead of the preset's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<String>,
    /// The longest life of a token in seconds, instead of the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime_s: Option<u32>,
    /// Claims that must have exactly this text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub equal: BTreeMap<String, String>,
    /// Claims that must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// Whether keys are also looked for where presets know them, if the issuer has no discovery document.
    #[serde(default, skip_serializing_if = "is_false")]
    pub any_place: bool,
    /// Whether the provider may be on a private address.
    #[serde(default, skip_serializing_if = "is_false")]
    pub private_network: bool,
    /// The certificate authorities, in PEM, that its TLS is trusted by, instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_roots: Option<String>,
}

fn plain() -> String {
    "oidc".to_owned()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(b: &bool) -> bool {
    !*b
}

impl ProviderSettings {
    /// Starts from a preset.
    pub fn of(preset: &str) -> Self {
        Self {
            preset: preset.to_owned(),
            issuer: None,
            customer: None,
            tenants: Vec::new(),
            audience: Vec::new(),
            client_id: None,
            team_id: None,
            key_id: None,
            keys_url: None,
            algorithms: Vec::new(),
            max_lifetime_s: None,
            equal: BTreeMap::new(),
            required: Vec::new(),
            any_place: false,
            private_network: false,
            tls_roots: None,
        }
    }

    /// Sets the issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Sets our id at the provider, with which people sign in there.
    #[must_use]
    pub fn client(mut self, id: &str) -> Self {
        self.client_id = Some(id.to_owned());
        self
    }

    /// Adds an audience.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience.push(audience.to_owned());
        self
    }
}

/// What a scope makes of a provider's tokens: as a file writes it, and as a store keeps it.
///
/// ```
/// use policy_runtime::identity::{ProvisioningSettings, ReferenceSettings};
/// let written: ReferenceSettings = serde_json::from_str(r#"{"provisioning": {"mode": "registration"}}"#).unwrap();
/// assert_eq!(written, ReferenceSettings::default().provisioning(ProvisioningSettings::Registration));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ReferenceSettings {
    /// Claims in which roles stand, beside the preset's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles_from: Vec<String>,
    /// The roles that are given, by the value of those claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, String>,
    /// Roles that everybody of this provider gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub everybody: Vec<String>,
    /// Attributes by name, beside the preset's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeSettings>,
    /// The claim that names the tenant, and the tenants that are let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantSettings>,
    /// Values of `amr` and `acr` that count as a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<MfaSettings>,
    /// Who is let in; `token` if nothing is said.
    #[serde(default)]
    pub provisioning: ProvisioningSettings,
}

impl ReferenceSettings {
    /// Sets who is let in.
    #[must_use]
    pub fn provisioning(mut self, provisioning: ProvisioningSettings) -> Self {
        self.provisioning = provisioning;
        self
    }
}

/// A claim that becomes an attribute.
///
/// ```
/// use policy_runtime::identity::AttributeSettings;
/// let plan: AttributeSettings =
///     serde_json::from_str(r#"{"claim": "https://acme.example/plan", "literal": true, "kind": "text"}"#).unwrap();
/// assert_eq!(plan.on_mismatch, None, "a claim of another kind refuses");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AttributeSettings {
    /// The claim: a name, or names with dots between them.
    pub claim: String,
    /// Whether the claim's name has dots in it (`https://acme.example/plan`), which then do not go down.
    #[serde(default, skip_serializing_if = "is_false")]
    pub literal: bool,
    /// `text`, `bool`, `long`, `decimal`, `datetime`, `uuid`, `ip`, `texts`, `longs` or `words`.
    pub kind: String,
    /// `refuse` (if nothing is said) or `absent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_mismatch: Option<String>,
}

/// Where the tenant comes from.
///
/// ```
/// use policy_runtime::identity::TenantSettings;
/// let tenant: TenantSettings = serde_json::from_str(r#"{"claim": "org", "allowed": ["north", "south"]}"#).unwrap();
/// assert_eq!(tenant.allowed.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TenantSettings {
    /// The claim.
    pub claim: String,
    /// The tenants that are let in.
    pub allowed: Vec<String>,
}

/// What counts as a second factor.
///
/// ```
/// use policy_runtime::identity::MfaSettings;
/// let mfa: MfaSettings = serde_json::from_str(r#"{"amr": ["otp", "hwk"]}"#).unwrap();
/// assert!(mfa.acr.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MfaSettings {
    /// Values of `amr`.
    #[serde(default)]
    pub amr: Vec<String>,
    /// Values of `acr`.
    #[serde(default)]
    pub acr: Vec<String>,
}

/// Who becomes a participant of the scope.
///
/// ```
/// use policy_runtime::identity::ProvisioningSettings;
/// let auto: ProvisioningSettings = serde_json::from_str(r#"{"mode": "auto", "domains": ["example.com"]}"#).unwrap();
/// assert_eq!(auto, ProvisioningSettings::Auto { domains: vec!["example.com".into()], roles: vec![] });
/// assert_eq!(ProvisioningSettings::default(), ProvisioningSettings::Token);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ProvisioningSettings {
    /// Whoever has a good token; nobody is stored.
    #[default]
    Token,
    /// Users that were created before, bound once by an invitation or by a verified address of one of these domains.
    PreCreated {
        /// Domains for which the provider has the say.
        #[serde(default)]
        domains: Vec<String>,
    },
    /// Whoever has a verified address of one of these domains.
    Auto {
        /// The domains.
        domains: Vec<String>,
        /// Roles of a new user.
        #[serde(default)]
        roles: Vec<String>,
    },
    /// Only who has registered.
    Registration,
}

impl ProvisioningSettings {
    /// Whether the provider has the say about addresses of a domain.
    #[cfg(feature = "signin")]
    pub(crate) fn has_say(&self, domain: &str) -> bool {
        match self {
            Self::PreCreated { domains } | Self::Auto { domains, .. } => {
                domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
            }
            Self::Token | Self::Registration => false,
        }
    }
}
