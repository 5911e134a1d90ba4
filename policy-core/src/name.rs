//! Names that were checked when they were made: scopes, tiers, actions and entity uids.
//!
//! In: text. Out: types whose existence proves that the text is usable. Absent: any meaning of a name.

use std::cmp::Ordering;
#[cfg(feature = "engine")]
use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "engine")]
use std::hash::BuildHasherDefault;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// A named, ordered layer of policy. Upper tiers only narrow.
///
/// ```
/// use policy_core::Tier;
/// assert!(Tier::System < Tier::Application);
/// assert_eq!(Tier::Organization.to_string(), "organization");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are three tiers, by definition")]
pub enum Tier {
    /// The platform's operators.
    System,
    /// A development team.
    Organization,
    /// An application's end users and machines.
    Application,
}

impl Tier {
    /// All tiers, from the top down.
    pub const ALL: [Self; 3] = [Self::System, Self::Organization, Self::Application];

    /// The tier's name in lower case, as `participant.tier` shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Organization => "organization",
            Self::Application => "application",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a name.
///
/// ```
/// use policy_core::Scope;
/// use policy_core::name::NameError;
/// let error: NameError = Scope::organization("Acme").unwrap_err();
/// assert!(error.to_string().starts_with("`Acme` is not a slug"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {reason}")]
pub struct NameError {
    text: String,
    what: &'static str,
    reason: &'static str,
}

impl NameError {
    pub(crate) fn new(text: &str, what: &'static str, reason: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), what, reason }
    }
}

/// A permanent, lower-case identifier of an organization or an application: `[a-z0-9]`, then `[a-z0-9._-]`, 63 at most.
///
/// ```
/// use policy_core::Slug;
/// assert!(Slug::new("acme").is_ok());
/// assert_eq!(
///     Slug::new("Acme Inc").unwrap_err().to_string(),
///     "`Acme Inc` is not a slug: lower-case letters, digits, `.`, `_` and `-` only, a letter or digit first, 63 at most",
/// );
/// ```
#[derive(Clone)]
pub struct Slug {
    text: Arc<str>,
    /// Kept, so that no decision has to hash.
    hash: u64,
}

impl Slug {
    /// Checks and makes a slug.
    ///
    /// # Errors
    /// When the text is empty, too long or has another character.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let rest = |b: u8| first(b) || matches!(b, b'-' | b'_' | b'.');
        match text.as_bytes() {
            [head, tail @ ..] if first(*head) && tail.len() < 63 && tail.iter().all(|b| rest(*b)) => {
                Ok(Self { text: text.into(), hash: hash_of(text) })
            }
            _ => Err(NameError::new(
                text,
                "slug",
                "lower-case letters, digits, `.`, `_` and `-` only, a letter or digit first, 63 at most",
            )),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Slug {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for Slug {}

impl PartialOrd for Slug {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slug {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Slug {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

/// A hash of this process: names keep theirs, and nobody outside can choose names that collide.
pub(crate) fn hash_of(text: &str) -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEYS.hash_one(text)
}

/// The hash of a uid, from those of its type and its id.
#[inline]
pub(crate) const fn hash_of_uid(kind: u64, id: u64) -> u64 {
    (kind ^ id.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Maps by names that keep their hash.
#[cfg(feature = "engine")]
pub(crate) type ByName<K, V> = HashMap<K, V, BuildHasherDefault<KeptHash>>;

/// Takes the hash that a name keeps.
#[cfg(feature = "engine")]
#[derive(Debug, Default)]
pub(crate) struct KeptHash(u64);

#[cfg(feature = "engine")]
impl Hasher for KeptHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // For no key of ours: a name writes the hash that it keeps.
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A tier with its id. An application belongs to one organization.
///
/// ```
/// use policy_core::Scope;
/// let orders = Scope::application("acme", "orders").unwrap();
/// assert_eq!(orders.to_string(), "app:acme/orders");
/// assert!(Scope::organization("acme").unwrap().covers(&orders));
/// assert!(!Scope::organization("globex").unwrap().covers(&orders));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are three tiers, by definition")]
pub enum Scope {
    /// The platform.
    System,
    /// One organization.
    Organization(Slug),
    /// One application of one organization.
    Application {
        /// The organization it belongs to.
        organization: Slug,
        /// The application, unique in the deployment.
        application: Slug,
    },
}

impl Scope {
    /// Makes an organization's scope.
    ///
    /// # Errors
    /// When the id is not a [`Slug`].
    pub fn organization(id: &str) -> Result<Self, NameError> {
        Ok(Self::Organization(Slug::new(id)?))
    }

    /// Makes an application's scope.
    ///
    /// # Errors
    /// When one of the ids is not a [`Slug`].
    pub fn application(organization: &str, application: &str) -> Result<Self, NameError> {
        Ok(Self::Application { organization: Slug::new(organization)?, application: Slug::new(application)? })
    }

    /// The tier of this scope.
    pub const fn tier(&self) -> Tier {
        match self {
            Self::System => Tier::System,
            Self::Organization(_) => Tier::Organization,
            Self::Application { .. } => Tier::Application,
        }
    }

    /// The organization that this scope is or belongs to.
    pub const fn organization_id(&self) -> Option<&Slug> {
        match self {
            Self::System => None,
            Self::Organization(organization) | Self::Application { organization, .. } => Some(organization),
        }
    }

    /// The application that this scope is.
    pub const fn application_id(&self) -> Option<&Slug> {
        match self {
            Self::System | Self::Organization(_) => None,
            Self::Application { application, .. } => Some(application),
        }
    }

    /// System and every scope below it down to this one.
    ///
    /// ```
    /// use policy_core::Scope;
    /// let orders = Scope::application("acme", "orders").unwrap();
    /// assert_eq!(orders.chain(), [Scope::System, Scope::organization("acme").unwrap(), orders.clone()]);
    /// ```
    pub fn chain(&self) -> Vec<Self> {
        let organization = self.organization_id().map(|id| Self::Organization(id.clone()));
        let application = self.application_id().map(|_| self.clone());
        [Some(Self::System), organization, application].into_iter().flatten().collect()
    }

    /// Whether `other` is this scope or lies under it.
    pub fn covers(&self, other: &Self) -> bool {
        match self {
            Self::System => true,
            Self::Organization(id) => other.organization_id() == Some(id),
            Self::Application { .. } => self == other,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("sys"),
            Self::Organization(organization) => write!(f, "org:{organization}"),
            Self::Application { organization, application } => write!(f, "app:{organization}/{application}"),
        }
    }
}

/// Reads what [`Scope`] writes: `sys`, `org:acme`, `app:acme/orders`.
///
/// ```
/// use policy_core::Scope;
/// assert_eq!("app:acme/orders".parse(), Ok(Scope::application("acme", "orders").unwrap()));
/// assert!("acme".parse::<Scope>().is_err());
/// ```
impl FromStr for Scope {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match (text, text.split_once(':')) {
            ("sys", _) => Ok(Self::System),
            (_, Some(("org", id))) => Self::organization(id),
            (_, Some(("app", path))) => {
                let (organization, application) = path.split_once('/').unwrap_or((path, ""));
                Self::application(organization, application)
            }
            _ => {
                Err(NameError::new(text, "scope", "`sys`, `org:<organization>` or `app:<organization>/<application>`"))
            }
        }
    }
}

/// Joins a scope and an id into the id of a Cedar entity; `/`, `%` and controls of the id are percent-encoded, so that two
/// different pairs never give one text.
///
/// ```
/// use policy_core::{Scope, name::scoped_id};
/// assert_eq!(scoped_id(&Scope::System, "a/b"), "sys/a%2Fb");
/// ```
pub fn scoped_id(scope: &Scope, id: &str) -> String {
    let mut out = scope.to_string();
    out.push('/');
    push_encoded(&mut out, id);
    out
}

/// Appends `text` with `/`, `%` and control characters percent-encoded.
///
/// ```
/// let mut path = "app:acme/".to_owned();
/// policy_core::name::push_encoded(&mut path, "a/b");
/// assert_eq!(path, "app:acme/a%2Fb");
/// ```
pub fn push_encoded(out: &mut String, text: &str) {
    use fmt::Write as _;
    for c in text.chars() {
        if c == '/' || c == '%' || c.is_control() {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
}

/// An action: the published namespace (dotted) and its id within it.
///
/// ```
/// use policy_core::ActionName;
/// let action = ActionName::new("com.example", "OrderService.placeOrder");
/// assert_eq!(action.to_string(), "com.example.OrderService.placeOrder");
/// assert_eq!(action.cedar_type(), "com::example::Action");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName {
    namespace: Arc<str>,
    id: Arc<str>,
}

impl ActionName {
    /// Makes a name; both parts are dotted (a Rust module path's `::` is read as a dot).
    pub fn new(namespace: &str, id: &str) -> Self {
        Self { namespace: namespace.replace("::", ".").into(), id: id.into() }
    }

    /// The namespace, dotted; empty for none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The id within the namespace, such as `OrderService.placeOrder`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The service or entity part of the id, when it has one: `OrderService`.
    pub fn group(&self) -> Option<&str> {
        self.id.rsplit_once('.').map(|(group, _)| group)
    }

    /// The Cedar type of the action's uid.
    pub fn cedar_type(&self) -> String {
        cedar_type(&self.namespace, "Action")
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}.", self.namespace)?;
        }
        f.write_str(&self.id)
    }
}

/// The Cedar spelling of a type in a dotted namespace.
///
/// ```
/// use policy_core::name::cedar_type;
/// assert_eq!(cedar_type("com.example", "Photo"), "com::example::Photo");
/// ```
pub fn cedar_type(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{}::{name}", namespace.replace('.', "::")) }
}

/// The uid of a Cedar entity: its type in Cedar's spelling and its id.
///
/// ```
/// use policy_core::{EntityUid, Scope};
/// let acme = Scope::organization("acme").unwrap();
/// assert_eq!(EntityUid::of_scope(&acme).kind(), "Platform::Organization");
/// assert_eq!(EntityUid::of_role(&acme, "admin"), EntityUid::new("Platform::Role", "org:acme/admin"));
/// ```
#[derive(Clone)]
pub struct EntityUid {
    kind: Arc<str>,
    id: Arc<str>,
    /// Kept, so that no decision has to hash.
    hash: u64,
}

impl EntityUid {
    /// Makes a uid; the type is written `a::b::Type`.
    pub fn new(kind: &str, id: &str) -> Self {
        Self { kind: kind.into(), id: id.into(), hash: hash_of_uid(hash_of(kind), hash_of(id)) }
    }

    /// The type, as Cedar writes it.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hash of the uid, as [`hash_of_uid`] makes it.
    #[cfg(feature = "engine")]
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// The uid of the entity that stands for a scope.
    pub fn of_scope(scope: &Scope) -> Self {
        match scope {
            Scope::System => Self::new("Platform::System", "system"),
            Scope::Organization(organization) => Self::new("Platform::Organization", organization.as_str()),
            Scope::Application { application, .. } => Self::new("Platform::Application", application.as_str()),
        }
    }

    /// The uid of a role in a scope.
    pub fn of_role(scope: &Scope, role: &str) -> Self {
        Self::new("Platform::Role", &scoped_id(scope, role))
    }
}

impl PartialEq for EntityUid {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.kind == other.kind && self.id == other.id
    }
}

impl Eq for EntityUid {}

impl PartialOrd for EntityUid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntityUid {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.kind, &self.id).cmp(&(&other.kind, &other.id))
    }
}

impl Hash for EntityUid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for EntityUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::\"{}\"", self.kind, self.id.escape_debug())
    }
}

impl fmt::Debug for EntityUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Finds the known name nearest to `wanted`, if one is near enough to offer.
///
/// ```
/// use policy_core::name::nearest;
/// assert_eq!(nearest("amuont", ["amount", "status"]), Some("amount"));
/// assert_eq!(nearest("xyz", ["amount"]), None);
/// ```
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(wanted, name), name))
        .filter(|(far, name)| *far <= limit || name.eq_ignore_ascii_case(wanted))
        .min()
        .map(|(_, name)| name)
}

/// Damerau's distance with adjacent transpositions (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&above, j) + usize::from(x != y)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}
