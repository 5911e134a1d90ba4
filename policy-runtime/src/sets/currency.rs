//! What a server knows of the sets that it decides by.

/// Whether a server knows that it decides by the active sets.
///
/// ```
/// use policy_runtime::sets::Currency;
/// assert_ne!(Currency::Current, Currency::Stale);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are three answers")]
pub enum Currency {
    /// It was confirmed a moment ago.
    Current,
    /// The last attempt failed, or half of the bound has passed without one that did not; decisions are made by the last sets.
    Stale,
    /// The bound has passed: everything is denied.
    Denying,
}
