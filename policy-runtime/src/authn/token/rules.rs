//! What a configuration demands of a token, and the check of the claims against it.

use std::sync::Arc;

use policy_core::value::Millis;

use super::jws::{Algorithm, Unverified};
use super::keys::{KeySet, SharedSecret};
use super::path::ClaimPath;
use crate::authn::{AuthnCode, AuthnError, MACHINE};
use crate::json::Json;

/// The longest token, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

/// Which issuer a token must name.
///
/// ```
/// use policy_runtime::authn::token::{IssuerRule, TokenRules};
/// let entra = IssuerRule::PerTenant {
///     template: "https://login.microsoftonline.com/{tid}/v2.0".into(),
///     claim: "tid".into(),
///     allowed: vec!["72f988bf-86f1-41af-91ab-2d7cd011db47".into()],
/// };
/// let rules = TokenRules::new("", "api://orders").issuer(entra.clone());
/// assert_eq!(rules.issuer_rule(), &entra);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerRule {
    /// Exactly this text.
    Exactly(String),
    /// A text in which the value of a claim stands for its name in braces, and that value is one of these: Entra's
    /// `https://login.microsoftonline.com/{tid}/v2.0`.
    PerTenant {
        /// The issuer with `{claim}` in it.
        template: String,
        /// The claim.
        claim: String,
        /// The tenants that are let in.
        allowed: Vec<String>,
    },
    /// The issuer names itself nowhere (a shared secret is all there is).
    Unnamed,
}

/// Which claim names the subject.
///
/// ```
/// use policy_runtime::authn::token::SubjectClaim;
/// assert_eq!(SubjectClaim::UserId.name(), "userId");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectClaim {
    /// `sub`, as OpenID Connect has it.
    Sub,
    /// `id`.
    Id,
    /// `userId`.
    UserId,
    /// `oid`: Entra's id of a user, the same for all of a tenant's applications.
    Oid,
}

impl SubjectClaim {
    /// The claim's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::Id => "id",
            Self::UserId => "userId",
            Self::Oid => "oid",
        }
    }
}

/// How a provider marks the token of a machine; users and machines never share a participant.
///
/// ```
/// use policy_runtime::authn::token::{MachineRule, TokenRules};
/// let rules = TokenRules::new("https://keycloak.example/realms/a", "orders").machine(MachineRule::ServiceAccount);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MachineRule {
    /// `client_id` (or `azp`, or Okta's `cid`) equals the subject (RFC 9068, section 2.2).
    SubjectIsClient,
    /// `gty` is `client-credentials`, as Auth0 has it.
    GrantType,
    /// `idtyp` is `app`, as Entra has it.
    IdType,
    /// `preferred_username` starts with `service-account-`, as Keycloak has it.
    ServiceAccount,
}

/// What a token must be; see the methods for what is demanded when nothing else is said.
///
/// ```
/// use policy_runtime::authn::token::{Algorithm, ClaimPath, SubjectClaim, TokenRules};
///
/// let rules = TokenRules::new("https://issuer.example", "https://api.example")
///     .or_audience("https://api.example/v2")
///     .algorithms([Algorithm::Es256])
///     .max_lifetime_s(900)
///     .leeway_s(10)
///     .subject(SubjectClaim::Sub, false)
///     .equal(ClaimPath::name("firm"), "acme")
///     .required(ClaimPath::name("email"));
/// assert!(rules.names_issuer_and_audience());
/// assert!(!TokenRules::unnamed().names_issuer_and_audience());
/// ```
#[derive(Debug, Clone)]
pub struct TokenRules {
    pub(super) issuer: IssuerRule,
    audience: Vec<String>,
    audience_claim: &'static str,
    algorithms: Vec<Algorithm>,
    kinds: Vec<Option<String>>,
    leeway_s: f64,
    max_lifetime_s: f64,
    max_bytes: usize,
    subject: SubjectClaim,
    numeric_subject: bool,
    equal: Vec<(ClaimPath, String)>,
    required: Vec<ClaimPath>,
    machine: Vec<MachineRule>,
}

impl TokenRules {
    /// Demands this issuer, exactly, and one of these audiences.
    ///
    /// Besides: an algorithm with a public key; a `typ` of `JWT`, `at+jwt` or none; `exp`, and at most 60 minutes from
    /// `iat` (or now) to it; 60 seconds of leeway; 16 KiB; a `sub` of text.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: IssuerRule::Exactly(issuer.into()),
            audience: vec![audience.into()],
            audience_claim: "aud",
            algorithms: Algorithm::ASYMMETRIC.to_vec(),
            kinds: vec![None, Some("jwt".into()), Some("at+jwt".into())],
            leeway_s: 60.0,
            max_lifetime_s: 3_600.0,
            max_bytes: MAX_TOKEN,
            subject: SubjectClaim::Sub,
            numeric_subject: false,
            equal: Vec::new(),
            required: Vec::new(),
            machine: vec![MachineRule::SubjectIsClient],
        }
    }

    /// Demands no issuer and no audience; only a shared secret may go with it.
    pub fn unnamed() -> Self {
        let mut rules = Self::new("", "");
        rules.issuer = IssuerRule::Unnamed;
        rules.audience.clear();
        rules.algorithms = vec![Algorithm::Hs256];
        rules
    }

    /// Sets the issuer rule.
    #[must_use]
    pub fn issuer(mut self, issuer: IssuerRule) -> Self {
        self.issuer = issuer;
        self
    }

    /// Accepts one more audience.
    #[must_use]
    pub fn or_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Takes the audience from `azp`, for providers that write the application for which a token was made only there.
    #[must_use]
    pub const fn audience_in_azp(mut self) -> Self {
        self.audience_claim = "azp";
        self
    }

    /// Sets the algorithms that are accepted.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Accepts only tokens that say they are access tokens (`typ` is `at+jwt`, RFC 9068).
    #[must_use]
    pub fn access_tokens_only(mut self) -> Self {
        self.kinds = vec![Some("at+jwt".into())];
        self
    }

    /// Accepts only tokens of one kind of our own.
    #[cfg(any(feature = "issue", feature = "pull"))]
    #[must_use]
    pub(crate) fn kind(mut self, typ: &str) -> Self {
        self.kinds = vec![Some(typ.to_ascii_lowercase())];
        self
    }

    /// Accepts tokens of our own for whomever they are meant.
    #[cfg(feature = "signin")]
    #[must_use]
    pub(super) fn any_audience(mut self) -> Self {
        self.audience.clear();
        self
    }

    /// Sets the longest life of a token, in seconds.
    #[must_use]
    pub fn max_lifetime_s(mut self, seconds: u32) -> Self {
        self.max_lifetime_s = f64::from(seconds);
        self
    }

    /// Sets how far two clocks may be apart, in seconds.
    #[must_use]
    pub fn leeway_s(mut self, seconds: u16) -> Self {
        self.leeway_s = f64::from(seconds);
        self
    }

    /// Sets the claim that names the subject, and whether it may be a number.
    #[must_use]
    pub const fn subject(mut self, claim: SubjectClaim, numbers: bool) -> Self {
        self.subject = claim;
        self.numeric_subject = numbers;
        self
    }

    /// Demands that a claim is exactly this text.
    #[must_use]
    pub fn equal(mut self, claim: ClaimPath, value: impl Into<String>) -> Self {
        self.equal.push((claim, value.into()));
        self
    }

    /// Demands that a claim is there and not null.
    #[must_use]
    pub fn required(mut self, claim: ClaimPath) -> Self {
        self.required.push(claim);
        self
    }

    /// Adds a way to tell machines.
    #[must_use]
    pub fn machine(mut self, rule: MachineRule) -> Self {
        if !self.machine.contains(&rule) {
            self.machine.push(rule);
        }
        self
    }

    /// The issuer rule.
    pub const fn issuer_rule(&self) -> &IssuerRule {
        &self.issuer
    }

    /// Whether the configuration may go into production: it names an issuer and an audience.
    pub fn names_issuer_and_audience(&self) -> bool {
        self.issuer != IssuerRule::Unnamed && !self.audience.is_empty()
    }

    pub(super) const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether the (unproved) issuer of a token is the one of this configuration.
    pub(super) fn issued_here(&self, claims: &Json) -> bool {
        let issuer = claims.get("iss");
        match &self.issuer {
            IssuerRule::Exactly(expected) => issuer.and_then(Json::as_text) == Some(expected),
            IssuerRule::PerTenant { template, claim, allowed } => {
                let Some(tenant) = claims.get(claim).and_then(Json::as_text) else { return false };
                let expected = template.replace(&format!("{{{claim}}}"), tenant);
                allowed.iter().any(|id| id == tenant) && issuer.and_then(Json::as_text) == Some(&expected)
            }
            IssuerRule::Unnamed => issuer.is_none(),
        }
    }

    pub(super) fn check_header(&self, token: &Unverified<'_>) -> Result<(), AuthnError> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(AuthnError::new(AuthnCode::TokenAlgorithm, "the algorithm is not accepted here"));
        }
        // Media types compare without case, and `application/` may be left out (RFC 7515, section 4.1.9).
        let typ = token.typ.as_ref().map(|typ| typ.to_ascii_lowercase());
        let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        if !self.kinds.iter().any(|kind| kind.as_deref() == typ) {
            return Err(AuthnError::new(AuthnCode::TokenKind, "the token is of another kind"));
        }
        Ok(())
    }

    /// Checks the claims of a token whose signature is good.
    pub(super) fn check_claims(&self, claims: Arc<Json>, now: Millis) -> Result<VerifiedToken, AuthnError> {
        if !self.issued_here(&claims) {
            return Err(AuthnError::new(AuthnCode::TokenIssuer, "the issuer is not the configured one"));
        }
        self.check_audience(&claims)?;
        let expires_at = self.check_times(&claims, now)?;
        // A logout token is signed by the same keys for the same audience (OpenID Connect Back-Channel Logout, 2.4).
        if claims.get("events").is_some() {
            return Err(AuthnError::new(AuthnCode::TokenKind, "the token announces events"));
        }
        // A token bound to a key proves nothing without the proof of that key (RFC 9449, RFC 8705), which nobody sends here.
        if claims.get("cnf").is_some_and(|cnf| *cnf != Json::Null) {
            return Err(AuthnError::new(AuthnCode::TokenKind, "the token is bound to a key that was not shown"));
        }
        let wrong =
            |claim: &ClaimPath, problem| AuthnError::new(AuthnCode::TokenClaim, format!("claim `{claim}` {problem}"));
        for claim in &self.required {
            match claim.find(&claims) {
                None | Some(Json::Null) => return Err(wrong(claim, "is missing")),
                Some(Json::Text(text)) if text.is_empty() => return Err(wrong(claim, "is empty")),
                Some(_) => {}
            }
        }
        for (claim, expected) in &self.equal {
            if claim.find(&claims).and_then(Json::as_text) != Some(expected) {
                return Err(wrong(claim, "does not have the configured value"));
            }
        }
        let subject = self.subject_of(&claims)?;
        let machine = self.is_machine(&claims, subject.as_text());
        let issuer = claims.get("iss").and_then(Json::as_text).unwrap_or_default().to_owned();
        Ok(VerifiedToken { issuer, subject, machine, expires_at, claims })
    }

    fn check_audience(&self, claims: &Json) -> Result<(), AuthnError> {
        let wrong = || AuthnError::new(AuthnCode::TokenAudience, "the token is meant for somebody else");
        if self.audience.is_empty() {
            return Ok(());
        }
        let ours = |text: &str| self.audience.iter().any(|audience| audience == text);
        let found = match claims.get(self.audience_claim) {
            Some(Json::Text(text)) => ours(text),
            Some(Json::List(items)) => {
                let texts: Option<Vec<&str>> = items.iter().map(Json::as_text).collect();
                texts.ok_or_else(wrong)?.into_iter().any(ours)
            }
            None | Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) => false,
        };
        if found { Ok(()) } else { Err(wrong()) }
    }

    fn check_times(&self, claims: &Json, now: Millis) -> Result<Millis, AuthnError> {
        let wrong_type = |name| AuthnError::new(AuthnCode::TokenClaim, format!("claim `{name}` is not a time"));
        let time = |name: &'static str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong_type(name)),
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of our era fit into 53 bits")]
        let now = now.0 as f64 / 1_000.0;
        let ends = time("exp")?.ok_or_else(|| AuthnError::new(AuthnCode::TokenExpired, "the token never ends"))?;
        if ends + self.leeway_s <= now {
            return Err(AuthnError::new(AuthnCode::TokenExpired, "the token has ended"));
        }
        if time("nbf")?.is_some_and(|starts| starts > now + self.leeway_s) {
            return Err(AuthnError::new(AuthnCode::TokenNotYetValid, "the token is not valid yet"));
        }
        let issued = time("iat")?;
        if issued.is_some_and(|issued| issued > now + self.leeway_s || issued > ends + self.leeway_s) {
            return Err(AuthnError::new(AuthnCode::TokenNotYetValid, "the token comes from the future"));
        }
        if ends - issued.unwrap_or(now) > self.max_lifetime_s + self.leeway_s {
            return Err(AuthnError::new(AuthnCode::TokenLifetime, "the token lives longer than allowed"));
        }
        // In range: it is at most a lifetime after now.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the two checks above")]
        Ok(Millis((ends * 1_000.0) as i64))
    }

    fn subject_of(&self, claims: &Json) -> Result<Subject, AuthnError> {
        let nobody = |detail| AuthnError::new(AuthnCode::TokenSubject, detail);
        match claims.get(self.subject.name()) {
            Some(Json::Text(text)) if text.trim().is_empty() => Err(nobody("the subject is empty")),
            Some(Json::Text(text)) if text.len() > 1024 => Err(nobody("the subject is too long")),
            Some(Json::Text(text)) if text.chars().any(char::is_control) => {
                Err(nobody("the subject is not plain text"))
            }
            Some(Json::Text(text)) => Ok(Subject { text: text.clone(), number: false }),
            Some(value @ Json::Number(_)) if self.numeric_subject => {
                let number = value.as_long().ok_or_else(|| nobody("the subject is not a whole number"))?;
                Ok(Subject { text: number.to_string(), number: true })
            }
            None | Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_)) => {
                Err(nobody("the token names nobody"))
            }
        }
    }

    fn is_machine(&self, claims: &Json, subject: &str) -> bool {
        let text = |name: &str| claims.get(name).and_then(Json::as_text);
        self.machine.iter().any(|rule| match rule {
            MachineRule::SubjectIsClient => {
                text("client_id").or_else(|| text("azp")).or_else(|| text("cid")) == Some(subject)
            }
            MachineRule::GrantType => text("gty") == Some("client-credentials"),
            MachineRule::IdType => text("idtyp") == Some("app"),
            MachineRule::ServiceAccount => {
                text("preferred_username").is_some_and(|name| name.starts_with("service-account-"))
            }
        })
    }
}

/// A subject as its issuer typed it: the text `1` and the number 1 are two.
///
/// ```
/// use policy_runtime::authn::token::{Subject, VerifiedToken};
///
/// fn known(token: &VerifiedToken) -> &str {
///     let subject: &Subject = token.subject();
///     if subject.is_number() { "a number" } else { subject.as_text() }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    text: String,
    number: bool,
}

impl Subject {
    /// The subject in text.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// Whether it was a number.
    pub const fn is_number(&self) -> bool {
        self.number
    }
}

/// A token that was verified whole: signature, issuer, audience, times, kind, subject.
///
/// ```
/// use policy_runtime::authn::token::VerifiedToken;
///
/// fn told(token: &VerifiedToken) -> String {
///     format!("{} of {} until {}", token.subject().as_text(), token.issuer(), token.expires_at())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    issuer: String,
    subject: Subject,
    machine: bool,
    expires_at: Millis,
    claims: Arc<Json>,
}

impl VerifiedToken {
    /// The same with other claims, which its issuer vouches for as well.
    #[cfg(feature = "signin")]
    pub(super) fn with_claims(self, claims: Json) -> Self {
        Self { claims: Arc::new(claims), ..self }
    }

    /// Its issuer; empty where none is named.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom it names.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether it was given to a machine for itself.
    pub const fn is_machine(&self) -> bool {
        self.machine
    }

    /// The authentication type of whom it was given to, by that of its source.
    pub(super) fn auth_type(&self, own: &str) -> String {
        format!("{own}{}", if self.machine { MACHINE } else { "" })
    }

    /// When it ends.
    pub const fn expires_at(&self) -> Millis {
        self.expires_at
    }

    /// All of its claims.
    pub fn claims(&self) -> &Json {
        &self.claims
    }
}

/// Verifies a token by a key set.
///
/// # Errors
/// When anything about the token is not as the rules demand.
///
/// ```
/// use policy_core::value::Millis;
/// use policy_runtime::authn::AuthnCode;
/// use policy_runtime::authn::token::{KeySet, TokenRules, verify};
///
/// let rules = TokenRules::new("https://issuer.example", "https://api.example");
/// let error = verify("no.token.atall", &rules, &KeySet::default(), Millis(0)).unwrap_err();
/// assert_eq!(error.answer().status, 401);
/// ```
pub fn verify(token: &str, rules: &TokenRules, keys: &KeySet, now: Millis) -> Result<VerifiedToken, AuthnError> {
    let token = Unverified::parse(token, rules.max_bytes())?;
    rules.check_header(&token)?;
    keys.verify(&token)?;
    rules.check_claims(token.claims, now)
}

/// Verifies a token by a shared secret.
///
/// # Errors
/// When anything about the token is not as the rules demand.
///
/// ```
/// use policy_core::value::Millis;
/// use policy_runtime::authn::token::{SharedSecret, TokenRules, verify_shared};
/// use policy_runtime::secret::Secret;
///
/// let secret = SharedSecret::new(&Secret::new((0..32).collect())).unwrap();
/// assert!(verify_shared("a.b.c", &TokenRules::unnamed(), &secret, Millis(0)).is_err());
/// ```
pub fn verify_shared(
    token: &str,
    rules: &TokenRules,
    secret: &SharedSecret,
    now: Millis,
) -> Result<VerifiedToken, AuthnError> {
    let token = Unverified::parse(token, rules.max_bytes())?;
    rules.check_header(&token)?;
    secret.verify(&token)?;
    rules.check_claims(token.claims, now)
}
