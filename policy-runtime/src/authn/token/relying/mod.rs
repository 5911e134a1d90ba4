//! Signing in with a provider in a browser: where the browser is sent, and what comes of the code that it brings back.
//!
//! In: a [`Configuration`] with a client of ours, and the provider's answer. Out: a [`VerifiedToken`] that says who it is, held
//! to the rules that bearer tokens are held to. Absent: whose browser it is, which answer belongs to which question, and what
//! becomes of who signed in.
//!
//! ```text
//! question ─► provider ─► answer: code ─► client secret, verifier ─► ID token ─► rules, nonce, at_hash ─► who it is
//! ```

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use policy_core::value::Millis;
use policy_core::{Participant, Scope};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::configured::{ProviderFault, Somewhere, fetcher_of, issuer_of, keys_of, mapping_of, preset_of, users_of};
use super::fetch::{Errand, FORM, FetchError, Fetcher, deadline};
use super::jws::Unverified;
use super::presets::{Browser, Preset};
use super::provision::Provisioned;
use super::rules::{MAX_TOKEN, TokenRules, VerifiedToken};
use super::source::KeySource as _;
use super::{IssuerRule, Json};
use crate::authn::{Authenticated, AuthnCode, AuthnError};
use crate::clock::Clock;
use crate::identity::{Configuration, Directory, ProviderSettings, ProvisioningSettings, Reference};
use crate::secret::Secret;

mod endpoints;
mod github;
mod secret;

use endpoints::{Endpoints, Found};
use secret::ClientSecret;

/// How long all questions about one answer may take together.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long ago a sign-in may be that was asked to be fresh.
const FRESH_S: i64 = 5 * 60;

/// What the provider is asked when a browser is sent there.
///
/// ```
/// use policy_runtime::authn::token::Question;
/// let question = Question { callback: "https://id.example/cb", state: "s", nonce: "n", verifier: "v", fresh: false };
/// # let _ = question;
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "all of it goes into the address")]
pub struct Question<'a> {
    /// Where the browser comes back to, as it is registered there.
    pub callback: &'a str,
    /// What the browser brings back.
    pub state: &'a str,
    /// What the ID token repeats.
    pub nonce: &'a str,
    /// What proves that the code was meant for us; its hash alone is sent along.
    pub verifier: &'a str,
    /// Whether a sign-in from before does not count.
    pub fresh: bool,
}

/// What the browser came back with.
///
/// ```
/// use policy_runtime::authn::token::{Answer, Question};
/// let question = Question { callback: "https://id.example/cb", state: "s", nonce: "n", verifier: "v", fresh: false };
/// let answer = Answer { question, code: "c", issuer: Some("https://idp.example"), name: None };
/// # let _ = answer;
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "all of it stands in the address or the form")]
pub struct Answer<'a> {
    /// What was asked.
    pub question: Question<'a>,
    /// The code.
    pub code: &'a str,
    /// Whose answer it says it is (RFC 9207).
    pub issuer: Option<&'a str>,
    /// The name that Apple sends beside the code, once, signed by nobody.
    pub name: Option<&'a str>,
}

/// `/` would be a part of a path, and proxies undo its escape; `~` is in no name.
pub(crate) fn name_in_addresses(name: &str) -> String {
    name.replace('/', "~")
}

/// A provider with which people sign in in a browser.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::Scope;
/// use policy_runtime::authn::token::LoginProvider;
/// use policy_runtime::clock::{Clock, SystemClock};
/// use policy_runtime::identity::{Configuration, ProviderSettings};
///
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock);
/// let settings = ProviderSettings::of("google").client("shop.apps.googleusercontent.com");
/// let google = Configuration::new("google", Scope::System, settings).client_secret("s".to_owned().into());
/// let provider = LoginProvider::of(&google, &clock).unwrap().expect("it has a client");
/// assert_eq!((provider.name(), provider.preset(), provider.answers_by_form()), ("google", "google", false));
/// ```
#[derive(Debug)]
pub struct LoginProvider {
    name: String,
    preset: &'static str,
    browser: Browser,
    email_verified: &'static str,
    issuer: String,
    client_id: String,
    secret: Option<ClientSecret>,
    rules: TokenRules,
    keys: Option<Somewhere>,
    endpoints: Endpoints,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
}

fn rules_of_id(preset: &Preset, settings: &ProviderSettings, client: &str) -> Result<(String, TokenRules), String> {
    if !settings.tenants.is_empty() {
        let rules = preset.rules_for_tenants(settings.tenants.iter().map(String::as_str), client);
        let IssuerRule::PerTenant { template, .. } = rules.issuer_rule() else {
            return Err("it has no tenants".into());
        };
        let (template, issuer) = (template.clone(), rules.issuer_rule().clone());
        return Ok((template, preset.demand_of_id(TokenRules::new("", client).issuer(issuer))));
    }
    let issuer = issuer_of(settings)?.ok_or("there is no `issuer`")?;
    let rules = preset.demand_of_id(TokenRules::new(&*issuer, client));
    Ok((issuer, rules))
}

fn failed(error: impl std::fmt::Display) -> AuthnError {
    AuthnError::new(AuthnCode::Unavailable, format!("the provider: {error}"))
}

fn wrong(detail: &'static str) -> AuthnError {
    AuthnError::new(AuthnCode::TokenClaim, detail)
}

impl LoginProvider {
    /// Makes the provider of a configuration; `None` when it has no client, so that nobody signs in with it.
    ///
    /// # Errors
    /// When the configuration lacks something, contradicts itself, or TLS cannot be set up.
    pub fn of(configuration: &Configuration, clock: &Arc<dyn Clock>) -> Result<Option<Self>, String> {
        let settings = &configuration.settings;
        let Some(client) = &settings.client_id else { return Ok(None) };
        let preset = preset_of(settings)?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        if configuration.name.is_empty() || !configuration.name.bytes().all(is_plain) {
            return Err("its name stands in addresses: letters, digits, `-`, `_`, `.` and `/`".into());
        }
        if preset.browser() == Browser::Never {
            return Err(format!("nobody signs in with `{}` in a browser; leave `client_id` out", preset.name()));
        }
        let (issuer, mut rules) = rules_of_id(preset, settings, client)?;
        if !settings.algorithms.is_empty() {
            let named = settings.algorithms.iter().filter_map(|name| super::Algorithm::parse(name));
            rules = rules.algorithms(named.filter(|algorithm| *algorithm != super::Algorithm::Hs256));
        }
        let is_github = preset.browser() == Browser::GitHub;
        Ok(Some(Self {
            name: name_in_addresses(&configuration.name),
            preset: preset.name(),
            browser: preset.browser(),
            email_verified: preset.email_verified(),
            endpoints: Endpoints::of(preset, settings, &issuer),
            secret: ClientSecret::of(configuration, preset.browser(), &issuer)?,
            client_id: client.clone(),
            rules,
            keys: if is_github { None } else { Some(Somewhere::of(keys_of(settings, clock)?)) },
            fetcher: fetcher_of(settings, &issuer)?,
            issuer,
            clock: clock.clone(),
        }))
    }

    /// The configuration's name as it stands in addresses: `acme/corporate` is `acme~corporate`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The preset that it starts from: `google`, `github`, `oidc`, ...
    pub const fn preset(&self) -> &'static str {
        self.preset
    }

    /// Whether the browser comes back with a form instead of an address.
    pub fn answers_by_form(&self) -> bool {
        self.browser == Browser::Apple
    }

    /// Where the browser is sent. PKCE with S256 is used whatever the provider says of it.
    ///
    /// # Errors
    /// When the provider cannot be asked for its endpoints.
    pub async fn address(&self, question: &Question<'_>) -> Result<String, AuthnError> {
        let found = self.endpoints.find(&self.fetcher, self.clock.as_ref(), deadline(PATIENCE)).await?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(question.verifier.as_bytes()));
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", question.callback)
            .append_pair("state", question.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        match self.browser {
            Browser::GitHub => pairs.append_pair("scope", "read:user user:email"),
            Browser::Apple => pairs.append_pair("scope", "openid name email").append_pair("response_mode", "form_post"),
            Browser::OpenId | Browser::Google | Browser::Never => pairs.append_pair("scope", "openid email profile"),
        };
        if self.browser != Browser::GitHub {
            pairs.append_pair("nonce", question.nonce);
        }
        if question.fresh {
            pairs.append_pair("prompt", if self.browser == Browser::GitHub { "select_account" } else { "login" });
        }
        let mark = if found.authorization.contains('?') { '&' } else { '?' };
        Ok(format!("{}{mark}{}", found.authorization, pairs.finish()))
    }

    /// Finds out who it is, by the code.
    ///
    /// # Errors
    /// When the answer is another provider's, or what the provider says is not as the rules demand.
    pub(crate) async fn identify(&self, answer: &Answer<'_>) -> Result<VerifiedToken, AuthnError> {
        let until = deadline(PATIENCE);
        let found = self.endpoints.find(&self.fetcher, self.clock.as_ref(), until).await?;
        if answer.issuer.map_or(found.names_itself, |issuer| !found.is_named(issuer, &self.issuer)) {
            return Err(AuthnError::new(AuthnCode::TokenIssuer, "the answer is another provider's"));
        }
        let told = self.exchange(&found, answer, until).await?;
        let access = told.get("access_token").and_then(Json::as_text);
        if self.browser == Browser::GitHub {
            let access = access.ok_or_else(|| wrong("the provider gave no access token"))?;
            return self.github_user(&found, access, until).await;
        }
        let text =
            told.get("id_token").and_then(Json::as_text).ok_or_else(|| wrong("the provider gave no ID token"))?;
        let token = self.verify(text, &answer.question, access).await?;
        self.completed(token, &found, access, answer.name, until).await
    }

    async fn exchange(&self, found: &Found, answer: &Answer<'_>, until: Instant) -> Result<Json, AuthnError> {
        let errand = self.request(found, answer);
        let body = self.fetcher.run(&errand, until).await.map_err(|error| {
            if matches!(error, FetchError::Status(400 | 401 | 403)) {
                AuthnError::new(AuthnCode::WrongCredentials, "the provider does not take the code, or our secret")
            } else {
                failed(error)
            }
        })?;
        Json::parse(&body).map_err(failed)
    }

    /// What turns a code into tokens.
    fn request<'a>(&self, found: &'a Found, answer: &Answer<'_>) -> Errand<'a> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", answer.code)
            .append_pair("redirect_uri", answer.question.callback)
            .append_pair("code_verifier", answer.question.verifier);
        let secret = self.secret.as_ref().map(|secret| secret.now(&self.client_id, self.clock.now()));
        let mut authorization = None;
        match &secret {
            Some(secret) if !found.secret_in_form => {
                // RFC 6749, section 2.3.1: both are encoded as in a form before they are joined.
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret.expose()));
                authorization = Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))));
            }
            Some(secret) => {
                form.append_pair("client_id", &self.client_id).append_pair("client_secret", secret.expose());
            }
            None => {
                form.append_pair("client_id", &self.client_id);
            }
        }
        Errand { url: &found.token, body: Some((FORM, Secret::new(form.finish()))), authorization }
    }

    /// Verifies an ID token that the provider itself handed over.
    async fn verify(
        &self,
        text: &str,
        question: &Question<'_>,
        access: Option<&str>,
    ) -> Result<VerifiedToken, AuthnError> {
        let token = Unverified::parse(text, MAX_TOKEN)?;
        self.rules.check_header(&token)?;
        let keys = self.keys.as_ref().ok_or_else(|| failed("it has no keys"))?;
        keys.keys(token.kid.as_deref()).await?.verify(&token)?;
        let now = self.clock.now();
        let algorithm = token.algorithm;
        let token = self.rules.check_claims(token.claims, now)?;
        let claim = |name: &str| token.claims().get(name);
        if claim("nonce").and_then(Json::as_text) != Some(question.nonce) {
            return Err(wrong("the ID token answers another question"));
        }
        // Who is no part of it must not have it made for them (OpenID Connect Core, section 3.1.3.7).
        let has_several = claim("aud").and_then(Json::as_list).is_some_and(|list| list.len() > 1);
        match claim("azp") {
            None if !has_several => {}
            Some(Json::Text(azp)) if *azp == self.client_id => {}
            _ => return Err(AuthnError::new(AuthnCode::TokenAudience, "the ID token was made for another client")),
        }
        if token.subject().as_text() == self.client_id {
            return Err(AuthnError::new(AuthnCode::TokenSubject, "the ID token names our own client"));
        }
        if let Some(hash) = claim("at_hash")
            && hash.as_text() != access.map(|access| algorithm.half_hash(access)).as_deref()
        {
            return Err(wrong("the ID token came with another access token"));
        }
        if question.fresh
            && let Some(at) = claim("auth_time").and_then(Json::as_long)
            && at < now.0.div_euclid(1_000) - FRESH_S
        {
            return Err(wrong("somebody signed in there long ago, and was not asked again"));
        }
        Ok(token)
    }

    /// Adds what the provider says beside the ID token, and says in one way whether the address is proved.
    async fn completed(
        &self,
        token: VerifiedToken,
        found: &Found,
        access: Option<&str>,
        name: Option<&str>,
        until: Instant,
    ) -> Result<VerifiedToken, AuthnError> {
        let Json::Object(mut claims) = token.claims().clone() else { return Err(wrong("the ID token says nothing")) };
        if let (false, Some(url), Some(access)) = (claims.contains_key("email"), &found.user_info, access) {
            let errand = Errand { url, body: None, authorization: Some(Secret::new(format!("Bearer {access}"))) };
            let told = match self.fetcher.run(&errand, until).await {
                Ok(told) => Json::parse(&told).map_err(failed)?,
                // The token may be for somebody else's eyes alone; then nothing more is known.
                Err(FetchError::Status(_)) => Json::Null,
                Err(error) => return Err(failed(error)),
            };
            // Whatever is said of somebody else says nothing here (OpenID Connect Core, section 5.3.4).
            if told != Json::Null && (told.get("sub").is_none() || told.get("sub") != claims.get("sub")) {
                return Err(wrong("the provider tells of somebody else"));
            }
            if let Json::Object(told) = told {
                for (name, value) in told {
                    claims.entry(name).or_insert(value);
                }
            }
        }
        if let Some(name) = name {
            claims.entry("name".to_owned()).or_insert_with(|| Json::Text(name.to_owned()));
        }
        let proved = self.is_proved(&claims);
        claims.insert(self.email_verified.to_owned(), Json::Bool(proved));
        Ok(token.with_claims(Json::Object(claims)))
    }

    fn is_proved(&self, claims: &std::collections::BTreeMap<String, Json>) -> bool {
        let text = |name: &str| claims.get(name).and_then(Json::as_text);
        let said = claims.get(self.email_verified);
        match self.browser {
            Browser::Apple => said == Some(&Json::Bool(true)) || text(self.email_verified) == Some("true"),
            Browser::Google => {
                let domain = text("email").and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
                let is_googles = |domain: &str| {
                    let hosted = text("hd").is_some_and(|hosted| hosted.eq_ignore_ascii_case(domain));
                    hosted || ["gmail.com", "googlemail.com"].iter().any(|own| own.eq_ignore_ascii_case(domain))
                };
                said == Some(&Json::Bool(true)) && domain.is_some_and(is_googles)
            }
            Browser::OpenId | Browser::GitHub | Browser::Never => said == Some(&Json::Bool(true)),
        }
    }
}

/// A provider that a scope offers to those who sign in there.
///
/// ```
/// use policy_runtime::authn::token::Offered;
/// fn named<'a>(all: &'a [Offered], name: &str) -> Option<&'a Offered> {
///     all.iter().find(|offered| offered.provider.name() == name)
/// }
/// # assert!(named(&[], "google").is_none());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Offered {
    /// The provider, which several scopes may share.
    pub provider: Arc<LoginProvider>,
    /// The scope.
    pub scope: Scope,
    owner: Scope,
    users: Arc<Provisioned>,
}

impl Offered {
    /// The method by which a scope takes people so.
    pub(crate) const METHOD: &'static str = "token";

    /// Who a verified token is in the scope.
    ///
    /// # Errors
    /// When nobody of the scope is known by it, and nobody becomes so.
    pub async fn authenticated(&self, token: &VerifiedToken) -> Result<Authenticated, AuthnError> {
        use super::TokenUsers as _;
        if token.is_machine() {
            return Err(AuthnError::new(AuthnCode::TokenSubject, "no machine signs in in a browser"));
        }
        let (participant, epoch) = self.users.participant(token).await?;
        let said = token.claims().get("amr").and_then(Json::as_list).unwrap_or_default();
        // What counts as a second factor is for the mapping to say.
        let others = said.iter().filter_map(Json::as_text).filter(|proof| *proof != "mfa");
        let proofs: Vec<&str> = others.chain(participant.mfa().then_some("mfa")).collect();
        let found = Authenticated::new(participant.clone(), Self::METHOD).epoch(epoch).amr(proofs);
        Ok(found.by_provider(&self.identity(token).configuration))
    }

    /// Whether whoever is unknown may register.
    pub(crate) fn registers(&self) -> bool {
        self.users.registers()
    }

    /// Whether organizations are founded with it: it is System's own, so that each of them may use it.
    pub(crate) fn founds(&self) -> bool {
        self.registers() && self.scope == Scope::System && self.owner == Scope::System
    }

    /// What a provider says of whoever a token names; of addresses, the one that it proves.
    pub(crate) fn proved(&self, token: &VerifiedToken) -> Result<Participant, AuthnError> {
        self.users.mapped(token)
    }

    /// What the provider calls whoever a token names.
    pub fn identity(&self, token: &VerifiedToken) -> crate::identity::ExternalIdentity {
        self.users.identity(token)
    }
}

/// The providers that scopes offer, and what is wrong with those that they cannot.
///
/// A reference that stores nobody offers nothing: whoever signs in here must be known here.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::token::login_providers;
/// use policy_runtime::clock::{Clock, SystemClock};
/// use policy_runtime::identity::{Directory, MemoryStore};
/// let (store, clock): (Arc<dyn Directory>, Arc<dyn Clock>) = (Arc::new(MemoryStore::default()), Arc::new(SystemClock));
/// let (offered, faults) = login_providers(&[], &[], &store, &clock);
/// assert!(offered.is_empty() && faults.is_empty());
/// ```
pub fn login_providers(
    configurations: &[Configuration],
    references: &[Reference],
    store: &Arc<dyn Directory>,
    clock: &Arc<dyn Clock>,
) -> (Vec<Offered>, Vec<ProviderFault>) {
    let (mut offered, mut faults) = (Vec::new(), Vec::new());
    for configuration in configurations {
        let fault = |problem| ProviderFault { provider: configuration.name.clone(), problem };
        let provider = match LoginProvider::of(configuration, clock) {
            Ok(None) => continue,
            Ok(Some(provider)) => Arc::new(provider),
            Err(problem) => {
                faults.push(fault(problem));
                continue;
            }
        };
        let own = references.iter().filter(|reference| reference.configuration == configuration.name);
        for reference in own.filter(|own| own.settings.provisioning != ProvisioningSettings::Token) {
            match mapping_of(&configuration.settings, &reference.settings) {
                Ok(mapping) => offered.extend(users_of(reference, mapping, store).map(|users| Offered {
                    provider: provider.clone(),
                    scope: reference.scope.clone(),
                    owner: configuration.owner.clone(),
                    users: Arc::new(users),
                })),
                Err(problem) => faults.push(fault(problem)),
            }
        }
    }
    (offered, faults)
}

/// The claims of somebody whom a provider told of without a token, as if it had given one.
fn claims_of(issuer: &str, client: &str, now: Millis, more: Vec<(&str, Json)>) -> Json {
    let text = |text: &str| Json::Text(text.to_owned());
    let ends = Json::Number((now.0.div_euclid(1_000) + 60).to_string());
    let fixed = vec![("iss", text(issuer)), ("aud", text(client)), ("exp", ends)];
    Json::Object(fixed.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect())
}
