//! Endpoints about providers, and about who is connected.

use axum::extract::{Path, State};
use policy_core::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Connection, Provider, Use};
use super::Api;
use super::answer::{Asked, Body, In, Page, bad, nothing, ok};
use super::bodies::{body, reply};
use super::handlers::{Answer, Ids, unfit};
use crate::identity::{ProviderSettings, ReferenceSettings};
use crate::secret::Secret;
use crate::security::SecurityContext;

body! {
    /// A provider as it is to be.
    NewProvider {
        /// As `[[provider]]` of `policy.toml` says it.
        settings: Value,
        /// A shared secret, as hex or base64; without one, what is there stays.
        secret: Option<String>,
        /// The secret of our client there; without one, what is there stays.
        client_secret: Option<String>,
    }
}

body! {
    /// How a scope uses a provider.
    NewUse {
        /// As `[[provider.use]]` of `policy.toml` says it.
        settings: Value,
    }
}

reply! {
    /// A provider, without its secret.
    ProviderReply {
        /// Its name in the deployment.
        name: String,
        /// Who owns it.
        owner: String,
        /// What its tokens look like and where its keys are.
        settings: Value,
        /// Whether there is a shared secret.
        has_secret: bool,
        /// Whether there is a secret of our client there.
        has_client_secret: bool,
        /// Whether it stands in the configuration file.
        declared: bool,
        /// The scopes that it is shared with.
        shared_with: Vec<String>,
        /// How scopes use it.
        uses: Vec<UseReply>,
    }
}

reply! {
    /// How a scope uses a provider.
    UseReply {
        /// The scope.
        scope: String,
        /// What claims become there, and who is let in.
        settings: Value,
    }
}

reply! {
    /// A participant that is connected.
    ConnectionReply {
        /// `<scope>/<id>`.
        participant: String,
        /// Its scope.
        scope: String,
        /// The address of a person.
        email: Option<String>,
        /// How it signed in.
        auth_type: String,
        /// How many connections it has.
        count: usize,
    }
}

impl From<Use> for UseReply {
    fn from(used: Use) -> Self {
        Self { scope: used.scope.to_string(), settings: serde_json::to_value(used.settings).unwrap_or_default() }
    }
}

impl From<Provider> for ProviderReply {
    fn from(provider: Provider) -> Self {
        Self {
            name: provider.name,
            owner: provider.owner.to_string(),
            settings: serde_json::to_value(provider.settings).unwrap_or_default(),
            has_secret: provider.has_secret,
            has_client_secret: provider.has_client_secret,
            declared: provider.declared,
            shared_with: provider.shared_with.iter().map(ToString::to_string).collect(),
            uses: provider.uses.into_iter().map(UseReply::from).collect(),
        }
    }
}

impl From<Connection> for ConnectionReply {
    fn from(one: Connection) -> Self {
        Self {
            participant: one.participant,
            scope: one.scope.to_string(),
            email: one.email,
            auth_type: one.auth_type,
            count: one.count,
        }
    }
}

pub(super) async fn providers(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(page): Asked<Page>,
) -> Answer {
    let all = api.admin.providers(&cx, &scope).await?.into_iter().map(ProviderReply::from).collect();
    ok(&page.of(all, |one: &ProviderReply| one.name.clone()))
}

pub(super) async fn put_provider(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, name)): Ids,
    Body(new): Body<NewProvider>,
) -> Answer {
    let settings: ProviderSettings = settings(new.settings)?;
    let secret = new.secret.map(|text| decoded(&text)).transpose()?;
    let client_secret = new.client_secret.map(Secret::new);
    let made = api.admin.put_provider(&cx, &scope, &name, settings, secret, client_secret).await?;
    ok(&ProviderReply::from(made))
}

pub(super) async fn remove_provider(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, name)): Ids,
) -> Answer {
    api.admin.remove_provider(&cx, &scope, &name).await?;
    Ok(nothing())
}

pub(super) async fn share_provider(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    shared: Shared,
) -> Answer {
    share(&api, &cx, &scope, &shared, true).await
}

pub(super) async fn unshare_provider(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    shared: Shared,
) -> Answer {
    share(&api, &cx, &scope, &shared, false).await
}

type Shared = Path<(String, String, String)>;

async fn share(api: &Api, cx: &SecurityContext, scope: &Scope, names: &Shared, shared: bool) -> Answer {
    let Path((_, name, with)) = names;
    let with = with.parse().map_err(|error: policy_core::name::NameError| bad(&error.to_string()))?;
    api.admin.share_provider(cx, scope, name, &with, shared).await?;
    Ok(nothing())
}

pub(super) async fn use_provider(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, name)): Ids,
    Body(new): Body<NewUse>,
) -> Answer {
    let settings: ReferenceSettings = settings(new.settings)?;
    api.admin.use_provider(&cx, &scope, &name, settings).await?;
    Ok(nothing())
}

pub(super) async fn leave_provider(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Path((_, name)): Ids,
) -> Answer {
    api.admin.leave_provider(&cx, &scope, &name).await?;
    Ok(nothing())
}

pub(super) async fn connections(
    State(api): State<Api>,
    cx: SecurityContext,
    In(scope): In,
    Asked(page): Asked<Page>,
) -> Answer {
    let all = api.admin.connections(&cx, &scope).await?.into_iter().map(ConnectionReply::from).collect();
    ok(&page.of(all, |one: &ConnectionReply| format!("{} {}", one.participant, one.auth_type)))
}

fn settings<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, crate::tower::Problem> {
    serde_json::from_value(value).map_err(|error| unfit(format!("`settings`: {error}")))
}

fn decoded(text: &str) -> Result<Secret<Vec<u8>>, crate::tower::Problem> {
    crate::config::decode(text).map_err(|problem| unfit(format!("`secret` {problem}")))
}
