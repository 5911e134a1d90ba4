//! What administrators do at run time: organizations, applications, members and their roles, keys, policies, audit.
//!
//! ```text
//! SecurityContext ─► may it? (the engine decides, like any call) ─► does it give more than the caller has? would it lock
//! everybody out? ─► record in the journal ─► store, sets, journal
//! ```
//!
//! In: a caller and what it wants changed or shown. Out: what is stored now, or an [`AdminError`]. Every operation is one of
//! the platform's own actions, and the shipped baselines say which roles may do it. Of what a caller may not look at it learns
//! nothing: the answer is the one for a name that is not there. Every change is in the journal before it is made. Absent: who
//! the caller is.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::sync::Arc;
//! use policy_runtime::admin::{Admin, AdminError, NewMember};
//! use policy_runtime::audit::journal::Journal;
//! use policy_runtime::database::{Database, DatabaseAddress};
//! use policy_runtime::identity::SqlStore;
//! use policy_runtime::sets::PolicySets;
//! use policy_runtime::{Participant, Policy, Scope, SecurityContext};
//!
//! let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
//! let (store, sets) = (Arc::new(SqlStore::new(database.clone())), PolicySets::new(database));
//! let policy = Policy::for_application("shop").unwrap();
//! let admin = Admin::new(&policy, store, sets, Arc::new(Journal::in_memory().start().unwrap()));
//!
//! let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
//! let operator = SecurityContext::new(&policy, operator.into());
//! admin.create_organization(&operator, "acme", NewMember::new("ann@acme.example")).await.unwrap();
//! assert_eq!(admin.organizations(&operator).await.unwrap().len(), 1);
//!
//! let stranger = Participant::builder(Scope::organization("globex").unwrap(), "u-2").role("owner").build();
//! let stranger = SecurityContext::new(&policy, stranger.into());
//! let acme = Scope::organization("acme").unwrap();
//! assert!(matches!(admin.users(&stranger, &acme).await, Err(AdminError::Missing { .. })));
//! # }
//! ```

mod applications;
mod audit;
mod caller;
mod connections;
mod decide;
mod error;
mod explaining;
mod http;
mod keys;
mod lists;
mod members;
mod people;
mod policies;
mod providers;
mod requests;
mod second_factor;
mod serving;
mod shadows;
mod trying;

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::audit::journal::Journal;
use crate::authn::password::Passwords;
use crate::clock::Moment;
use crate::events::{AllEvents, EventSink};
use crate::identity::{Directory, FactorStore, SessionStore};
use crate::mail::Mails;
use crate::policy::Policy;
use crate::sets::{OnBreak, PolicySets};

pub use connections::Connection;
pub use error::AdminError;
pub use explaining::{Asked, Explained, Open, Who};
pub use http::{Api, BASE};
pub use keys::NewKey;
pub use lists::ListChange;
pub use members::{MemberChange, NewMember};
pub use policies::{Activated, Review};
pub use providers::{Provider, Use};
pub use trying::DryRun;

/// The operations of administrators. Cheap to clone.
///
/// What the owner of an organization does:
///
/// ```
/// use policy_runtime::admin::{Admin, AdminError, NewKey};
/// use policy_runtime::audit::journal::Filter;
/// use policy_runtime::{Scope, SecurityContext};
///
/// async fn tidy(admin: &Admin, owner: &SecurityContext, acme: &Scope) -> Result<(), AdminError> {
///     for application in admin.applications(owner, acme).await? {
///         println!("{application:?}");
///     }
///     admin.set_methods(owner, acme, Some(&["password".to_owned()].into())).await?;
///     let (key, stored) = admin.create_key(owner, acme, NewKey { name: "builds".into(), ..NewKey::default() }).await?;
///     admin.revoke_key(owner, acme, &stored.id).await?;
///     drop(key);
///     let (versions, active) = admin.versions(owner, acme).await?;
///     println!("{active} of {}, after {:?}", versions.len(), admin.version_before(owner, acme).await?);
///     for (id, cedar) in admin.effective(owner, acme).await? {
///         println!("// {id}\n{cedar}");
///     }
///     admin.export_records(owner, acme, Filter::default()).await?;
///     admin.verify_records(owner, acme, None).await?;
///     Ok(())
/// }
///
/// /// A person wants to know what is stored, and then to be forgotten.
/// async fn forget_person(admin: &Admin, owner: &SecurityContext, shop: &Scope, id: &str) -> Result<(), AdminError> {
///     let (person, kept) = admin.export_user(owner, shop, id).await?;
///     println!("{person:?}, {kept:?}");
///     for session in admin.sessions(owner, shop, id).await? {
///         admin.end_sessions(owner, shop, id, Some(&session.id)).await?;
///     }
///     admin.erase_user(owner, shop, id).await.map(drop)
/// }
///
/// /// Whoever is signed in to one application of the organization is signed in to the others.
/// async fn one_for_all(admin: &Admin, owner: &SecurityContext, acme: &Scope) -> Result<(), AdminError> {
///     let all = admin.applications(owner, acme).await?.into_iter().collect();
///     admin.share_sessions(owner, acme, &all).await?;
///     assert_eq!(admin.shared_sessions(owner, acme).await?, all);
///     Ok(())
/// }
///
/// /// Whoever has a role in the organization needs a second factor.
/// async fn two_proofs(admin: &Admin, owner: &SecurityContext, acme: &Scope) -> Result<(), AdminError> {
///     println!("{:?}", admin.methods(owner, acme).await?);
///     let mut said = admin.sign_in_rules(owner, acme).await?;
///     said.second_factor = policy_runtime::identity::SecondFactorRule::RequiredForAdmins;
///     admin.set_sign_in_rules(owner, acme, &said).await
/// }
///
/// /// Only operators may.
/// async fn forget(admin: &Admin, operator: &SecurityContext, before: i64) -> Result<u64, AdminError> {
///     admin.retain_records(operator, &Scope::System, before).await
/// }
///
/// /// From now on no refund of the organization runs before its record.
/// async fn refunds_leave_traces(admin: &Admin, owner: &SecurityContext, acme: &Scope) -> Result<(), AdminError> {
///     let mut actions = admin.required_audit(owner, acme).await?;
///     actions.insert("com.example.OrderService.refund".to_owned());
///     admin.require_audit(owner, acme, &actions).await
/// }
/// ```
///
/// Before a draft decides, and after a call was refused:
///
/// ```
/// use policy_runtime::admin::{Admin, AdminError};
/// use policy_runtime::{Scope, SecurityContext};
///
/// async fn why(admin: &Admin, owner: &SecurityContext, acme: &Scope, decision: &str) -> Result<(), AdminError> {
///     let (said, _) = admin.difference(owner, acme, 1, 2).await?;
///     println!("{said}");
///     admin.explain_decision(owner, acme, decision).await?;
///     Ok(())
/// }
/// ```
///
/// With whom people sign in, and which programs run:
///
/// ```
/// use policy_runtime::admin::{Admin, AdminError};
/// use policy_runtime::identity::{ProviderSettings, ReferenceSettings};
/// use policy_runtime::{Scope, SecurityContext};
///
/// async fn connect(
///     admin: &Admin, owner: &SecurityContext, acme: &Scope, settings: ProviderSettings, uses: ReferenceSettings,
/// ) -> Result<(), AdminError> {
///     let provider = admin.put_provider(owner, acme, "corporate", settings, None, None).await?;
///     admin.use_provider(owner, acme, &provider.name, uses).await?;
///     println!("{:?}", admin.providers(owner, acme).await?);
///     admin.leave_provider(owner, acme, &provider.name).await?;
///     let (shop, billing) = (&Scope::application("acme", "shop").unwrap(), &Scope::application("acme", "billing").unwrap());
///     admin.share_provider(owner, shop, "customers", billing, true).await?;
///     admin.remove_provider(owner, acme, "corporate").await
/// }
///
/// async fn accept(
///     admin: &Admin, owner: &SecurityContext, shop: &Scope, policy: &policy_runtime::Policy,
/// ) -> Result<(), AdminError> {
///     let manifest = policy.engine().registry().manifest();
///     admin.register_manifest(owner, shop, "1.2", &manifest).await?;
///     for registered in admin.manifests(owner, shop).await? {
///         let (_, moved) = admin.manifest_of(owner, shop, &registered.hash).await?;
///         println!("{}: {moved:?}", registered.version);
///         admin.accept_manifest(owner, shop, &registered.hash).await?;
///     }
///     admin.prune_manifests(owner, shop).await?;
///     Ok(())
/// }
/// ```
///
/// Put together by a server of one's own:
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::admin::Admin;
/// use policy_runtime::events::EventSink;
/// use policy_runtime::sets::OnBreak;
///
/// fn ready(admin: Admin, events: Arc<dyn EventSink>) -> Admin {
///     admin.telling(events).on_break(OnBreak::Flag).with_connections(Vec::new)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Admin {
    policy: Policy,
    begun: Moment,
    store: Arc<dyn Directory>,
    passwords: Passwords,
    sets: PolicySets,
    journal: Arc<Journal>,
    events: Arc<dyn EventSink>,
    sessions: Option<Arc<dyn SessionStore>>,
    /// Held while it is looked whether a change locks everybody out, and until it is made.
    turn: Arc<Mutex<()>>,
    /// Who sends invitations, and where they lead.
    letters: Option<Arc<(Mails, String)>>,
    factors: Option<Arc<dyn FactorStore>>,
    on_break: OnBreak,
    connected: Option<connections::Connected>,
}

impl Admin {
    /// Puts them together over what they change.
    pub fn new(policy: &Policy, store: Arc<dyn Directory>, sets: PolicySets, journal: Arc<Journal>) -> Self {
        let (passwords, events) = (Passwords::new(store.clone()), Arc::new(AllEvents::default()));
        Self {
            policy: policy.clone(),
            begun: Moment::of(&**policy.clock()),
            store,
            passwords,
            sets,
            journal,
            events,
            turn: Arc::default(),
            on_break: OnBreak::default(),
            letters: None,
            factors: None,
            connected: None,
            sessions: None,
        }
    }

    /// Tells what it changes outside the store, policies above all; a store that tells its changes tells the rest.
    #[must_use]
    pub fn telling(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = events;
        self
    }

    /// Lets administrators look after sessions, too.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::admin::Admin;
    /// use policy_runtime::identity::SessionStore;
    /// fn whole(admin: Admin, store: Arc<dyn SessionStore>) -> Admin {
    ///     admin.with_sessions(store)
    /// }
    /// ```
    #[must_use]
    pub fn with_sessions(mut self, sessions: Arc<dyn SessionStore>) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// Sends invitations to those invited, too; their links lead below this address.
    ///
    /// ```
    /// use policy_runtime::admin::Admin;
    /// use policy_runtime::mail::Mails;
    /// fn with_letters(admin: Admin, mails: Mails) -> Admin {
    ///     admin.letters(mails, "https://id.example")
    /// }
    /// ```
    #[must_use]
    pub fn letters(mut self, mails: Mails, base_url: &str) -> Self {
        self.letters = Some(Arc::new((mails, base_url.to_owned())));
        self
    }
}
