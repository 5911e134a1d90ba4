//! Where a claim stands in a token.

use std::fmt;

use crate::json::Json;

/// The names that lead to a claim.
///
/// ```
/// use policy_runtime::authn::token::{ClaimPath, Json};
/// let claims = Json::parse(br#"{"realm_access": {"roles": ["a"]}, "https://acme.example/plan": "gold"}"#).unwrap();
/// assert!(ClaimPath::dotted("realm_access.roles").find(&claims).is_some());
/// assert!(ClaimPath::name("https://acme.example/plan").find(&claims).is_some());
/// assert!(ClaimPath::name("realm_access.roles").find(&claims).is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// A claim at the top, its name taken whole: namespaced claims have dots in it.
    pub fn name(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// A nested claim, written with dots.
    pub fn dotted(path: &str) -> Self {
        Self(path.split('.').map(str::to_owned).collect())
    }

    /// A nested claim, name by name.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// The claim, if it is there.
    pub fn find<'a>(&self, claims: &'a Json) -> Option<&'a Json> {
        self.0.iter().try_fold(claims, |at, name| at.get(name))
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
