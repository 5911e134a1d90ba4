//! The const data that annotations leave behind in a program, found again when it starts.
//!
//! In: what macros emit. Out: plain declarations, nothing checked yet. Absent: Cedar, and any work: the registry does it.

use crate::kind::Described;
use crate::name::Tier;
use crate::source::Place;

/// One guarded function, method or entity operation, as one expansion of `#[abac_policy]` or `#[publish]` saw it.
///
/// Several declarations may have the same [`ActionDecl::function`]: their rules are joined by AND.
///
/// ```
/// use policy_core::Tier;
/// use policy_core::decl::{ActionDecl, ResourceDecl, RuleDecl};
/// use policy_core::registry::Registry;
/// use policy_core::source::Place;
///
/// const HERE: Place = Place { file: "src/orders.rs", line: 7 };
/// static APPROVE: ActionDecl = ActionDecl {
///     package: "shop",
///     namespace: "shop::orders",
///     id: "approve",
///     function: "shop::orders::approve",
///     place: HERE,
///     was: &[],
///     tier: Tier::Application,
///     callers: &[Tier::Application],
///     organization: None,
///     must_audit: false,
///     participant: None,
///     resource: ResourceDecl::Scope,
///     params: &[],
///     rules: &[RuleDecl { text: "participant.roles contains 'finance'", place: HERE }],
///     authenticated: false,
/// };
/// assert!(Registry::of(&[&APPROVE], &[]).unwrap().find("shop.orders.approve").is_some());
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct ActionDecl {
    /// The package that was compiled.
    pub package: &'static str,
    /// The published namespace (`com.example`) or the module path (`shop::orders`).
    pub namespace: &'static str,
    /// The id in the namespace: `OrderService.placeOrder`, `Photo.findAll`, `approve`.
    pub id: &'static str,
    /// The Rust path of what is guarded; two functions with one action are refused.
    pub function: &'static str,
    /// Where it is.
    pub place: Place,
    /// Former ids in the same namespace, or whole dotted names; rules written for them go on matching.
    pub was: &'static [&'static str],
    /// Whose service it is; the resource belongs to a scope of this tier.
    pub tier: Tier,
    /// The tiers whose participants may call.
    pub callers: &'static [Tier],
    /// On an organization's service: the place of the parameter that names the organization, for callers of the System tier.
    pub organization: Option<u16>,
    /// Whether it runs only with an audit record that was written before.
    pub must_audit: bool,
    /// The application's own participant type: its Rust name and its attributes.
    pub participant: Option<ParticipantDecl>,
    /// What the request is about.
    pub resource: ResourceDecl,
    /// The parameters that can be read, in the order in which the guard hands them over.
    pub params: &'static [ParamDecl],
    /// The rules, joined by AND. Empty only with `authenticated`.
    pub rules: &'static [RuleDecl],
    /// `#[abac_policy(authenticated)]`: no rule of its own, upper tiers still decide.
    pub authenticated: bool,
}

/// A participant type: its Rust name and its attributes.
///
/// ```
/// use policy_core::contract;
/// use policy_core::decl::ParticipantDecl;
/// let staff: ParticipantDecl = ("Staff", || contract::record("Staff", []));
/// assert_eq!((staff.1)().kind.to_string(), "Record Staff");
/// ```
pub type ParticipantDecl = (&'static str, fn() -> Described);

/// What a request to an action is about.
///
/// ```
/// use policy_core::decl::ResourceDecl;
/// let service = ResourceDecl::Service { name: "OrderService" };
/// assert!(matches!(service, ResourceDecl::Service { name } if name.ends_with("Service")));
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "generated code makes it, of the same version by the façade")]
pub enum ResourceDecl {
    /// The scope itself (a free function): `Platform::Application::"orders"`.
    Scope,
    /// A published service: `com::example::OrderService::"orders"`.
    Service {
        /// The service's name, without namespace.
        name: &'static str,
    },
    /// The entity in the parameter of this wire name: its attributes are the resource's.
    Parameter {
        /// The parameter, as policies spell it.
        name: &'static str,
        /// The entity's type.
        entity: fn() -> EntityDecl,
    },
    /// A row of an entity: `entity` is a root, and the action one of its operations.
    Entity {
        /// The entity's type.
        entity: fn() -> EntityDecl,
    },
}

/// An entity type.
///
/// ```
/// use policy_core::{contract, decl::EntityDecl};
/// let photo = EntityDecl { namespace: "com.example", name: "Photo", attributes: contract::record("Photo", []) };
/// assert_eq!(photo.attributes.kind.to_string(), "Record Photo");
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct EntityDecl {
    /// The namespace, dotted or a module path.
    pub namespace: &'static str,
    /// The type's name.
    pub name: &'static str,
    /// Its attributes (a record).
    pub attributes: Described,
}

/// One parameter that rules may read.
///
/// ```
/// use policy_core::contract::AttributeValue;
/// use policy_core::decl::ParamDecl;
/// let amount = ParamDecl { name: "maxAmount", rust_name: "max_amount", describe: || Some(i64::describe()) };
/// assert!((amount.describe)().is_some());
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct ParamDecl {
    /// As policies and the wire spell it (camelCase by default).
    pub name: &'static str,
    /// As Rust spells it.
    pub rust_name: &'static str,
    /// Its kind; `None` when its type has none, so that no rule can read it.
    pub describe: fn() -> Option<Described>,
}

/// One rule, in the text form.
///
/// ```
/// use policy_core::decl::RuleDecl;
/// use policy_core::source::Place;
/// const RULE: RuleDecl = RuleDecl { text: "participant.mfa", place: Place { file: "src/lib.rs", line: 3 } };
/// assert!(policy_core::syntax::parse(RULE.text).is_ok());
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct RuleDecl {
    /// The canonical text form.
    pub text: &'static str,
    /// Where it was written.
    pub place: Place,
}

/// A published service.
///
/// ```
/// use policy_core::decl::ServiceDecl;
/// use policy_core::registry::Registry;
/// use policy_core::source::Place;
///
/// static ORDERS: ServiceDecl = ServiceDecl {
///     package: "shop", namespace: "com.example", name: "Orders", version: Some("1.0.0"),
///     place: Place { file: "src/lib.rs", line: 3 }, methods: &[],
/// };
/// assert_eq!(Registry::of(&[], &[&ORDERS]).unwrap().services().len(), 1);
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct ServiceDecl {
    /// The package that was compiled.
    pub package: &'static str,
    /// `com.example`
    pub namespace: &'static str,
    /// `OrderService`
    pub name: &'static str,
    /// `1.2.3`, if stated.
    pub version: Option<&'static str>,
    /// Where it was published.
    pub place: Place,
    /// The methods that are callable by name.
    pub methods: &'static [MethodDecl],
}

/// A method that is callable by name.
///
/// ```
/// use policy_core::decl::MethodDecl;
/// const PLACE: MethodDecl =
///     MethodDecl { name: "placeOrder", rust_name: "place_order", action: "Orders.placeOrder", arguments: &["order"], streaming: false };
/// assert_eq!(PLACE.arguments, ["order"]);
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct MethodDecl {
    /// As the wire spells it.
    pub name: &'static str,
    /// As Rust spells it.
    pub rust_name: &'static str,
    /// The id of its action in the service's namespace.
    pub action: &'static str,
    /// The wire names of its arguments, in order.
    pub arguments: &'static [&'static str],
    /// Whether it answers with a stream of values.
    pub streaming: bool,
}
