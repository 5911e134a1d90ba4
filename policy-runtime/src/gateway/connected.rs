//! Who is connected now, for whoever may ask.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use policy_core::Participant;

use super::server::GatewayBuilder;
use super::sessions::Sessions;

/// Those who are connected to gateways of this process. Cheap to clone.
///
/// ```
/// use policy_runtime::gateway::{Connected, GatewayBuilder};
///
/// fn watched(builder: GatewayBuilder) -> (GatewayBuilder, Connected) {
///     let connected = Connected::default();
///     assert!(connected.participants().is_empty());
///     (builder.connected(connected.clone()), connected)
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Connected(Arc<Mutex<Vec<Weak<Sessions>>>>);

impl Connected {
    pub(super) fn begin(&self, sessions: Sessions) -> Arc<Sessions> {
        let sessions = Arc::new(sessions);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|gateway| gateway.strong_count() > 0);
        all.push(Arc::downgrade(&sessions));
        sessions
    }

    /// The participant of each open connection, as it is now.
    pub fn participants(&self) -> Vec<Arc<Participant>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.iter().filter_map(Weak::upgrade).flat_map(|gateway| gateway.participants()).collect()
    }
}

impl GatewayBuilder {
    /// Tells this who is connected.
    #[must_use]
    pub fn connected(mut self, connected: Connected) -> Self {
        self.connected = connected;
        self
    }
}
