//! Which Rust services there are, by application and address.
//!
//! In: services with where they are mounted. Out: the service of a call. Absent: services of connected clients.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use policy_core::decl::MethodDecl;
use policy_core::{Scope, Slug};

use crate::service::Service;
use crate::wire::Cri;

/// A service and where it answers.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use policy_runtime::{gateway::Mount, service::Service};
/// # fn example(orders: Arc<dyn Service>) {
/// let everywhere = Mount::new(orders.clone());
/// let in_one = Mount::new(orders).application("orders").zone("app-api");
/// # }
/// ```
#[derive(Clone)]
pub struct Mount {
    service: Arc<dyn Service>,
    application: Option<String>,
    zone: Option<String>,
}

impl Mount {
    /// Mounts a service for all applications, without a zone.
    pub fn new(service: Arc<dyn Service>) -> Self {
        Self { service, application: None, zone: None }
    }

    /// Mounts it for participants of one application only.
    #[must_use]
    pub fn application(mut self, id: &str) -> Self {
        self.application = Some(id.to_owned());
        self
    }

    /// Mounts it in a zone: `srv://<zone>~<namespace>.<name>`.
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.to_owned());
        self
    }

    fn address(&self) -> String {
        let declaration = self.service.declaration();
        let dot = if declaration.namespace.is_empty() { "" } else { "." };
        let zone = self.zone.as_ref().map(|zone| format!("{zone}~")).unwrap_or_default();
        format!("srv://{zone}{}{dot}{}", declaration.namespace, declaration.name)
    }
}

impl<S: Service> From<Arc<S>> for Mount {
    fn from(service: Arc<S>) -> Self {
        Self::new(service)
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mount({} for {})", self.address(), self.application.as_deref().unwrap_or("all applications"))
    }
}

/// A mount that cannot be.
///
/// ```
/// use policy_runtime::gateway::MountError;
/// assert_eq!(MountError::Twice("srv://com.example.Orders".into()).to_string(), "`srv://com.example.Orders` is mounted twice");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The address is none.
    #[error("`{0}` is no address of a service")]
    Malformed(String),
    /// Two services at one address.
    #[error("`{0}` is mounted twice")]
    Twice(String),
    /// The application's id is none.
    #[error("`{0}` is no id of an application")]
    Application(String),
    /// Entities cannot be published together.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[error(transparent)]
    Entities(#[from] crate::entity::PublishError),
}

/// A call that takes so long before it first waits holds up what else its connection asks.
const LONG: Duration = Duration::from_micros(500);
/// How many calls of a method have tasks of their own after one of them did.
const APART: u32 = 64;

/// A mounted service.
pub(super) struct Mounted {
    pub(super) service: Arc<dyn Service>,
    methods: Box<[Method]>,
}

/// A method of a mounted service.
#[derive(Debug)]
pub(super) struct Method {
    name: &'static str,
    pub(super) streaming: bool,
    /// How many of the next calls have tasks of their own.
    apart: AtomicU32,
}

impl Mounted {
    fn new(service: Arc<dyn Service>) -> Self {
        let method =
            |known: &MethodDecl| Method { name: known.name, streaming: known.streaming, apart: AtomicU32::new(0) };
        let methods = service.declaration().methods.iter().map(method).collect();
        Self { service, methods }
    }

    pub(super) fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }
}

impl Method {
    /// Whether the next call may be made at once, by its connection.
    pub(super) fn is_short(&self) -> bool {
        let less = |apart: u32| apart.checked_sub(1);
        self.apart.load(Ordering::Relaxed) == 0
            || self.apart.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }

    /// A call was made at once.
    pub(super) fn took(&self, time: Duration) {
        if time > LONG {
            self.apart.store(APART, Ordering::Relaxed);
        }
    }
}

/// The mounted services.
#[derive(Default)]
pub(super) struct Services {
    everywhere: HashMap<String, Mounted>,
    by_application: HashMap<Slug, HashMap<String, Mounted>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.everywhere.keys()).finish()
    }
}

impl Services {
    pub(super) fn mount(&mut self, mount: Mount) -> Result<(), MountError> {
        let address = mount.address();
        if !Cri::parse(&address).is_ok_and(|cri| cri.base() == address) {
            return Err(MountError::Malformed(address));
        }
        let place = match mount.application {
            None => &mut self.everywhere,
            Some(id) => {
                let id = Slug::new(&id).map_err(|_| MountError::Application(id))?;
                self.by_application.entry(id).or_default()
            }
        };
        if place.insert(address.clone(), Mounted::new(mount.service)).is_some() {
            return Err(MountError::Twice(address));
        }
        Ok(())
    }

    /// Whether any application has a service at an address.
    pub(super) fn is_mounted(&self, address: &str) -> bool {
        let everywhere = std::iter::once(&self.everywhere);
        everywhere.chain(self.by_application.values()).any(|services| services.contains_key(address))
    }

    /// The service at an address, for callers on one application.
    pub(super) fn find(&self, application: &Scope, address: &str) -> Option<&Mounted> {
        let own = application.application_id().and_then(|id| self.by_application.get(id));
        own.and_then(|services| services.get(address)).or_else(|| self.everywhere.get(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_held_its_connection_up_gets_tasks_of_its_own_for_a_while() {
        let method = Method { name: "grind", streaming: false, apart: AtomicU32::new(0) };
        method.took(LONG);
        assert!(method.is_short());
        method.took(LONG + Duration::from_micros(1));
        assert!((0..APART).all(|_| !method.is_short()));
        assert!(method.is_short(), "it may have been the machine");
    }
}
