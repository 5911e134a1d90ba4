//! Names and uids on their way to and from Cedar.

use cedar_policy::pst;

use crate::diagnostic::Diagnostic;
use crate::name::EntityUid;
use crate::source::Span;

/// A name that Cedar cannot spell, such as a namespace with a hyphen.
pub(super) fn unusable(what: &str, why: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("cedar-name", Span::default(), format!("`{what}` cannot be written in Cedar: {why}"))
}

pub(super) fn type_name(kind: &str) -> Result<pst::EntityType, Diagnostic> {
    let (namespace, name) = split(kind);
    let parts = namespace.split("::").filter(|part| !part.is_empty());
    pst::Name::qualified(parts, name).map(pst::EntityType::from_name).map_err(|e| unusable(kind, e))
}

pub(super) fn uid(uid: &EntityUid) -> Result<pst::EntityUID, Diagnostic> {
    Ok(pst::EntityUID { ty: type_name(uid.kind())?, eid: uid.id().into() })
}

pub(super) fn from_uid(uid: &pst::EntityUID) -> EntityUid {
    EntityUid::new(&uid.ty.to_string(), &uid.eid)
}

/// The namespace and the last part of a type.
pub(super) fn split(kind: &str) -> (&str, &str) {
    kind.rsplit_once("::").unwrap_or(("", kind))
}
