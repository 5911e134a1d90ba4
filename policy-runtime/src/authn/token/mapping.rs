//! Claims to attributes: declared, typed, and never a way to become somebody else.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::participant::{BUILT_IN, ParticipantBuilder};
use policy_core::value::{Decimal, IpRange, Millis, Value, parse_uuid};

use super::path::ClaimPath;
use crate::authn::{AuthnCode, AuthnError};
use crate::json::Json;

/// The kind that a claim must have.
///
/// ```
/// use policy_runtime::authn::token::ClaimKind;
/// assert_eq!(ClaimKind::texts(), ClaimKind::Set(Box::new(ClaimKind::Text)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimKind {
    /// Text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Long,
    /// A number with at most four places.
    Decimal,
    /// An instant: seconds since 1970 or RFC 3339.
    Datetime,
    /// A UUID.
    Uuid,
    /// An address or a range.
    Ip,
    /// A set: an array of one scalar kind.
    Set(Box<Self>),
    /// A set of texts: words between spaces, as `scope` has them, or an array of texts.
    Words,
}

impl ClaimKind {
    /// A set of texts.
    pub fn texts() -> Self {
        Self::Set(Box::new(Self::Text))
    }

    /// Reads a claim; `None` when the kind cannot hold it.
    pub(super) fn read(&self, claim: &Json) -> Option<Value> {
        let text = claim.as_text();
        Some(match self {
            Self::Text => Value::text(text?),
            Self::Bool => match claim {
                Json::Bool(b) => Value::Bool(*b),
                Json::Null | Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => return None,
            },
            Self::Long => Value::Long(claim.as_long()?),
            Self::Decimal => Value::Decimal(match text {
                Some(text) => text.parse::<Decimal>().ok()?,
                None => claim.as_decimal()?,
            }),
            Self::Datetime => Value::Datetime(match text {
                Some(text) => text.parse().ok()?,
                None => Millis(claim.as_long()?.checked_mul(1_000)?),
            }),
            Self::Uuid => Value::Uuid(parse_uuid(text?)?),
            Self::Ip => Value::Ip(text?.parse::<IpRange>().ok()?),
            Self::Set(element) => {
                Value::Set(claim.as_list()?.iter().map(|item| element.read(item)).collect::<Option<_>>()?)
            }
            Self::Words => match text {
                Some(words) => Value::Set(words.split_ascii_whitespace().map(Value::text).collect()),
                None => return Self::texts().read(claim),
            },
        })
    }
}

/// What to do with a claim that its kind cannot hold.
///
/// ```
/// use policy_runtime::authn::token::{ClaimKind, ClaimMapping, ClaimPath, OnMismatch};
/// let mapping = ClaimMapping::default()
///     .attribute_or("level", ClaimPath::name("level"), ClaimKind::Long, OnMismatch::Absent)
///     .unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "a claim refuses or is absent")]
pub enum OnMismatch {
    /// The sign-in is refused.
    #[default]
    Refuse,
    /// The attribute is absent.
    Absent,
}

/// Why a mapping cannot be used.
///
/// ```
/// use policy_runtime::authn::token::{ClaimKind, ClaimMapping, ClaimPath, MappingError};
/// let error = ClaimMapping::default().attribute("mfa", ClaimPath::name("mfa"), ClaimKind::Bool).unwrap_err();
/// assert_eq!(error, MappingError::BuiltIn("mfa".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The attribute is one that every participant has.
    #[error("attribute `{0}` cannot be mapped: it is built in, or has a key of its own")]
    BuiltIn(String),
    /// The attribute is mapped twice.
    #[error("attribute `{0}` is mapped twice")]
    Twice(String),
}

#[derive(Debug, Clone)]
struct AttributeRule {
    name: String,
    claim: ClaimPath,
    kind: ClaimKind,
    on_mismatch: OnMismatch,
}

/// What the claims of a verified token become.
///
/// ```
/// use policy_runtime::authn::token::{ClaimKind, ClaimMapping, ClaimPath};
/// let mapping = ClaimMapping::default()
///     .attribute("organizationId", ClaimPath::name("organizationId"), ClaimKind::Text)
///     .unwrap()
///     .roles(ClaimPath::dotted("realm_access.roles"))
///     .allow_role("admin", "admin");
/// assert!(mapping.clone().attribute("tier", ClaimPath::name("tier"), ClaimKind::Text).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct ClaimMapping {
    attributes: Vec<AttributeRule>,
    roles_from: Vec<ClaimPath>,
    roles: BTreeMap<String, String>,
    fixed_roles: BTreeSet<String>,
    tenant: Option<(ClaimPath, BTreeSet<String>)>,
    mfa_amr: BTreeSet<String>,
    mfa_level: (ClaimPath, BTreeSet<String>),
    email: Option<(ClaimPath, ClaimPath)>,
    display_name: Option<ClaimPath>,
}

/// Maps `email` (if `email_verified` is true) and `name`; a second factor is what `amr` calls `mfa`.
impl Default for ClaimMapping {
    fn default() -> Self {
        Self {
            attributes: Vec::new(),
            roles_from: Vec::new(),
            roles: BTreeMap::new(),
            fixed_roles: BTreeSet::new(),
            tenant: None,
            mfa_amr: BTreeSet::from(["mfa".to_owned()]),
            mfa_level: (ClaimPath::name("acr"), BTreeSet::new()),
            email: Some((ClaimPath::name("email"), ClaimPath::name("email_verified"))),
            display_name: Some(ClaimPath::name("name")),
        }
    }
}

impl ClaimMapping {
    /// Maps a claim to an attribute; a claim of another kind refuses the sign-in.
    ///
    /// # Errors
    /// When the attribute is built in or mapped already.
    pub fn attribute(self, name: &str, claim: ClaimPath, kind: ClaimKind) -> Result<Self, MappingError> {
        self.attribute_or(name, claim, kind, OnMismatch::Refuse)
    }

    /// Maps a claim to an attribute, saying what becomes of a claim of another kind.
    ///
    /// # Errors
    /// As [`ClaimMapping::attribute`].
    pub fn attribute_or(
        mut self,
        name: &str,
        claim: ClaimPath,
        kind: ClaimKind,
        on_mismatch: OnMismatch,
    ) -> Result<Self, MappingError> {
        if BUILT_IN.field(name).is_some() {
            return Err(MappingError::BuiltIn(name.to_owned()));
        }
        if self.attributes.iter().any(|rule| rule.name == name) {
            return Err(MappingError::Twice(name.to_owned()));
        }
        self.attributes.push(AttributeRule { name: name.to_owned(), claim, kind, on_mismatch });
        Ok(self)
    }

    /// Looks for roles (or groups) in one more claim: an array of texts, or words between spaces.
    #[must_use]
    pub fn roles(mut self, claim: ClaimPath) -> Self {
        self.roles_from.push(claim);
        self
    }

    /// Gives a role for one value of those claims; values that no role is given for are passed over.
    #[must_use]
    pub fn allow_role(mut self, value: &str, role: &str) -> Self {
        self.roles.insert(value.to_owned(), role.to_owned());
        self
    }

    /// Gives a role to everybody of this configuration.
    #[must_use]
    pub fn everybody_is(mut self, role: &str) -> Self {
        self.fixed_roles.insert(role.to_owned());
        self
    }

    /// Takes the tenant from a claim, if it is one of these.
    #[must_use]
    pub fn tenant<'a>(mut self, claim: ClaimPath, allowed: impl IntoIterator<Item = &'a str>) -> Self {
        self.tenant = Some((claim, allowed.into_iter().map(str::to_owned).collect()));
        self
    }

    /// Counts these values of `amr`, and these of `acr`, as a second factor.
    #[must_use]
    pub fn mfa<'a>(mut self, amr: impl IntoIterator<Item = &'a str>, acr: impl IntoIterator<Item = &'a str>) -> Self {
        self.mfa_amr = amr.into_iter().map(str::to_owned).collect();
        self.mfa_level = (ClaimPath::name("acr"), acr.into_iter().map(str::to_owned).collect());
        self
    }

    /// Counts these values of a claim as a second factor, beside what `amr` says.
    #[must_use]
    pub fn mfa_level<'a>(mut self, claim: ClaimPath, levels: impl IntoIterator<Item = &'a str>) -> Self {
        self.mfa_level = (claim, levels.into_iter().map(str::to_owned).collect());
        self
    }

    /// Takes the address from one claim if another one is `true`.
    #[must_use]
    pub fn email(mut self, address: ClaimPath, verified: ClaimPath) -> Self {
        self.email = Some((address, verified));
        self
    }

    /// Takes the name to show from a claim.
    #[must_use]
    pub fn display_name(mut self, claim: ClaimPath) -> Self {
        self.display_name = Some(claim);
        self
    }

    /// Puts what the claims become into a participant.
    ///
    /// # Errors
    /// When a claim is of another kind than declared, and that refuses.
    ///
    /// ```
    /// use policy_core::{Participant, Scope};
    /// use policy_runtime::authn::token::{ClaimMapping, ClaimPath, Json};
    ///
    /// let mapping = ClaimMapping::default()
    ///     .everybody_is("user")
    ///     .display_name(ClaimPath::name("name"))
    ///     .tenant(ClaimPath::name("tenant"), ["north"])
    ///     .mfa_level(ClaimPath::name("acr"), ["gold"]);
    /// let claims = Json::parse(br#"{"name": "Alice", "tenant": "north", "acr": "gold"}"#).unwrap();
    /// let alice = mapping.apply(&claims, Participant::builder(Scope::System, "u-1")).unwrap().build();
    /// assert_eq!((alice.display_name(), alice.tenant(), alice.mfa()), (Some("Alice"), Some("north"), true));
    /// ```
    pub fn apply(&self, claims: &Json, builder: ParticipantBuilder) -> Result<ParticipantBuilder, AuthnError> {
        let mut builder = builder;
        for (name, outcome) in self.dry_run(claims) {
            builder = match outcome {
                Mapped::Absent => builder,
                Mapped::Refused(detail) => return Err(AuthnError::new(AuthnCode::TokenClaim, detail)),
                Mapped::Value(value) => match (name.as_str(), value) {
                    ("email", Value::Text(text)) => builder.email(&text),
                    ("displayName", Value::Text(text)) => builder.display_name(&text),
                    ("tenant", Value::Text(text)) => builder.tenant(&text),
                    ("mfa", Value::Bool(mfa)) => builder.mfa(mfa),
                    ("roles", Value::Set(roles)) => roles.iter().fold(builder, |builder, role| {
                        if let Value::Text(role) = role { builder.role(role) } else { builder }
                    }),
                    (_, value) => builder.attribute(&name, value),
                },
            };
        }
        Ok(builder)
    }

    /// Shows what each attribute would become, one by one: for whoever writes a mapping.
    pub fn dry_run(&self, claims: &Json) -> Vec<(String, Mapped)> {
        let mut out = Vec::new();
        let text = |claim: &ClaimPath| claim.find(claims).and_then(Json::as_text).filter(|text| !text.is_empty());
        let mapped = |text: Option<&str>| text.map_or(Mapped::Absent, |text| Mapped::Value(Value::text(text)));
        if let Some((address, verified)) = &self.email {
            // Nobody may claim an address by writing it into a profile; "true" as text is no proof either.
            let proved = verified.find(claims) == Some(&Json::Bool(true));
            out.push(("email".into(), mapped(text(address).filter(|_| proved))));
        }
        if let Some(claim) = &self.display_name {
            out.push(("displayName".into(), mapped(text(claim))));
        }
        if let Some((claim, allowed)) = &self.tenant {
            out.push(("tenant".into(), mapped(text(claim).filter(|tenant| allowed.contains(*tenant)))));
        }
        out.push(("roles".into(), self.mapped_roles(claims)));
        out.push(("mfa".into(), Mapped::Value(Value::Bool(self.has_mfa(claims)))));
        for rule in &self.attributes {
            let outcome = match rule.claim.find(claims) {
                None | Some(Json::Null) => Mapped::Absent,
                Some(claim) => match (rule.kind.read(claim), rule.on_mismatch) {
                    (Some(value), _) => Mapped::Value(value),
                    (None, OnMismatch::Absent) => Mapped::Absent,
                    (None, OnMismatch::Refuse) => {
                        Mapped::Refused(format!("claim `{}` is not of kind {:?}", rule.claim, rule.kind))
                    }
                },
            };
            out.push((rule.name.clone(), outcome));
        }
        out
    }

    fn mapped_roles(&self, claims: &Json) -> Mapped {
        let mut roles = self.fixed_roles.clone();
        for path in &self.roles_from {
            let Some(claim) = path.find(claims).filter(|claim| **claim != Json::Null) else { continue };
            let Some(Value::Set(values)) = ClaimKind::Words.read(claim) else {
                return Mapped::Refused(format!("claim `{path}` is neither a list of texts nor words"));
            };
            for value in values {
                if let Value::Text(value) = value
                    && let Some(role) = self.roles.get(&*value)
                {
                    roles.insert(role.clone());
                }
            }
        }
        Mapped::Value(Value::Set(roles.iter().map(|role| Value::text(role)).collect()))
    }

    fn has_mfa(&self, claims: &Json) -> bool {
        let amr = claims.get("amr").and_then(Json::as_list).unwrap_or_default();
        amr.iter().filter_map(Json::as_text).any(|method| self.mfa_amr.contains(method))
            || self
                .mfa_level
                .0
                .find(claims)
                .and_then(Json::as_text)
                .is_some_and(|level| self.mfa_level.1.contains(level))
    }
}

/// What one attribute would become.
///
/// ```
/// use policy_runtime::authn::token::{ClaimKind, ClaimMapping, ClaimPath, Json, Mapped};
/// let mapping = ClaimMapping::default().attribute("level", ClaimPath::name("level"), ClaimKind::Long).unwrap();
/// let tried = mapping.dry_run(&Json::parse(br#"{"level": "high"}"#).unwrap());
/// assert!(tried.iter().any(|(name, mapped)| name == "level" && matches!(mapped, Mapped::Refused(_))));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are three outcomes, and a caller must decide about each")]
pub enum Mapped {
    /// This value.
    Value(Value),
    /// Nothing.
    Absent,
    /// The sign-in would be refused, for this reason.
    Refused(String),
}

#[cfg(test)]
mod tests {
    use policy_core::{Participant, Scope};

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    fn apply(mapping: &ClaimMapping, claims: &str) -> Result<Participant, AuthnError> {
        let builder = Participant::builder(Scope::System, "p");
        mapping.apply(&json(claims), builder).map(ParticipantBuilder::build)
    }

    #[test]
    fn kinds() {
        let cases = [
            (ClaimKind::Text, r#""a""#, Some(Value::text("a"))),
            (ClaimKind::Text, "1", None),
            (ClaimKind::Long, "9007199254740993", Some(Value::Long(9_007_199_254_740_993))),
            (ClaimKind::Long, "1.0", None),
            (ClaimKind::Long, r#""1""#, None),
            (ClaimKind::Bool, "true", Some(Value::Bool(true))),
            (ClaimKind::Bool, r#""true""#, None),
            (ClaimKind::Decimal, "1.25", Some(Value::Decimal(Decimal::from_scaled(12_500)))),
            (ClaimKind::Decimal, "1.234567", None),
            (ClaimKind::Datetime, "1000", Some(Value::Datetime(Millis(1_000_000)))),
            (ClaimKind::Datetime, r#""1970-01-01T00:00:01Z""#, Some(Value::Datetime(Millis(1_000)))),
            (
                ClaimKind::Uuid,
                r#""67e55044-10b1-426f-9247-bb680e5fe0c8""#,
                parse_uuid("67e55044-10b1-426f-9247-bb680e5fe0c8").map(Value::Uuid),
            ),
            (ClaimKind::Ip, r#""10.0.0.1""#, Some(Value::Ip("10.0.0.1".parse().unwrap()))),
            (ClaimKind::texts(), r#"["a","b"]"#, Some(Value::Set(vec![Value::text("a"), Value::text("b")]))),
            (ClaimKind::texts(), r#"["a",1]"#, None),
            (ClaimKind::texts(), "[]", Some(Value::Set(vec![]))),
            (ClaimKind::Words, r#""a  b""#, Some(Value::Set(vec![Value::text("a"), Value::text("b")]))),
        ];
        for (kind, claim, expected) in cases {
            assert_eq!(kind.read(&json(claim)), expected, "{kind:?} of {claim}");
        }
    }

    #[test]
    fn a_wrong_kind_refuses_unless_said_otherwise() {
        let strict = ClaimMapping::default().attribute("level", ClaimPath::name("level"), ClaimKind::Long).unwrap();
        let lax = ClaimMapping::default()
            .attribute_or("level", ClaimPath::name("level"), ClaimKind::Long, OnMismatch::Absent)
            .unwrap();
        assert_eq!(apply(&strict, r#"{"level": "7"}"#).unwrap_err().code(), AuthnCode::TokenClaim);
        assert_eq!(apply(&lax, r#"{"level": "7"}"#).unwrap().attributes(), []);
        assert_eq!(apply(&strict, r#"{"level": 7}"#).unwrap().attributes(), [("level".into(), Value::Long(7))]);
        assert_eq!(apply(&strict, "{}").unwrap().attributes(), []);
    }

    #[test]
    fn roles_come_through_the_allow_list_from_several_places() {
        let mapping = ClaimMapping::default()
            .roles(ClaimPath::dotted("realm_access.roles"))
            .roles(ClaimPath::name("https://acme.example/groups"))
            .allow_role("admins", "admin")
            .allow_role("staff", "user");
        let found = apply(
            &mapping,
            r#"{"realm_access":{"roles":["admins","root"]},"https://acme.example/groups":"staff x","roles":["owner"]}"#,
        );
        assert_eq!(found.unwrap().roles(), ["admin".into(), "user".into()]);
        assert!(apply(&mapping, r#"{"realm_access":{"roles":[1]}}"#).is_err());
    }

    #[test]
    fn what_a_user_writes_into_a_profile_is_no_proof() {
        let mapping = ClaimMapping::default().tenant(ClaimPath::name("t"), ["a"]);
        let of = |claims| apply(&mapping, claims).unwrap();
        assert_eq!(of(r#"{"email":"a@b.c","email_verified":true}"#).email(), Some("a@b.c"));
        for unproved in [r#"{"email":"a@b.c"}"#, r#"{"email":"a@b.c","email_verified":"true"}"#] {
            assert_eq!(of(unproved).email(), None);
        }
        assert_eq!((of(r#"{"t":"a"}"#).tenant(), of(r#"{"t":"b"}"#).tenant()), (Some("a"), None));
        assert!(of(r#"{"amr":["pwd","mfa"]}"#).mfa() && !of(r#"{"amr":["pwd"],"acr":"mfa"}"#).mfa());
    }

    #[test]
    fn built_in_attributes_cannot_be_mapped() {
        for name in
            ["id", "tier", "organization", "application", "roles", "tenant", "mfa", "email", "authType", "subject"]
        {
            let error = ClaimMapping::default().attribute(name, ClaimPath::name("x"), ClaimKind::Text).unwrap_err();
            assert_eq!(error, MappingError::BuiltIn(name.into()));
        }
    }
}
