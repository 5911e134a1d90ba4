//! What the rules of an action may name, and whether Cedar can write its names.
//!
//! In: what is declared of an action. Out: its roots with their types. Absent: rules, and kinds that nothing declares.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds have no attributes")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::declared::{About, Declared, Param};
use super::finding::Finding;
use crate::check::{RootType, RuleEnv};
use crate::ir::Root;
use crate::kind::{Described, Kind, RecordType};
use crate::{context, participant, platform};

pub(super) fn record_of(described: &Described) -> Option<&RecordType> {
    match &described.kind {
        Kind::Record(record) => Some(record),
        _ => None,
    }
}

/// Cedar's names are identifiers that are no words of its own, and the platform's namespace is the platform's.
pub(super) fn names_can_be_written(declared: &Declared, participant: &str, resource: &str, found: &mut Vec<Finding>) {
    const RESERVED: [&str; 10] = ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"];
    let usable = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !RESERVED.contains(&part)
    };
    let mut bad = BTreeSet::new();
    let namespace = declared.name.namespace();
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
            declared.place(),
            format!(
                "`{part}` in the name of `{}` cannot be written in Cedar\nhelp: publish it under another name: letters, digits and `_`, and none of {}",
                declared.name,
                RESERVED.map(|word| format!("`{word}`")).join(", ")
            ),
        ));
    }
    let own = declared.participant.is_some().then_some(participant);
    let about = (!matches!(declared.about, About::Scope)).then_some(resource);
    let of_platform = |kind: &str| kind.starts_with("Platform::");
    if namespace == platform::NAMESPACE
        || namespace.starts_with("Platform.")
        || own.into_iter().chain(about).any(of_platform)
    {
        found.push(Finding::new(
            declared.place(),
            format!("`{}` is in the platform's own namespace\nhelp: publish it under another one", declared.name),
        ));
    }
}

pub(super) fn roots(declared: &Declared, found: &mut Vec<Finding>) -> RuleEnv {
    let mut participant = participant::BUILT_IN.clone();
    let own = declared.participant.as_ref().map(|(_, own)| own);
    let strangers = declared.strangers();
    if let Some(own) = own.and_then(record_of) {
        participant.name.clone_from(&own.name);
        for field in &own.fields {
            if participant.field(&field.name).is_some() {
                found.push(Finding::new(
                    declared.place(),
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
    let about = match &declared.about {
        About::Parameter { name, .. } => Some(name),
        About::Entity { attributes, .. } => {
            roots.push(root("entity", Root::Resource, Some(attributes.clone()), false));
            None
        }
        About::Scope | About::Service(_) => None,
    };
    for (n, Param { name, rust_name, ty }) in declared.params.iter().enumerate() {
        let at = if about == Some(name) {
            Root::Resource
        } else {
            Root::Arg(u16::try_from(n).unwrap_or(u16::MAX), name.clone())
        };
        roots.push(RootType { rust_name: rust_name.clone(), ..root(name, at, ty.clone(), false) });
    }
    RuleEnv { roots, inferred: BTreeMap::new() }
}
