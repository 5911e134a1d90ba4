#![cfg_attr(feature = "engine", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "engine"),
    doc = "Calls services whose policies are elsewhere; see the feature `engine` for the guard."
)]

#[cfg(feature = "admin")]
pub mod admin;
pub mod audit;
#[cfg(feature = "identity")]
pub mod authn;
#[cfg(feature = "authzen")]
pub mod authzen;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
pub mod code;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "identity")]
pub mod credential;
#[cfg(any(feature = "config", feature = "sqlite", feature = "postgres"))]
pub mod database;
mod decision_id;
pub mod denied;
#[cfg(any(feature = "gateway", feature = "tower"))]
pub mod edge;
#[cfg(any(feature = "admin", feature = "signin"))]
mod endpoint;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod entity;
#[cfg(feature = "identity")]
pub mod events;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod filter;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "engine")]
pub mod guard;
#[cfg(feature = "identity")]
mod id;
#[cfg(feature = "users")]
pub mod identity;
#[cfg(feature = "engine")]
mod inputs;
#[cfg(any(feature = "authzen", feature = "offline", feature = "token"))]
pub mod json;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "mail")]
pub mod mail;
#[cfg(feature = "offline")]
pub mod offline;
#[cfg(all(feature = "engine", feature = "identity"))]
pub mod pip;
#[cfg(feature = "engine")]
pub mod policy;
mod proxy;
#[cfg(feature = "pull")]
pub mod pull;
#[cfg(feature = "engine")]
mod question;
#[cfg(feature = "engine")]
mod rate;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod seal;
pub mod secret;
#[cfg(feature = "engine")]
pub mod security;
#[cfg(feature = "server")]
pub mod server;
pub mod service;
#[cfg(all(feature = "engine", any(feature = "pull", feature = "sqlite", feature = "postgres")))]
pub mod sets;
#[cfg(feature = "engine")]
pub mod shadow;
#[cfg(feature = "signin")]
pub mod signin;
#[cfg(feature = "engine")]
mod tally;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(any(feature = "gateway", feature = "tower"))]
mod trace;
#[cfg(any(feature = "authzen", feature = "offline"))]
mod typed;
#[cfg(feature = "wire")]
pub mod wire;

#[doc(hidden)]
pub mod __private;

pub use code::Code;
pub use denied::Denied;
pub use policy_core::shape;
pub use policy_core::value;
pub use policy_core::{Participant, Scope, Tier};
#[cfg(feature = "engine")]
pub use {
    policy::{Policy, PolicyError},
    security::SecurityContext,
};

pub use policy_core::decision::{Denial, DenialKind, TierAnswer};
#[cfg(feature = "engine")]
pub use policy_core::pdp::{Baseline, May, SetSource};

/// Guards a function, a method or all methods of an impl: nobody gets past it whom the rule does not permit.
///
/// ```
/// use policy_runtime::{Attributes, Denied, abac_policy};
///
/// #[derive(Attributes)]
/// struct Order {
///     amount: u32,
/// }
///
/// #[abac_policy(participant.roles contains "finance" and order.amount < 50_000, action = "Orders.approve")]
/// async fn approve(order: &Order) -> Result<u32, Denied> {
///     Ok(order.amount)
/// }
/// ```
///
/// The rule comes first, as Rust tokens or as a string (in which texts have single quotes). Two attributes on one item mean
/// `and`. The function returns `Result<_, E>` with `E: From<Denied>`. Rules read `participant`, `context` and the
/// parameters, in camelCase.
///
/// | argument | meaning |
/// | --- | --- |
/// | `authenticated` | instead of a rule: every participant whom the upper tiers let through |
/// | `action = "Orders.approve"` | the action's stable id; a method needs it unless its impl is published |
/// | `was = ["Orders.accept"]` | former ids, which rules of the upper tiers go on matching |
/// | `resource = photo` | the parameter that the call is about; its type has `#[derive(Entity)]` |
/// | `participant = Staff` | the type that declares the application's own attributes of participants |
/// | `callers(application, organization)` | the tiers whose participants may call; `application` alone if not said |
/// | `tier = organization` | the tier whose service this is; `application` if not said |
/// | `organization = id` | with `tier = organization`: the parameter that names the organization; callers of the System tier reach any, others their own |
/// | `audit = required` | runs only after an audit record was written; for `async fn` |
/// | `crate = path` | where this crate is, when it is re-exported by another |
///
/// A parameter marked `#[context]` is the caller's context, and wins over the task's own:
///
/// ```
/// # #[cfg(feature = "engine")]
/// # mod example {
/// use policy_runtime::{Denied, SecurityContext, abac_policy};
///
/// #[abac_policy("participant.organization == organization and context.mfa", was = ["members.show"])]
/// fn list_members(#[context] cx: &SecurityContext, organization: &str) -> Result<String, Denied> {
///     Ok(format!("{} of {organization}", cx.participant().id()))
/// }
/// # }
/// ```
pub use policy_macros::abac_policy;

/// Makes the methods of an impl, or of a trait in a contract crate, callable by name; each must have a policy.
///
/// ```
/// use policy_runtime::{Denied, abac_policy, publish};
///
/// pub struct Orders;
///
/// #[publish("com.example", version = "1.0.0")]
/// #[abac_policy(participant.roles contains "user")]
/// impl Orders {
///     #[abac_policy(amount < 50_000)]
///     pub async fn place(&self, amount: u32) -> Result<u32, Denied> {
///         Ok(amount)
///     }
///
///     #[publish(name = "halt")]
///     pub async fn stop(&self) -> Result<(), Denied> {
///         Ok(())
///     }
///
///     #[publish(skip, reason = "only the scheduler calls it")]
///     pub async fn sweep(&self) -> Result<(), Denied> {
///         Ok(())
///     }
/// }
/// ```
///
/// Published are methods that are `pub` and take `&self`. Arguments are decoded into owned values and lent where the method
/// borrows them. A trait is published where clients can see it, and its implementation says so:
///
/// ```
/// use policy_runtime::{Denied, abac_policy, publish};
///
/// #[publish("com.example")]
/// pub trait Billing {
///     #[abac_policy(amount < 50_000)]
///     async fn bill(&self, amount: u32) -> Result<u32, Denied>;
/// }
///
/// pub struct Bills;
///
/// #[publish(impl)]
/// impl Billing for Bills {
///     #[abac_policy(amount > 0)]
///     async fn bill(&self, amount: u32) -> Result<u32, Denied> {
///         Ok(amount)
///     }
/// }
/// ```
///
/// | argument | meaning |
/// | --- | --- |
/// | `"com.example"` | the namespace, in front of the service's name |
/// | `impl` | on the implementation of a published trait, whose policies only add to the trait's |
/// | `version = "1.0.0"` | the service's version |
/// | `name = "Orders"` | the service's name, if not the type's; on a method, the method's |
/// | `crate = path` | where this crate is, when it is re-exported by another |
/// | `skip, reason = ".."` | on a method: not callable by name |
pub use policy_macros::publish;

/// Lets rules read the fields of a struct, the value in a newtype, or an enum of unit variants.
///
/// ```
/// use policy_runtime::{Attributes, Denied, abac_policy};
///
/// #[derive(Attributes)]
/// enum Status {
///     Open,
///     Closed,
/// }
///
/// #[derive(Attributes)]
/// struct Order {
///     amount: u32,
///     status: Status,
///     #[attributes(rename = "customer")]
///     customer_id: Option<String>,
///     #[attributes(secret)]
///     discount_code: String,
///     #[attributes(skip)]
///     weight: f64,
/// }
///
/// #[abac_policy(order.status == "Open" and order.customer == participant.id)]
/// fn cancel(order: &Order) -> Result<(), Denied> {
///     Ok(())
/// }
/// ```
///
/// An attribute is called as its field is in JSON: serde's `rename`, `rename_all` and `skip` hold here, too.
///
/// | argument | on | meaning |
/// | --- | --- | --- |
/// | `rename = "customer"` | a field | its name in rules |
/// | `skip` | a field | no rule reads it |
/// | `secret` | a field | rules read it, and no log or explanation shows it |
/// | `with = Mirror` | a field, or a parameter of a guarded function | a type of another crate (or an `Option` of one), read through its mirror |
/// | `remote = "path"` | a type | this type is the mirror of one of another crate, and names those of its fields that rules read |
/// | `crate = path` | a type | where this crate is, when it is re-exported by another |
///
/// ```
/// # mod vendor {
/// #     pub struct Money { pub amount: u32 }
/// # }
/// use policy_runtime::{Attributes, Denied, abac_policy};
///
/// #[derive(Attributes)]
/// #[attributes(remote = "vendor::Money")]
/// struct Money {
///     amount: u32,
/// }
///
/// #[derive(Attributes)]
/// struct Order {
///     #[attributes(with = Money)]
///     price: vendor::Money,
/// }
///
/// #[abac_policy(order.price.amount < 500)]
/// fn approve(order: &Order) -> Result<(), Denied> {
///     Ok(())
/// }
///
/// #[abac_policy(price.amount < 500)]
/// fn pay(#[attributes(with = Money)] price: vendor::Money) -> Result<(), Denied> {
///     Ok(())
/// }
/// ```
pub use policy_macros::Attributes;

/// Makes a struct an entity: a record with an id that calls are about, with the rules of its operations.
///
/// ```
/// use policy_runtime::{Denied, Entity, abac_policy};
///
/// #[derive(Entity)]
/// #[entity(namespace = "com.example")]
/// #[abac_policy(all_read(entity.owner == participant.id), all_delete = "participant.roles contains 'admin'")]
/// struct Photo {
///     #[entity(id)]
///     number: u64,
///     owner: String,
/// }
///
/// #[abac_policy(photo.owner == participant.id, resource = photo)]
/// fn share(photo: &Photo) -> Result<(), Denied> {
///     Ok(())
/// }
/// ```
///
/// The derive stands above the rules that it reads. It does all that [`Attributes`](derive@Attributes) does, with the same
/// arguments except `remote`. Its id is the field marked `#[entity(id)]`, or the one called `id`.
///
/// | argument | meaning |
/// | --- | --- |
/// | `#[entity(id)]` | on a field: the id |
/// | `#[entity(namespace = "com.example")]` | the namespace of the type, if not the module's path |
/// | `#[entity(name = "Photo")]` | its name, if not the type's; for an ORM that wants every type called `Model` |
/// | `#[entity(table = "photos")]` | the table of its rows, if not its name in snake case; `schema.table` names both |
/// | `#[entity(column = "owner_id")]` | on a field: its column, if not the field's name |
/// | `#[entity(tenant = field)]` | the field that keeps tenants apart; it is filled and filtered with `participant.tenant` |
/// | `#[entity(tenant_from = "organization")]` | the participant's attribute that the tenant equals, if not `tenant`: `organization`, or one of the application's own; who has none reads nothing |
/// | `#[entity(crate = path)]` | where this crate is, when it is re-exported by another |
/// | `#[abac_policy(all_read(..))]` | the rule of `find_by_id`, `find_by_ids`, `find_all`, `search`, `count`, `count_by_query` |
/// | `all_create(..)`, `all_update(..)`, `all_delete(..)` | of `save`, `bulk_save`; `update`, `bulk_update`; `delete_by_id`, `delete_by_query` |
/// | `all_tenants_read(..)`, `all_tenants_delete(..)` | of reading and deleting across tenants: `tenants_find_all`, .. |
/// | `find_by_id(..)` | of one operation, beside its group's by `and` |
/// | `#[abac_policy(read = "..", write = "..")]` | on a field: who sees it (an `Option` then), and who changes it |
///
/// An operation without a rule is denied. `callers(..)`, `tier`, `audit` and `participant` are as in
/// [`abac_policy`](macro@abac_policy).
pub use policy_macros::Entity;

/// Links packages whose annotations must be in the program, and refuses to start without them.
///
/// A package that nothing names is left out by the linker, annotations and all. Name it here once, in the binary:
///
/// ```text
/// policy_runtime::link!(orders, billing);
/// ```
///
/// ```standalone_crate
/// policy_runtime::link!(serde_json);
/// assert!(policy_runtime::Policy::for_application("shop").is_err(), "it is linked, and has no annotations");
/// ```
#[cfg(feature = "engine")]
#[macro_export]
macro_rules! link {
    ($($package:ident),+ $(,)?) => {$(
        use $package as _;
        $crate::__private::inventory::submit! {
            $crate::__private::RequiredPackage {
                name: stringify!($package),
                place: $crate::__private::Place { file: file!(), line: line!() },
            }
        }
    )+};
}
