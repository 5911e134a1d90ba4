//! What the rules of an action may name, and whether Cedar can write its names.
//!
//! In: the joined declarations of an action. Out: its roots with their types. Absent: rules, and kinds that nothing declares.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds have no attributes")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::finding::Finding;
use super::join::Joined;
use crate::check::{RootType, RuleEnv};
use crate::decl::{EntityDecl, ResourceDecl};
use crate::ir::Root;
use crate::kind::{Described, Kind, RecordType};
use crate::{context, participant, platform};

pub(super) fn record_of(described: &Described) -> Option<&RecordType> {
    match &described.kind {
        Kind::Record(record) => Some(record),
        _ => None,
    }
}

/// Whether participants of another tier than the service's may call.
pub(super) fn strangers(joined: &Joined) -> bool {
    joined.declarations.iter().any(|d| d.callers.iter().any(|tier| *tier != d.tier))
}

/// Cedar's names are identifiers that are no words of its own, and the platform's namespace is the platform's.
pub(super) fn names_can_be_written(joined: &Joined, participant: &str, resource: &str, found: &mut Vec<Finding>) {
    const RESERVED: [&str; 10] = ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"];
    let Some(first) = joined.declarations.first() else { return };
    let usable = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !RESERVED.contains(&part)
    };
    let mut bad = BTreeSet::new();
    let namespace = joined.name.namespace();
    if !namespace.is_empty() {
        bad.extend(namespace.split('.').filter(|part| !usable(part)));
    }
    bad.extend([participant, resource].iter().flat_map(|name| name.split("::")).filter(|part| !usable(part)));
    // Cedar keeps this name for itself, as a type.
    bad.extend(
        [participant, resource].iter().filter_map(|name| name.rsplit("::").next()).filter(|part| *part == "Action"),
    );
    for part in bad {
        found.push(Finding::new(
            first.place,
            format!(
                "`{part}` in the name of `{}` cannot be written in Cedar\nhelp: publish it under another name: letters, digits and `_`, and none of {}",
                joined.name,
                RESERVED.map(|word| format!("`{word}`")).join(", ")
            ),
        ));
    }
    if namespace == platform::NAMESPACE || namespace.starts_with("Platform.") {
        found.push(Finding::new(
            first.place,
            format!("`{}` is in the platform's own namespace\nhelp: publish it under another one", joined.name),
        ));
    }
}

pub(super) fn roots(
    joined: &Joined,
    own: Option<&Described>,
    entity: Option<&EntityDecl>,
    resource: ResourceDecl,
    params: &[(Arc<str>, Option<Described>)],
    found: &mut Vec<Finding>,
) -> RuleEnv {
    let mut participant = participant::BUILT_IN.clone();
    let Some(first) = joined.declarations.first() else { return RuleEnv::default() };
    let strangers = strangers(joined);
    if let Some(own) = own.and_then(record_of) {
        participant.name.clone_from(&own.name);
        for field in &own.fields {
            if participant.field(&field.name).is_some() {
                found.push(Finding::new(
                    first.place,
                    format!(
                        "`{}` declares `{}`, which every participant has already\nhelp: rename it",
                        own.name, field.name
                    ),
                ));
            }
            let mut field = field.clone();
            // To a caller of another tier the service's own attributes are absent.
            field.ty.optional |= strangers;
            participant.fields.push(field);
        }
    }
    let record = |record: RecordType| Some(Described::required(Kind::Record(Arc::new(record))));
    let root = |name: &str, root: Root, ty: Option<Described>, open: bool| RootType {
        name: name.into(),
        rust_name: name.into(),
        root,
        ty,
        open,
    };
    let mut roots = vec![
        root("participant", Root::Participant, record(participant), own.is_none()),
        root("context", Root::Context, record(context::BUILT_IN.clone()), true),
    ];
    let about = match resource {
        ResourceDecl::Parameter { name, .. } => Some(name),
        ResourceDecl::Entity { .. } => {
            roots.push(root("entity", Root::Resource, entity.map(|e| e.attributes.clone()), false));
            None
        }
        ResourceDecl::Scope | ResourceDecl::Service { .. } => None,
    };
    for (n, (param, (name, ty))) in first.params.iter().zip(params).enumerate() {
        let at = if about == Some(param.name) {
            Root::Resource
        } else {
            Root::Arg(u16::try_from(n).unwrap_or(u16::MAX), name.clone())
        };
        roots.push(RootType { rust_name: param.rust_name.into(), ..root(name, at, ty.clone(), false) });
    }
    RuleEnv { roots, inferred: BTreeMap::new() }
}
