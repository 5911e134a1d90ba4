//! Who is connected now.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use policy_core::{Participant, Scope};

use super::decide::Right;
use super::{Admin, AdminError};
use crate::security::SecurityContext;

/// Answers who is connected.
#[derive(Clone)]
pub(super) struct Connected(Arc<dyn Fn() -> Vec<Arc<Participant>> + Send + Sync>);

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connected(..)")
    }
}

/// A participant that is connected.
///
/// ```
/// use policy_runtime::admin::Connection;
/// fn told(one: &Connection) -> String {
///     format!("{}: {} by {}", one.participant, one.count, one.auth_type)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// `<scope>/<id>`.
    pub participant: String,
    /// Its scope.
    pub scope: Scope,
    /// The address of a person.
    pub email: Option<String>,
    /// How it signed in.
    pub auth_type: String,
    /// How many connections it has.
    pub count: usize,
}

impl Admin {
    /// Says who is connected, for [`Admin::connections`].
    #[must_use]
    pub fn with_connections(mut self, all: impl Fn() -> Vec<Arc<Participant>> + Send + Sync + 'static) -> Self {
        self.connected = Some(Connected(Arc::new(all)));
        self
    }

    /// Who is connected to this server now: of a scope, and of an organization also of its applications.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn connections(&self, cx: &SecurityContext, scope: &Scope) -> Result<Vec<Connection>, AdminError> {
        let _ = self.permit(cx, Right::LIST_CONNECTIONS, scope).await?;
        // Operators do not look into organizations.
        let meant = |home: &Scope| if *scope == Scope::System { home == scope } else { scope.covers(home) };
        let mut all: BTreeMap<(String, String), Connection> = BTreeMap::new();
        for one in self.connected.iter().flat_map(|connected| connected.0()).filter(|one| meant(one.scope())) {
            let key = (one.uid_id().to_owned(), one.auth_type().to_owned());
            let found = all.entry(key).or_insert_with(|| Connection {
                participant: one.uid_id().to_owned(),
                scope: one.scope().clone(),
                email: one.email().map(str::to_owned),
                auth_type: one.auth_type().to_owned(),
                count: 0,
            });
            found.count += 1;
        }
        Ok(all.into_values().collect())
    }
}
