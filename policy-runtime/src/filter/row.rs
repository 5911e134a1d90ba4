//! The decision about one row, which a list never disagrees with.
//!
//! In: a caller, an operation, a row as its type has it. Out: allowed, or why not. Absent: how the row was read, or will be written.

use policy_core::contract::Stored;
use policy_core::table::{Operation, Table};
use policy_core::value::{Record, Slot};
use policy_core::{ActionName, Decision, Request, Resource};

use super::{FilterError, ask, refused, table_of};
use crate::security::SecurityContext;

/// Decides about one row: before it is written by a query of the program's own, or after it was read without a condition.
///
/// A condition says which stored rows an operation reaches; what a row becomes by a change, and what is new, is decided here. A
/// row of another tenant is refused.
///
/// # Errors
/// [`FilterError::Denied`] where the operation is not open for the row.
///
/// ```
/// use policy_runtime::filter::{Operation, decide};
/// use policy_runtime::{Entity, Participant, Policy, SecurityContext, abac_policy};
///
/// #[derive(Entity)]
/// #[entity(namespace = "com.example.cards")]
/// #[abac_policy(all_create(entity.owner == participant.id))]
/// struct Card {
///     id: String,
///     owner: String,
/// }
///
/// let policy = Policy::for_application("cards")?;
/// let bob = Participant::builder(policy.application().clone(), "bob").build();
/// let cx = SecurityContext::new(&policy, bob.into());
/// let card = |owner: &str| Card { id: "c1".into(), owner: owner.into() };
/// assert!(decide(&cx, Operation::Save, &card("bob")).is_ok());
/// assert!(decide(&cx, Operation::Save, &card("alice")).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decide<E: Stored + Sync + 'static>(
    cx: &SecurityContext,
    operation: Operation,
    row: &E,
) -> Result<(), FilterError> {
    let action = ActionName::new(E::NAMESPACE, &format!("{}.{operation}", E::NAME));
    if !own(cx, &*table_of::<E>()?, row) {
        return Err(refused(cx, &action, "the row is of another tenant", None).into());
    }
    ask(cx, &action, |request| {
        let resource = Resource { id: &row.entity_id(), attributes: row };
        match cx.policy().decide(&Request { resource: Some(resource), ..*request }) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(denial) => Err(denial),
        }
    })
}

/// Whether a row is of the caller's own tenant, where its table keeps tenants apart.
pub(crate) fn own(cx: &SecurityContext, table: &Table, row: &dyn Record) -> bool {
    let Some(tenant) = &table.tenant else { return true };
    let own = cx.participant().field(&Slot::named(&tenant.participant)).to_value();
    let column = table.columns.get(tenant.column);
    own.is_some() && own == column.and_then(|column| row.field(&Slot::named(&column.attribute)).to_value())
}
