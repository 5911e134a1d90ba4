//! Names to places: roots, attributes, and what to say when there is none of the name.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds have no attributes")]

use std::sync::Arc;

use super::{RootType, RuleEnv, TypedPath};
use crate::diagnostic::Diagnostic;
use crate::ir::{self, Root};
use crate::kind::{Described, Kind, RecordType};
use crate::name::nearest;
use crate::source::Span;
use crate::syntax::ast::{Path, Segment};
use crate::value::Slot;

/// The slot of attributes that are kept by name behind the built-in ones.
const OWN: u16 = Slot::BY_NAME - 1;

/// A resolved path, or an attribute that nothing declares yet.
#[derive(Debug)]
pub(super) enum Resolved {
    Known(TypedPath),
    Open { root: Arc<str>, attribute: Arc<str> },
}

pub(super) fn root<'e>(path: &Path, env: &'e RuleEnv) -> Result<&'e RootType, Diagnostic> {
    let name = path.root();
    if let Some(found) = env.roots.iter().find(|r| &*r.name == name) {
        return Ok(found);
    }
    let span = path.segments.first().map_or(path.span, |s| s.span);
    if let Some(other) = env.roots.iter().find(|r| &*r.rust_name == name) {
        return Err(Diagnostic::error("unknown-root", span, format!("there is no root `{name}` here"))
            .with_help(format!("policies spell this parameter as the wire does: `{}`", other.name)));
    }
    let names: Vec<&str> = env.roots.iter().map(|r| &*r.name).collect();
    let list = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let help = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? the roots here are {list}"),
        None => format!("the roots here are {list}"),
    };
    Err(Diagnostic::error("unknown-root", span, format!("there is no root `{name}` here")).with_help(help))
}

pub(super) fn resolve(path: &Path, env: &RuleEnv) -> Result<Resolved, Diagnostic> {
    let start = root(path, env)?;
    let text: Arc<str> = path.to_string().into();
    let Some(ty) = &start.ty else {
        return Err(Diagnostic::error(
            "unreadable",
            path.span,
            format!("policies cannot read `{}`: its type has no kind", start.name),
        )
        .with_help("derive `Attributes` for its type, or use a concrete type"));
    };
    let mut at = Known { ty: ty.clone(), optional: ty.optional, secret: false, slots: Vec::new() };
    let mut before = start.name.to_string();
    for (n, segment) in path.fields().iter().enumerate() {
        let record = match &at.ty.kind {
            Kind::Record(record) => record.clone(),
            other => return Err(no_attributes(&before, other, segment)),
        };
        match record.field(&segment.name) {
            Some((index, field)) => {
                at.slots.push(Slot { index: slot_index(&start.root, n, index), name: field.name.clone() });
                at.optional |= field.ty.optional;
                at.secret |= field.secret;
                at.ty = field.ty.clone();
            }
            None if n == 0 && start.open => {
                let name: Arc<str> = segment.name.as_str().into();
                let Some(kind) = env.inferred.get(&(start.name.clone(), name.clone())) else {
                    return if path.fields().len() == 1 {
                        Ok(Resolved::Open { root: start.name.clone(), attribute: name })
                    } else {
                        Err(undeclared_record(start, segment))
                    };
                };
                at.slots.push(Slot { index: OWN, name });
                at.optional = true;
                at.ty = Described::optional(kind.clone());
            }
            None => return Err(unknown_attribute(&before, &record, segment)),
        }
        before = format!("{before}.{}", segment.name);
    }
    let (kind, optional, secret) = (at.ty.kind, at.optional, at.secret);
    Ok(Resolved::Known(TypedPath {
        path: ir::Path { root: start.root.clone(), slots: at.slots },
        kind,
        optional,
        secret,
        text,
    }))
}

struct Known {
    ty: Described,
    optional: bool,
    secret: bool,
    slots: Vec<Slot>,
}

/// Built-in attributes of the participant and the context have slots of their own; what a type adds is kept by name.
fn slot_index(root: &Root, depth: usize, index: u16) -> u16 {
    let built_in = match root {
        Root::Participant => crate::participant::BUILT_IN.fields.len(),
        Root::Context => crate::context::BUILT_IN.fields.len(),
        Root::Resource | Root::Arg(..) => return index,
    };
    if depth == 0 && usize::from(index) < built_in { index } else { OWN }
}

fn no_attributes(before: &str, kind: &Kind, segment: &Segment) -> Diagnostic {
    Diagnostic::error(
        "unknown-attribute",
        segment.span,
        format!("`{before}` is {kind} and has no attribute `{}`", segment.name),
    )
}

fn undeclared_record(start: &RootType, segment: &Segment) -> Diagnostic {
    Diagnostic::error(
        "undeclared-record",
        segment.span,
        format!("`{}.{}` is read like a record, but nothing declares it", start.name, segment.name),
    )
    .with_help(if &*start.name == "participant" {
        "declare the participant's own attributes with `participant = Type`"
    } else {
        "what an application adds to the context are scalars and sets of them"
    })
}

pub(super) fn unknown_attribute(before: &str, record: &RecordType, segment: &Segment) -> Diagnostic {
    let name = &segment.name;
    let diagnostic =
        Diagnostic::error("unknown-attribute", segment.span, format!("`{before}` has no attribute `{name}`"));
    if let Some(field) = record.fields.iter().find(|f| *f.rust_name == **name) {
        return diagnostic.with_help(format!("policies spell it as serde does: `{}`", field.name));
    }
    let known = || record.fields.iter().map(|f| &*f.name);
    diagnostic.with_help(match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if record.fields.is_empty() => "it has no attributes".to_owned(),
        None => {
            let list: Vec<_> = known().take(12).map(|n| format!("`{n}`")).collect();
            format!("it has {}{}", list.join(", "), if record.fields.len() > 12 { ", ..." } else { "" })
        }
    })
}

/// A path whose kind must be known by now.
pub(super) fn known(path: &Path, env: &RuleEnv) -> Result<TypedPath, Diagnostic> {
    match resolve(path, env)? {
        Resolved::Known(path) => Ok(path),
        Resolved::Open { root, attribute } => {
            let declared = env.roots.iter().filter(|r| r.name == root).filter_map(|r| match &r.ty.as_ref()?.kind {
                Kind::Record(record) => Some(&record.fields),
                _ => None,
            });
            let names: Vec<&str> = declared.flatten().map(|field| &*field.name).collect();
            Err(uninferable(&root, &attribute, path.span, nearest(&attribute, names)))
        }
    }
}

fn uninferable(root: &str, attribute: &str, span: Span, near: Option<&str>) -> Diagnostic {
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if root == "participant" => {
            "declare it with `participant = Type`, or compare it with a literal in a rule of the program".to_owned()
        }
        None => "compare it with a literal in a rule of the program".to_owned(),
    };
    Diagnostic::error("undeclared", span, format!("nothing tells the kind of `{root}.{attribute}`")).with_help(help)
}
