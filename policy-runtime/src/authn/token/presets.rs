//! What is known of the providers that people have, as data.

use super::jws::Algorithm;
use super::mapping::{ClaimKind, ClaimMapping, MappingError};
use super::path::ClaimPath;
use super::rules::{IssuerRule, MachineRule, SubjectClaim, TokenRules};

/// Where a provider keeps its keys.
///
/// ```
/// use policy_runtime::authn::token::{KeyPlace, Preset};
/// let google = Preset::find("google").unwrap();
/// assert!(matches!(google.keys(), KeyPlace::Discovery | KeyPlace::At(_)));
/// let _ = google.key_url("https://accounts.google.com");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPlace {
    /// OpenID Connect Discovery names them.
    Discovery,
    /// Under the issuer, at this path.
    Under(&'static str),
    /// At this URL.
    At(&'static str),
    /// Nowhere: a secret is shared.
    Shared,
    /// Nowhere: it gives no tokens that could be verified.
    None,
}

/// How people sign in with a provider in a browser, and when it proves an address by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Browser {
    /// They do not.
    Never,
    /// OpenID Connect; an address is proved by `true` in the preset's own claim.
    OpenId,
    /// OpenID Connect; other people's addresses are proved to Google once, those of Gmail and of its customers always.
    Google,
    /// OpenID Connect with a signed client secret and an answer by form, which also has the name, once. Truth may be text.
    Apple,
    /// OAuth 2 with an interface of its own, which says which addresses are proved.
    GitHub,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Texts,
    Words,
}

/// A provider that people have: what its tokens look like and what to demand of them.
///
/// ```
/// use policy_runtime::authn::token::Preset;
/// let firebase = Preset::find("firebase").unwrap();
/// assert_eq!(firebase.issuer_of("my-project"), "https://securetoken.google.com/my-project");
/// let rules = firebase.rules("https://securetoken.google.com/my-project", "my-project");
/// assert!(rules.names_issuer_and_audience());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    name: &'static str,
    /// The issuer, with `{}` for the part that is the customer's own.
    issuer: &'static str,
    keys: KeyPlace,
    algorithms: &'static [Algorithm],
    subject: SubjectClaim,
    numeric_subject: bool,
    max_lifetime_s: u32,
    machines: &'static [MachineRule],
    required: &'static [&'static str],
    equal: &'static [(&'static str, &'static str)],
    roles: &'static [&'static str],
    attributes: &'static [(&'static str, &'static str, Kind)],
    email_verified: &'static str,
    audience_in_azp: bool,
    mfa: Option<(&'static str, &'static str)>,
    browser: Browser,
}

const PLAIN: Preset = Preset {
    name: "oidc",
    issuer: "{}",
    keys: KeyPlace::Discovery,
    algorithms: &Algorithm::ASYMMETRIC,
    subject: SubjectClaim::Sub,
    numeric_subject: false,
    max_lifetime_s: 3_600,
    machines: &[MachineRule::SubjectIsClient],
    required: &[],
    equal: &[],
    roles: &["roles", "groups"],
    attributes: &[],
    email_verified: "email_verified",
    audience_in_azp: false,
    mfa: None,
    browser: Browser::OpenId,
};

/// All presets; `oidc` is any provider that keeps to the standard.
pub const PRESETS: &[Preset] = &[
    PLAIN,
    // The user record is the payload; the key set stands under the base URL, which is the issuer too.
    Preset {
        name: "better-auth",
        browser: Browser::Never,
        keys: KeyPlace::Under("/api/auth/jwks"),
        roles: &["roles", "role"],
        email_verified: "emailVerified",
        ..PLAIN
    },
    // Better Auth with the claims that APSO's services ask for.
    Preset {
        name: "apso",
        browser: Browser::Never,
        keys: KeyPlace::Under("/api/auth/jwks"),
        required: &["organizationId"],
        attributes: &[("organizationId", "organizationId", Kind::Text)],
        roles: &["roles"],
        ..PLAIN
    },
    // 3.5 and later: the key is appId + secretKey + jwtSecretSalt, `check` must equal the user's (a `TokenCheck`).
    Preset {
        name: "kottster",
        browser: Browser::Never,
        keys: KeyPlace::Shared,
        algorithms: &[Algorithm::Hs256],
        subject: SubjectClaim::Id,
        numeric_subject: true,
        max_lifetime_s: 24 * 3_600,
        machines: &[],
        required: &["check"],
        roles: &[],
        ..PLAIN
    },
    // 1.4 to 3.0: the key is the secret itself; add `appId` with `TokenRules::equal`.
    Preset {
        name: "kottster-platform",
        browser: Browser::Never,
        keys: KeyPlace::Shared,
        algorithms: &[Algorithm::Hs256],
        subject: SubjectClaim::UserId,
        numeric_subject: true,
        max_lifetime_s: 24 * 3_600,
        machines: &[],
        required: &["appId"],
        roles: &[],
        ..PLAIN
    },
    // The issuer ends in a slash; an access token lives a day.
    Preset {
        name: "auth0",
        issuer: "https://{}/",
        algorithms: &[Algorithm::Rs256, Algorithm::Ps256],
        max_lifetime_s: 24 * 3_600,
        machines: &[MachineRule::SubjectIsClient, MachineRule::GrantType],
        roles: &["permissions"],
        attributes: &[("scope", "scope", Kind::Words), ("orgId", "org_id", Kind::Text)],
        ..PLAIN
    },
    // Session tokens have no `aud`; `azp` names the application's origin.
    Preset {
        name: "clerk",
        issuer: "https://{}",
        algorithms: &[Algorithm::Rs256],
        roles: &["org_role", "o.rol"],
        attributes: &[("orgId", "org_id", Kind::Text), ("orgSlug", "org_slug", Kind::Text)],
        audience_in_azp: true,
        ..PLAIN
    },
    Preset {
        name: "firebase",
        browser: Browser::Never,
        issuer: "https://securetoken.google.com/{}",
        keys: KeyPlace::At("https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"),
        algorithms: &[Algorithm::Rs256],
        required: &["auth_time"],
        roles: &["roles"],
        attributes: &[("signInProvider", "firebase.sign_in_provider", Kind::Text)],
        ..PLAIN
    },
    // The audience of everybody who signed in is `authenticated`; `aal2` is a second factor.
    Preset {
        name: "supabase",
        browser: Browser::Never,
        issuer: "https://{}.supabase.co/auth/v1",
        keys: KeyPlace::Under("/.well-known/jwks.json"),
        algorithms: &[Algorithm::Es256, Algorithm::Rs256],
        equal: &[("role", "authenticated")],
        roles: &["app_metadata.roles"],
        attributes: &[("sessionId", "session_id", Kind::Text)],
        mfa: Some(("aal", "aal2")),
        ..PLAIN
    },
    // The claim `typ` tells access tokens (`Bearer`) from identity and refresh tokens under the same keys.
    Preset {
        name: "keycloak",
        machines: &[MachineRule::SubjectIsClient, MachineRule::ServiceAccount],
        equal: &[("typ", "Bearer")],
        roles: &["realm_access.roles", "groups"],
        attributes: &[("scope", "scope", Kind::Words), ("username", "preferred_username", Kind::Text)],
        ..PLAIN
    },
    // Keyed on tenant and object: `sub` differs from application to application.
    Preset {
        name: "entra",
        issuer: "https://login.microsoftonline.com/{}/v2.0",
        keys: KeyPlace::At("https://login.microsoftonline.com/common/discovery/v2.0/keys"),
        algorithms: &[Algorithm::Rs256, Algorithm::Ps256],
        subject: SubjectClaim::Oid,
        max_lifetime_s: 5_400,
        machines: &[MachineRule::IdType],
        required: &["tid"],
        equal: &[("ver", "2.0")],
        roles: &["roles", "groups"],
        attributes: &[("tid", "tid", Kind::Text), ("scope", "scp", Kind::Words)],
        // Its `email` is whatever an administrator of some tenant wrote; this says that the domain's owner is the tenant's.
        email_verified: "xms_edov",
        ..PLAIN
    },
    Preset {
        name: "google",
        browser: Browser::Google,
        issuer: "https://accounts.google.com",
        algorithms: &[Algorithm::Rs256],
        roles: &[],
        attributes: &[("hostedDomain", "hd", Kind::Text)],
        ..PLAIN
    },
    Preset {
        name: "okta",
        issuer: "https://{}/oauth2/default",
        algorithms: &[Algorithm::Rs256],
        roles: &["groups"],
        attributes: &[("scope", "scp", Kind::Texts), ("uid", "uid", Kind::Text)],
        ..PLAIN
    },
    Preset {
        name: "apple",
        issuer: "https://appleid.apple.com",
        algorithms: &[Algorithm::Rs256, Algorithm::Es256],
        max_lifetime_s: 24 * 3_600,
        roles: &[],
        browser: Browser::Apple,
        ..PLAIN
    },
    // For signing in alone: what it gives is for asking GitHub.
    Preset {
        name: "github",
        issuer: "https://github.com",
        keys: KeyPlace::None,
        numeric_subject: true,
        roles: &[],
        browser: Browser::GitHub,
        ..PLAIN
    },
];

impl Preset {
    /// Finds a preset by name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The issuer of a customer: its domain, project, tenant or whole issuer, as the provider has it.
    pub fn issuer_of(&self, own: &str) -> String {
        self.issuer.replace("{}", own)
    }

    /// Where its keys are.
    pub const fn keys(&self) -> KeyPlace {
        self.keys
    }

    /// The URL of its keys, where that is not for discovery to say.
    pub fn key_url(&self, issuer: &str) -> Option<String> {
        match self.keys {
            KeyPlace::Under(path) => Some(format!("{}{path}", issuer.trim_end_matches('/'))),
            KeyPlace::At(url) => Some(url.to_owned()),
            KeyPlace::Discovery | KeyPlace::Shared | KeyPlace::None => None,
        }
    }

    /// What to demand of its tokens.
    pub fn rules(&self, issuer: &str, audience: &str) -> TokenRules {
        self.demand(if self.keys == KeyPlace::Shared {
            TokenRules::unnamed()
        } else {
            TokenRules::new(issuer, audience)
        })
    }

    /// What to demand of its tokens where one application serves several of the provider's tenants (Entra's).
    ///
    /// ```
    /// use policy_runtime::authn::token::Preset;
    /// let rules = Preset::find("entra").unwrap().rules_for_tenants(["72f988bf-86f1-41af-91ab-2d7cd011db47"], "api://orders");
    /// assert!(rules.names_issuer_and_audience());
    /// ```
    pub fn rules_for_tenants<'a>(&self, tenants: impl IntoIterator<Item = &'a str>, audience: &str) -> TokenRules {
        let template = self.issuer_of("{tid}");
        let allowed = tenants.into_iter().map(str::to_owned).collect();
        let issuer = IssuerRule::PerTenant { template: template.clone(), claim: "tid".into(), allowed };
        self.demand(TokenRules::new(template, audience).issuer(issuer))
    }

    /// How people sign in with it.
    #[cfg(feature = "signin")]
    pub(super) const fn browser(&self) -> Browser {
        self.browser
    }

    /// The claim that proves the address.
    #[cfg(feature = "signin")]
    pub(super) const fn email_verified(&self) -> &'static str {
        self.email_verified
    }

    /// What to demand of its ID tokens, which say other things of themselves than its access tokens do.
    #[cfg(feature = "signin")]
    pub(super) fn demand_of_id(&self, rules: TokenRules) -> TokenRules {
        let rules = rules
            .algorithms(self.algorithms.iter().copied())
            .subject(self.subject, self.numeric_subject)
            .max_lifetime_s(24 * 3_600);
        let rules = self.required.iter().fold(rules, |rules, claim| rules.required(ClaimPath::dotted(claim)));
        self.equal.iter().fold(rules, |rules, (claim, value)| {
            rules.equal(ClaimPath::dotted(claim), if *claim == "typ" { "ID" } else { *value })
        })
    }

    fn demand(&self, rules: TokenRules) -> TokenRules {
        let mut rules = rules
            .algorithms(self.algorithms.iter().copied())
            .subject(self.subject, self.numeric_subject)
            .max_lifetime_s(self.max_lifetime_s);
        if self.audience_in_azp {
            rules = rules.audience_in_azp();
        }
        rules = self.machines.iter().fold(rules, |rules, rule| rules.machine(*rule));
        rules = self.required.iter().fold(rules, |rules, claim| rules.required(ClaimPath::dotted(claim)));
        self.equal.iter().fold(rules, |rules, (claim, value)| rules.equal(ClaimPath::dotted(claim), *value))
    }

    /// What its claims become; roles are yet to be allowed one by one.
    ///
    /// # Errors
    /// Never for the presets here; a test holds them to that.
    pub fn mapping(&self) -> Result<ClaimMapping, MappingError> {
        let mapping = ClaimMapping::default().email(ClaimPath::name("email"), ClaimPath::name(self.email_verified));
        let mapping = self.roles.iter().fold(mapping, |mapping, claim| mapping.roles(ClaimPath::dotted(claim)));
        let mapping = match self.mfa {
            Some((claim, level)) => mapping.mfa_level(ClaimPath::dotted(claim), [level]),
            None => mapping,
        };
        self.attributes.iter().try_fold(mapping, |mapping, (name, claim, kind)| {
            let kind = match kind {
                Kind::Text => ClaimKind::Text,
                Kind::Texts => ClaimKind::texts(),
                Kind::Words => ClaimKind::Words,
            };
            mapping.attribute(name, ClaimPath::dotted(claim), kind)
        })
    }
}

#[cfg(test)]
mod tests;
