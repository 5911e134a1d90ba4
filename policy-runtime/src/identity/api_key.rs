//! What is stored of an API key: everything but the key.

use std::collections::BTreeSet;

use policy_core::value::{Millis, Value};
use policy_core::{Participant, Scope};

use super::StoreError;
use futures_util::future::BoxFuture;

/// A machine's key as it is stored; of the key itself only a hash.
///
/// ```
/// use policy_core::Scope;
/// use policy_runtime::authn::api_key::generate;
/// use policy_runtime::identity::MemoryStore;
///
/// let store = MemoryStore::default();
/// store.create_organization("acme").unwrap();
/// let (_, mut record) = generate(Scope::organization("acme").unwrap()).unwrap();
/// record.roles.insert("robot".to_owned());
/// let id = record.id.clone();
/// store.insert_key(record).unwrap();
/// store.update_key(&id, |key| key.enabled = false).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ApiKeyRecord {
    /// The public part of the key, by which it is found.
    pub id: String,
    /// SHA-256 of the key; its secret has 256 random bits, so nothing slower is needed.
    pub hash: [u8; 32],
    /// Where it may be used.
    pub scope: Scope,
    /// The participant that it proves: opaque, made by us.
    pub participant: String,
    /// The name to show.
    pub name: String,
    /// Roles of its own.
    pub roles: BTreeSet<String>,
    /// Attributes of its own.
    pub attributes: Vec<(String, Value)>,
    /// The tenant it works for.
    pub tenant: Option<String>,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// Whether it may be used; also false while its organization is suspended.
    pub enabled: bool,
    /// When it was used last.
    pub last_used: Option<Millis>,
    /// Grows with every change.
    pub epoch: u64,
}

impl ApiKeyRecord {
    /// Makes the record of an enabled key without roles.
    pub fn new(id: String, hash: [u8; 32], scope: Scope, participant: String) -> Self {
        Self {
            id,
            hash,
            scope,
            participant,
            name: String::new(),
            roles: BTreeSet::new(),
            attributes: Vec::new(),
            tenant: None,
            expires_at: None,
            enabled: true,
            last_used: None,
            epoch: 1,
        }
    }
}

impl ApiKeyRecord {
    /// The participant that the key proves.
    pub fn participant(&self) -> Participant {
        let mut builder = Participant::builder(self.scope.clone(), &self.participant)
            .roles(self.roles.iter().map(String::as_str))
            .auth_type("api-key");
        if !self.name.is_empty() {
            builder = builder.display_name(&self.name);
        }
        if let Some(tenant) = &self.tenant {
            builder = builder.tenant(tenant);
        }
        for (name, value) in &self.attributes {
            builder = builder.attribute(name, value.clone());
        }
        builder.build()
    }
}

/// Where API keys are found.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use policy_runtime::identity::{KeyStore, MemoryStore};
/// assert!(MemoryStore::default().key("unknown").await.unwrap().is_none());
/// # }
/// ```
pub trait KeyStore: std::fmt::Debug + Send + Sync {
    /// Finds a key by its public id, disabled and ended ones too.
    fn key<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ApiKeyRecord>, StoreError>>;

    /// Notes that a key was used.
    fn used<'a>(&'a self, id: &'a str, at: Millis) -> BoxFuture<'a, Result<(), StoreError>>;
}
