//! What the people of a scope may do for themselves, and what is asked of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Who signs in with a second factor.
///
/// ```
/// use policy_runtime::identity::SecondFactorRule;
/// assert_eq!(SecondFactorRule::default(), SecondFactorRule::Optional);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "whoever wants to, who administers, or everybody")]
pub enum SecondFactorRule {
    /// Whoever has set one up.
    #[default]
    Optional,
    /// These, and whoever has a role; in an application one of [`ADMIN_ROLES`].
    RequiredForAdmins,
    /// Everybody.
    Required,
}

/// The roles of an application whose holders count as administrators.
pub const ADMIN_ROLES: [&str; 4] = ["admin", "administrator", "operator", "owner"];

/// That strangers may register by themselves, and what they are then.
///
/// ```
/// use policy_runtime::identity::Registration;
/// let shop = Registration { roles: ["customer".to_owned()].into() };
/// assert_ne!(shop, Registration::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "whoever lets strangers in says all of it")]
pub struct Registration {
    /// Their roles.
    pub roles: BTreeSet<String>,
}

/// The rules of one scope; what is not said is not allowed, and not asked.
///
/// ```
/// use policy_runtime::identity::{PeopleRules, Registration, SecondFactorRule};
/// let shop = PeopleRules {
///     registration: Some(Registration::default()),
///     own_attributes: ["phone".to_owned()].into(),
///     second_factor: Some(SecondFactorRule::RequiredForAdmins),
/// };
/// assert!(shop.registration.is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "whoever writes rules names what differs from the usual")]
pub struct PeopleRules {
    /// Whether strangers may register.
    pub registration: Option<Registration>,
    /// The attributes that people may set of themselves: policies may read them as what people say of themselves.
    pub own_attributes: BTreeSet<String>,
    /// Who signs in with a second factor; if that is not said, as in the scope above.
    pub second_factor: Option<SecondFactorRule>,
}

/// What administrators say of registration.
///
/// ```
/// use policy_runtime::identity::Registering;
/// assert_eq!(Registering::default(), Registering::AsConfigured);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "nothing, no, or yes and as whom")]
pub enum Registering {
    /// Nothing: what the configuration says holds.
    #[default]
    AsConfigured,
    /// Nobody registers.
    Closed,
    /// Strangers register, whatever the configuration says.
    Open(Registration),
}

/// What administrators say at run time of one scope.
///
/// ```
/// use policy_runtime::identity::{Registering, Registration, SecondFactorRule, SignInRules};
/// let kiosk = SignInRules {
///     registration: Registering::Open(Registration { roles: ["customer".to_owned()].into() }),
///     second_factor: SecondFactorRule::RequiredForAdmins,
/// };
/// assert_ne!(kiosk, SignInRules::default(), "nothing is said");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::exhaustive_structs, reason = "whoever says something says all of it")]
pub struct SignInRules {
    /// Whether strangers may register.
    pub registration: Registering,
    /// Who needs a second factor there and below, beside those of whom the configuration and the scopes above say so.
    pub second_factor: SecondFactorRule,
}
