//! What is sent and answered, apart from what is stored: a member that is not here can neither be set nor read.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::pdp::{Baseline, SetSource};
use policy_core::registry::Finding;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::{Activated, MemberChange, NewKey, NewMember, Review};
use super::values::{attribute, shown};
use crate::audit::journal::{Count, Filter};
use crate::identity::{ApiKeyRecord, User};
use crate::secret::Secret;
use crate::sets::SetVersion;

macro_rules! body {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(in crate::admin::http) struct $name { $($(#[$field_doc])* pub(in crate::admin::http) $field: $kind,)* }
    };
}

macro_rules! reply {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase")]
        pub(in crate::admin::http) struct $name { $($(#[$field_doc])* pub(in crate::admin::http) $field: $kind,)* }
    };
}

macro_rules! query {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Deserialize, utoipa::IntoParams)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(in crate::admin::http) struct $name { $($(#[$field_doc])* pub(in crate::admin::http) $field: $kind,)* }
    };
}

pub(super) use {body, query, reply};

body! {
    /// An organization to create, with its first owner.
    NewOrganization {
        /// Permanent: lower-case letters, digits, `.`, `_` and `-`.
        id: String,
        /// Who assigns all further roles.
        owner: NewUser,
    }
}

body! {
    /// Somebody to add to a scope.
    NewUser {
        /// The address, unique in the scope.
        email: String,
        /// The name to show.
        display_name: Option<String>,
        /// Roles in the scope.
        #[serde(default)]
        roles: BTreeSet<String>,
        /// Attributes that rules read.
        #[serde(default)]
        attributes: BTreeMap<String, Value>,
        /// The tenant.
        tenant: Option<String>,
        /// A first password.
        password: Option<String>,
    }
}

body! {
    /// What to change of a user.
    UserChange {
        /// Roles to assign.
        #[serde(default)]
        add_roles: BTreeSet<String>,
        /// Roles to take away.
        #[serde(default)]
        remove_roles: BTreeSet<String>,
        /// Attributes to set, or with `null` to remove.
        #[serde(default)]
        attributes: BTreeMap<String, Value>,
        /// The name to show; `null` removes it.
        #[serde(default, deserialize_with = "given")]
        #[schema(value_type = Option<String>)]
        display_name: Option<Option<String>>,
        /// The tenant; `null` removes it.
        #[serde(default, deserialize_with = "given")]
        #[schema(value_type = Option<String>)]
        tenant: Option<Option<String>>,
        /// Whether it may sign in.
        enabled: Option<bool>,
        /// A new password.
        password: Option<String>,
    }
}

/// `null` is something that was said.
#[expect(clippy::option_option, reason = "a change may leave a value, set it, or remove it")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

body! {
    /// An application to create.
    NewApplication {
        /// Permanent, unique in the deployment.
        id: String,
    }
}

body! {
    /// What a program declares, as it makes it; without a version, it is named by its hash.
    NewManifest {
        #[serde(default)]
        version: String,
        manifest: Value,
    }
}

query! {
    /// For which registered manifest sets are wanted, by its hash; the nonce comes back in the statement.
    BundleAsked {
        manifest: String,
        nonce: String,
    }
}

body! {
    /// A key to make.
    NewKeyBody {
        /// The name to show.
        #[serde(default)]
        name: String,
        /// Roles of its own.
        #[serde(default)]
        roles: BTreeSet<String>,
        /// Attributes that rules read.
        #[serde(default)]
        attributes: BTreeMap<String, Value>,
        /// The tenant it works for.
        tenant: Option<String>,
        /// When it ends, in milliseconds since 1970.
        expires_at: Option<i64>,
    }
}

body! {
    /// A version of a policy set to save.
    NewDraft {
        /// `shipped` or `replaced`.
        #[serde(default = "shipped")]
        baseline: String,
        /// Rules of the policy language.
        #[serde(default)]
        rules: Vec<Rule>,
        /// Cedar.
        #[serde(default)]
        cedar: Vec<CedarFile>,
        /// Why.
        #[serde(default)]
        comment: String,
    }
}

fn shipped() -> String {
    "shipped".to_owned()
}

/// A rule of the policy language.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// What explanations and the audit name.
    id: String,
    /// `forbid com.example.OrderService.placeOrder unless participant.mfa == true`
    text: String,
}

/// Cedar policies.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CedarFile {
    /// The file's name.
    name: String,
    /// Its text.
    text: String,
}

body! {
    /// Records to remove, up to the first that is younger.
    Retention {
        /// The scope: `sys`, `org:acme`, `app:acme/orders`.
        scope: String,
        /// Milliseconds since 1970.
        before: i64,
    }
}

query! {
    /// Which records are wanted.
    RecordsAsked {
        /// `decision`, `sign-in`, `change` or `end`.
        kind: Option<String>,
        /// `<scope>/<id>` of the participant.
        actor: Option<String>,
        /// The action's full name.
        action: Option<String>,
        /// Type and id of an entity.
        resource: Option<String>,
        /// `allow` or `deny`.
        outcome: Option<String>,
        /// The id of a decision.
        decision: Option<String>,
        /// From this time on, in milliseconds since 1970.
        from: Option<i64>,
        /// Before this time.
        until: Option<i64>,
        /// After the record of this number.
        after: Option<i64>,
        /// At most so many, never more than 1000.
        limit: Option<i64>,
    }
}

reply! {
    /// Who the caller is.
    Whoami {
        /// Opaque.
        id: String,
        /// `sys`, `org:acme`, `app:acme/orders`.
        scope: String,
        /// Its roles.
        roles: Vec<String>,
        /// The address.
        email: Option<String>,
        /// How it signed in.
        auth_type: String,
        /// Whether with a second factor.
        mfa: bool,
        /// What it may do in its scope: action to `always` or `depends`.
        may: BTreeMap<String, &'static str>,
    }
}

reply! {
    /// An access token.
    Token {
        /// To be sent as bearer.
        token: String,
        /// How many seconds it is good.
        expires_in: u32,
    }
}

reply! {
    /// An organization.
    OrganizationReply {
        /// Its id.
        id: String,
        /// Whether nobody of its scopes may sign in.
        suspended: bool,
    }
}

reply! {
    /// An application.
    ApplicationReply {
        /// Its id.
        id: String,
        /// Its scope.
        scope: String,
    }
}

reply! {
    /// A user.
    UserReply {
        /// Opaque.
        id: String,
        /// Where it may sign in.
        scope: String,
        /// The address.
        email: Option<String>,
        /// The name to show.
        display_name: Option<String>,
        /// Its roles.
        roles: BTreeSet<String>,
        /// Its attributes.
        attributes: BTreeMap<String, Value>,
        /// The tenant.
        tenant: Option<String>,
        /// Whether it may sign in.
        enabled: bool,
    }
}

reply! {
    /// An invitation; it is shown once.
    Invitation {
        /// To be handed to the user.
        invitation: String,
    }
}

reply! {
    /// A key, without the key.
    KeyReply {
        /// Its public part.
        id: String,
        /// Where it may be used.
        scope: String,
        /// The name to show.
        name: String,
        /// Its roles.
        roles: BTreeSet<String>,
        /// Its attributes.
        attributes: BTreeMap<String, Value>,
        /// The tenant it works for.
        tenant: Option<String>,
        /// When it ends.
        expires_at: Option<i64>,
        /// When it was used last.
        last_used: Option<i64>,
        /// Whether it may be used.
        enabled: bool,
        /// The key itself, once, where it is made.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    }
}

reply! {
    /// A version of a policy set.
    VersionReply {
        /// From 1.
        number: i64,
        /// `draft`, `validated`, `active` or `superseded`.
        state: &'static str,
        /// SHA-256 of its content.
        hash: String,
        /// Who wrote it.
        author: String,
        /// When, in milliseconds since 1970.
        time: i64,
        /// Why.
        comment: String,
        /// `shipped` or `replaced`.
        baseline: &'static str,
        /// Rules of the policy language.
        rules: Vec<Rule>,
        /// Cedar.
        cedar: Vec<CedarFile>,
    }
}

reply! {
    /// What is worth a look.
    Warning {
        /// Which policy, or what else.
        place: String,
        /// What about it.
        message: String,
    }
}

reply! {
    /// A version that checks.
    ReviewReply {
        /// The version.
        version: VersionReply,
        /// The one that it would replace; 0 for what a scope begins with.
        active: i64,
        /// What is worth a look.
        warnings: Vec<Warning>,
    }
}

reply! {
    /// An activation.
    ActivationReply {
        /// The version that decides now.
        version: i64,
        /// The one before.
        before: i64,
        /// What decisions name.
        revision: String,
        /// What is worth a look.
        warnings: Vec<Warning>,
    }
}

reply! {
    /// A policy that decides.
    EffectiveReply {
        /// Its id.
        id: String,
        /// Its Cedar.
        text: String,
    }
}

reply! {
    /// How often something was decided.
    CountReply {
        /// The action's full name.
        action: String,
        /// Whose.
        actor: String,
        /// `allow` or `deny`.
        outcome: String,
        /// How often.
        count: i64,
    }
}

reply! {
    /// A chain that is as it was written.
    VerifiedReply {
        /// How many records were looked at.
        records: u64,
        /// The number of the last.
        last: i64,
        /// The number that an earlier removal ends with.
        checkpoint: Option<i64>,
    }
}

reply! {
    /// How many records were removed.
    Removed {
        /// How many.
        removed: u64,
    }
}

impl NewUser {
    pub(super) fn member(self) -> Result<NewMember, String> {
        let mut member = NewMember::new(&self.email);
        member = self.roles.iter().fold(member, |member, role| member.role(role));
        for (name, value) in &self.attributes {
            member = member.attribute(name, attribute(name, value)?);
        }
        if let Some(name) = &self.display_name {
            member = member.display_name(name);
        }
        if let Some(tenant) = &self.tenant {
            member = member.tenant(tenant);
        }
        Ok(match self.password {
            Some(password) => member.password(Secret::new(password)),
            None => member,
        })
    }
}

impl UserChange {
    pub(super) fn change(self) -> Result<MemberChange, String> {
        let set = |(name, value): (&String, &Value)| {
            let set = if value.is_null() { None } else { Some(attribute(name, value)?) };
            Ok((name.clone(), set))
        };
        Ok(MemberChange {
            attributes: self.attributes.iter().map(set).collect::<Result<_, String>>()?,
            add_roles: self.add_roles,
            remove_roles: self.remove_roles,
            display_name: self.display_name,
            tenant: self.tenant,
            enabled: self.enabled,
            password: self.password.map(Secret::new),
            seen: None,
        })
    }
}

impl NewKeyBody {
    pub(super) fn key(self) -> Result<NewKey, String> {
        let Self { name, roles, attributes, tenant, expires_at } = self;
        let set = |(name, value): (String, Value)| Ok((name.clone(), attribute(&name, &value)?));
        let attributes = attributes.into_iter().map(set).collect::<Result<_, String>>()?;
        Ok(NewKey { name, roles, attributes, tenant, expires_at })
    }
}

impl NewDraft {
    pub(super) fn source(self) -> Result<(SetSource, String), String> {
        let baseline = match self.baseline.as_str() {
            "shipped" => Baseline::Shipped,
            "replaced" => Baseline::Replaced,
            other => return Err(format!("`baseline` is `shipped` or `replaced`, not `{other}`")),
        };
        let cedar = self.cedar.into_iter().map(|file| (file.name, file.text)).collect();
        let rules = self.rules.into_iter().map(|rule| (rule.id, rule.text)).collect();
        Ok((SetSource { baseline, cedar, rules }, self.comment))
    }
}

impl From<RecordsAsked> for Filter {
    fn from(asked: RecordsAsked) -> Self {
        let mut filter = Self::default();
        (filter.kind, filter.actor, filter.action) = (asked.kind, asked.actor, asked.action);
        (filter.resource, filter.outcome, filter.decision) = (asked.resource, asked.outcome, asked.decision);
        (filter.from, filter.until, filter.after, filter.limit) = (asked.from, asked.until, asked.after, asked.limit);
        filter
    }
}

impl From<User> for UserReply {
    fn from(user: User) -> Self {
        Self {
            scope: user.scope.to_string(),
            id: user.id,
            email: user.email,
            display_name: user.display_name,
            roles: user.roles,
            attributes: user.attributes.into_iter().map(|(name, value)| (name, shown(&value))).collect(),
            tenant: user.tenant,
            enabled: user.enabled,
        }
    }
}

impl From<ApiKeyRecord> for KeyReply {
    fn from(record: ApiKeyRecord) -> Self {
        Self {
            scope: record.scope.to_string(),
            id: record.id,
            name: record.name,
            roles: record.roles,
            attributes: record.attributes.into_iter().map(|(name, value)| (name, shown(&value))).collect(),
            tenant: record.tenant,
            expires_at: record.expires_at.map(|at| at.0),
            last_used: record.last_used.map(|at| at.0),
            enabled: record.enabled,
            key: None,
        }
    }
}

impl From<SetVersion> for VersionReply {
    fn from(version: SetVersion) -> Self {
        Self {
            number: version.number,
            state: version.state.as_str(),
            hash: version.hash,
            author: version.author,
            time: version.time,
            comment: version.comment,
            baseline: match version.source.baseline {
                Baseline::Shipped => "shipped",
                Baseline::Replaced => "replaced",
            },
            rules: version.source.rules.into_iter().map(|(id, text)| Rule { id, text }).collect(),
            cedar: version.source.cedar.into_iter().map(|(name, text)| CedarFile { name, text }).collect(),
        }
    }
}

fn warnings(found: Vec<Finding>) -> Vec<Warning> {
    found.into_iter().map(|one| Warning { place: one.place.to_string(), message: one.message }).collect()
}

impl From<Review> for ReviewReply {
    fn from(review: Review) -> Self {
        Self { version: review.version.into(), active: review.active, warnings: warnings(review.warnings) }
    }
}

impl From<Activated> for ActivationReply {
    fn from(done: Activated) -> Self {
        let Activated { version, before, revision, warnings: found } = done;
        Self { version, before, revision: revision.to_string(), warnings: warnings(found) }
    }
}

impl From<Count> for CountReply {
    fn from(count: Count) -> Self {
        Self { action: count.action, actor: count.actor, outcome: count.outcome, count: count.count }
    }
}
