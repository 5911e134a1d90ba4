//! The set-up: whose decisions, who is looked up where, which names requests use, what is believed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::sync::{Mutex, PoisonError};

use policy_core::Scope;
use policy_core::pdp::Engine;
use policy_core::registry::{ActionEntry, Registry};

use super::ask::Refused;
use super::catalog::{Catalog, Resources, Subjects};
use super::mapping::{Mapping, is_about_entity};
use super::page::PageKey;
use crate::policy::Policy;
use crate::secret::Secret;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::sets::{Decider, PolicySets};

/// What is wrong with a set-up.
///
/// ```
/// use policy_runtime::Policy;
/// use policy_runtime::authzen::{AuthZen, SetupError};
///
/// let policy = Policy::for_application("shop")?;
/// let refused = AuthZen::builder(&policy, "pdp.example.com").build().unwrap_err();
/// assert_eq!(refused, SetupError::Url("pdp.example.com".to_owned()));
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The address is no `https` URL without query and fragment (`http` for this machine alone).
    #[error(
        "`{0}` is no address for decisions: write `https://host` or `https://host/path`, without query and fragment"
    )]
    Url(String),
    /// A mapping names an action that the program does not declare.
    #[error("there is no action `{action}`{}", .near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownAction {
        /// As it was written.
        action: String,
        /// The nearest one.
        near: Option<String>,
    },
    /// A mapping names an action of the platform or of another tier than the application's.
    #[error("the action `{0}` is not the application's")]
    NotTheApplications(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// The decisions of one application, for those who enforce elsewhere.
///
/// ```
/// use policy_runtime::Policy;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::authzen::AuthZen;
/// use policy_runtime::tower::AuthenticateLayer;
///
/// let policy = Policy::for_application("shop")?;
/// // A set-up of your own of who may ask, instead of `router`:
/// let layer = AuthenticateLayer::new(policy.clone(), Chain::builder().build()).credential_header("x-badge");
/// let router = AuthZen::builder(&policy, "https://pdp.example.com").build()?.router_behind(layer);
/// # let _: axum::Router = router;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct AuthZen {
    pub(super) policy: Policy,
    pub(super) application: Scope,
    /// Of a program elsewhere, as it decides now; `None` for this process's own.
    engine: Option<Arc<Engine>>,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    elsewhere: Option<Elsewhere>,
    pub(super) url: String,
    pub(super) path: String,
    pub(super) subjects: Arc<dyn Subjects>,
    pub(super) resources: Arc<dyn Resources>,
    pub(super) mapping: Arc<Mapping>,
    audited: Arc<BTreeSet<String>>,
    pub(super) believes_properties: bool,
    pub(super) believes_context: bool,
    pub(super) pages: Arc<PageKey>,
}

/// Where another program of the application is registered.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, Clone)]
struct Elsewhere {
    sets: PolicySets,
    mapped: Arc<Mapped>,
    /// The names of the engine that decided last.
    last: Arc<Mutex<Option<Names>>>,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
type Names = (Arc<Engine>, Arc<Mapping>);

/// Actions by the type of their resource and a name of one's own.
type Mapped = BTreeMap<(String, String), String>;

/// Collects a set-up.
///
/// ```
/// use policy_runtime::Policy;
/// use policy_runtime::authzen::{AuthZen, Catalog, SetupError};
/// use policy_runtime::secret::Secret;
///
/// let policy = Policy::for_application("shop")?;
/// let builder = AuthZen::builder(&policy, "https://pdp.example.com/shop")
///     .subjects(Catalog::default())
///     .resources(Catalog::default())
///     .page_key(Secret::new([7; 32])) // the same on each server
///     .believe_context()
///     .action("todo", "read", "com.example.Todo.findById");
/// let refused = builder.build().unwrap_err();
/// assert!(matches!(refused, SetupError::UnknownAction { .. }), "this program declares no such action");
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug)]
pub struct AuthZenBuilder {
    policy: Policy,
    url: String,
    subjects: Arc<dyn Subjects>,
    resources: Arc<dyn Resources>,
    mapped: Mapped,
    audited: BTreeSet<String>,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    elsewhere: Option<(PolicySets, Scope)>,
    believes_properties: bool,
    believes_context: bool,
    pages: Option<Secret<[u8; 32]>>,
}

impl AuthZen {
    /// Starts a set-up for the application that `policy` serves. `url` is how callers reach it, and its identifier.
    pub fn builder(policy: &Policy, url: &str) -> AuthZenBuilder {
        AuthZenBuilder {
            policy: policy.clone(),
            url: url.to_owned(),
            subjects: Arc::new(Catalog::default()),
            resources: Arc::new(Catalog::default()),
            mapped: Mapped::new(),
            audited: BTreeSet::new(),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            elsewhere: None,
            believes_properties: false,
            believes_context: false,
            pages: None,
        }
    }

    /// What decides.
    pub(super) fn engine(&self) -> &Engine {
        self.engine.as_deref().unwrap_or_else(|| self.policy.engine())
    }

    /// Whether this process's own engine decides.
    pub(super) const fn is_own(&self) -> bool {
        self.engine.is_none()
    }

    /// Whether an action is decided only with an audit record that was written before: as it declares itself, as the set-up says, or
    /// as this process or an administrator says of an action of that name.
    pub(super) fn must_audit(&self, entry: &ActionEntry) -> bool {
        let said = || match self.policy.engine().registry().number(&entry.name) {
            Some(action) => self.policy.must_audit(action, &self.application),
            None => self.policy.must_audit_named(&entry.name.to_string(), &self.application),
        };
        entry.must_audit || said() || (!self.audited.is_empty() && self.audited.contains(&entry.name.to_string()))
    }

    /// The same, as the newest program of the application and the active sets decide now.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) async fn as_of_now(&self) -> Result<Cow<'_, Self>, Refused> {
        let Some(Elsewhere { sets, mapped, last }) = &self.elsewhere else { return Ok(Cow::Borrowed(self)) };
        let decider = sets.newest(&self.policy, &self.application).await.map_err(|error| {
            tracing::error!(target: "policy", application = %self.application, %error, "its program cannot be decided by");
            Refused::internal()
        })?;
        let Decider::Elsewhere(engine) = decider else {
            let mapping = Arc::new(mapping(decider.registry(), mapped).0);
            return Ok(Cow::Owned(Self { mapping, ..self.clone() }));
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, mapping) = match last.take() {
            Some(same) if Arc::ptr_eq(&same.0, &engine) => last.insert(same),
            _ => last.insert((engine.clone(), Arc::new(mapping(engine.registry(), mapped).0))),
        };
        Ok(Cow::Owned(Self { mapping: mapping.clone(), engine: Some(engine), ..self.clone() }))
    }

    #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
    pub(super) async fn as_of_now(&self) -> Result<Cow<'_, Self>, Refused> {
        Ok(Cow::Borrowed(self))
    }
}

impl AuthZenBuilder {
    /// Decides for another application: by the newest manifest that a program of it has registered in the database, and by the
    /// sets that are active there now. Names that [`AuthZenBuilder::action`] gives to actions that this program does not declare are
    /// unknown to requests. Drafts in shadow are not asked.
    ///
    /// ```
    /// use policy_runtime::authzen::{AuthZen, AuthZenBuilder};
    /// use policy_runtime::sets::PolicySets;
    /// use policy_runtime::{Policy, Scope};
    ///
    /// fn decisions(policy: &Policy, sets: &PolicySets, application: &Scope) -> AuthZenBuilder {
    ///     AuthZen::builder(policy, "https://pdp.example.com").registered(sets, application)
    /// }
    /// ```
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[must_use]
    pub fn registered(mut self, sets: &PolicySets, application: &Scope) -> Self {
        self.elsewhere = Some((sets.clone(), application.clone()));
        self
    }

    /// Says where subjects are looked up; one that is not found is denied everything.
    #[must_use]
    pub fn subjects(mut self, subjects: impl Subjects + 'static) -> Self {
        self.subjects = Arc::new(subjects);
        self
    }

    /// Says where entities are looked up.
    #[must_use]
    pub fn resources(mut self, resources: impl Resources + 'static) -> Self {
        self.resources = Arc::new(resources);
        self
    }

    /// Lets requests call an action by a name of their own, on resources of a type that they name so. The program's own names are
    /// then no longer known: the dotted type of the resource, with the action's id or full name.
    #[must_use]
    pub fn action(mut self, resource_type: &str, name: &str, action: &str) -> Self {
        self.mapped.insert((resource_type.to_owned(), name.to_owned()), action.replace("::", "."));
        self
    }

    /// Believes what a request says of the resource and of the action's arguments, where nothing is stored that says otherwise.
    /// What it says of the subject is never believed.
    #[must_use]
    pub const fn believe_properties(mut self) -> Self {
        self.believes_properties = true;
        self
    }

    /// Believes what a request says of the application's own attributes of the context; never of built-in ones.
    #[must_use]
    pub const fn believe_context(mut self) -> Self {
        self.believes_context = true;
        self
    }

    /// Decides about an action only with an audit record that was written before, as [`Policy::require_audit`] does; of a program
    /// elsewhere, which this process does not know, too.
    ///
    /// ```
    /// use policy_runtime::Policy;
    /// use policy_runtime::authzen::{AuthZen, SetupError};
    ///
    /// let policy = Policy::for_application("shop")?;
    /// let builder = AuthZen::builder(&policy, "https://pdp.example.com").require_audit("com.acme.Orders.place");
    /// let refused = builder.build().unwrap_err();
    /// assert!(matches!(refused, SetupError::UnknownAction { .. }), "this program declares no such action");
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    #[must_use]
    pub fn require_audit(mut self, action: &str) -> Self {
        self.audited.insert(action.replace("::", "."));
        self
    }

    /// Makes tokens of pages with this key, which servers share, rather than with one of this process.
    #[must_use]
    pub fn page_key(mut self, key: Secret<[u8; 32]>) -> Self {
        self.pages = Some(key);
        self
    }

    /// Checks the set-up.
    ///
    /// # Errors
    /// When the address cannot be one, or a mapping names what is not there.
    pub fn build(self) -> Result<AuthZen, SetupError> {
        let path = path_of(&self.url).ok_or_else(|| SetupError::Url(self.url.clone()))?.to_owned();
        let registry = self.policy.engine().registry();
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        let (elsewhere, application) = match self.elsewhere {
            Some((sets, application)) => {
                let mapped = Arc::new(self.mapped.clone());
                (Some(Elsewhere { sets, mapped, last: Arc::default() }), application)
            }
            None => (None, self.policy.application().clone()),
        };
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        let is_own = elsewhere.is_none();
        #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
        let (is_own, application) = (true, self.policy.application().clone());
        let (mapping, wrong) = if is_own { mapping(registry, &self.mapped) } else { Default::default() };
        let unknown = self.audited.iter().find(|action| is_own && registry.find(action).is_none());
        if let Some(wrong) = wrong.or_else(|| Some(unknown_action(registry, unknown?))) {
            return Err(wrong);
        }
        let entities = registry.actions().filter(|(_, entry)| is_about_entity(entry)).count();
        tracing::debug!(target: "policy", url = self.url, entities, "decisions are served");
        let pages = match self.pages {
            Some(key) => PageKey::shared(key),
            None => PageKey::random().map_err(|_| SetupError::NoRandom)?,
        };
        Ok(AuthZen {
            url: self.url.trim_end_matches('/').to_owned(),
            path,
            policy: self.policy,
            application,
            engine: None,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            elsewhere,
            subjects: self.subjects,
            resources: self.resources,
            mapping: Arc::new(mapping),
            audited: Arc::new(self.audited),
            believes_properties: self.believes_properties,
            believes_context: self.believes_context,
            pages: Arc::new(pages),
        })
    }
}

fn unknown_action(registry: &Registry, action: &str) -> SetupError {
    let names: Vec<String> = registry.actions().map(|(_, entry)| entry.name.to_string()).collect();
    let near = policy_core::name::nearest(action, names.iter().map(String::as_str)).map(str::to_owned);
    SetupError::UnknownAction { action: action.to_owned(), near }
}

/// The names of a program's actions, and the first that it does not declare or that is not the application's.
fn mapping(registry: &Registry, mapped: &Mapped) -> (Mapping, Option<SetupError>) {
    if mapped.is_empty() {
        return (Mapping::of_program(registry), None);
    }
    let (mut mapping, mut wrong) = (Mapping::default(), None);
    for ((kind, name), action) in mapped {
        let Some(id) = registry.find(action) else {
            wrong = wrong.or_else(|| Some(unknown_action(registry, action)));
            continue;
        };
        let is_the_applications =
            registry.action(id).is_some_and(|e| e.tier == policy_core::Tier::Application && !e.places.is_empty());
        if is_the_applications {
            mapping.add(kind, name, id);
        } else {
            wrong = wrong.or(Some(SetupError::NotTheApplications(action.clone())));
        }
    }
    (mapping, wrong)
}

/// The path of an address, without a slash at its end; `None` when it cannot be the identifier of a decision point.
fn path_of(url: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]".contains(c);
    let (rest, local) = match url.split_once("://")? {
        ("https", rest) => (rest, false),
        ("http", rest) => (rest, true),
        _ => return None,
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let usable = !authority.is_empty() && rest.chars().all(plain) && !path.contains("//");
    (usable && (loopback || !local)).then(|| path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, path) in [
            ("https://pdp.example.com", Some("")),
            ("https://pdp.example.com/", Some("")),
            ("https://pdp.example.com/tenant1", Some("/tenant1")),
            ("http://127.0.0.1:9000", Some("")),
            ("http://[::1]:9000/a/", Some("/a")),
            ("http://pdp.example.com", None),
            ("https://pdp.example.com?x=1", None),
            ("https://pdp.example.com/#a", None),
            ("https://u:p@pdp.example.com", None),
            ("https:///x", None),
            ("https://pdp.example.com/{x}", None),
            ("pdp.example.com", None),
            ("", None),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }
}
