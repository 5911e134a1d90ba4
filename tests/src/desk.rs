//! A service whose rules read what the edge knows: quotas, roles that change, the application's own context.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use policy_runtime::{Denied, SecurityContext, abac_policy, publish};

/// Tells what it knows of its caller.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "it holds nothing")]
pub struct Desk;

#[publish("com.example")]
impl Desk {
    /// Says where the caller is.
    #[abac_policy(authenticated)]
    pub async fn address(&self, #[context] cx: &SecurityContext) -> Result<String, Denied> {
        Ok(cx.facts().ip.map_or_else(String::new, |ip| ip.to_string()))
    }

    /// Works while the caller may ask twice more.
    #[abac_policy(context.quota >= 2)]
    pub async fn spare(&self) -> Result<u32, Denied> {
        Ok(1)
    }

    /// Works for admins.
    #[abac_policy(participant.roles contains "admin")]
    pub async fn admin(&self) -> Result<u32, Denied> {
        Ok(1)
    }

    /// Gives one value to an admin, and never ends.
    #[abac_policy(participant.roles contains "admin")]
    pub async fn watch(&self) -> Result<BoxStream<'static, Result<u32, Denied>>, Denied> {
        Ok(stream::iter([Ok(1)]).chain(stream::pending()).boxed())
    }

    /// Works for callers of the northern office.
    #[abac_policy(context.office == "north")]
    pub async fn north(&self) -> Result<u32, Denied> {
        Ok(1)
    }
}
