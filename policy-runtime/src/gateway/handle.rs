//! A handle to the connections of a gateway.

use std::sync::Arc;

use super::shared::Shared;

/// Reaches the connections of a gateway from elsewhere. Cheap to clone.
///
/// ```
/// use policy_runtime::gateway::GatewayHandle;
///
/// /// Ends the connections of somebody whose key was revoked.
/// fn revoked(gateway: &GatewayHandle, participant: &str) -> usize {
///     gateway.disconnect(participant)
/// }
///
/// /// Ends those of somebody who signed out.
/// fn signed_out(gateway: &GatewayHandle, session: &str) -> usize {
///     gateway.end_session(session)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct GatewayHandle {
    shared: Arc<Shared>,
}

impl GatewayHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Closes every connection of a participant, and says how many there were.
    pub fn disconnect(&self, participant: &str) -> usize {
        self.shared.sessions.revoke(participant)
    }

    /// Closes every connection of a session, and says how many there were.
    pub fn end_session(&self, session: &str) -> usize {
        self.shared.sessions.end_session(session)
    }
}
