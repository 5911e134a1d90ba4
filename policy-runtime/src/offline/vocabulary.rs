//! `policy schema`: what there is to write rules about.

use std::fmt::Write as _;

use policy_core::EntityUid;
use policy_core::check::RootType;
use policy_core::kind::{Described, Field, Kind};
use policy_core::registry::{ActionEntry, Registry};
use serde_json::{Value, json};

use super::report::{Report, Status, count};

/// Lists actions with their attributes, kinds and source lines: those whose name has `wanted` in it, or all of the program's
/// own. The platform's actions are listed where they are asked for by name.
///
/// ```
/// use policy_core::registry::Registry;
/// use policy_runtime::offline::vocabulary;
/// let registry = Registry::of(&[], &[]).unwrap();
/// let report = vocabulary(&registry, Some("createOrganization"));
/// assert!(report.text.starts_with("Platform.createOrganization\n"), "{report}");
/// assert_eq!(report.json["actions"][0]["roots"][0]["name"], "participant");
/// ```
pub fn vocabulary(registry: &Registry, wanted: Option<&str>) -> Report {
    let meant = |entry: &&ActionEntry| match wanted {
        Some(part) => entry.name.to_string().contains(part),
        None => !entry.places.is_empty(),
    };
    let entries: Vec<&ActionEntry> = registry.actions().map(|(_, entry)| entry).filter(meant).collect();
    let mut text = String::new();
    let mut before: Option<Vec<String>> = None;
    for entry in &entries {
        // Most actions read the same participant and context: said once, and then only where they differ.
        let own: Vec<String> = entry.env.roots.iter().take(2).map(|root| lines(root, entry)).collect();
        action(&mut text, entry, before.as_ref() != Some(&own));
        before = Some(own);
    }
    let actions: Vec<Value> = entries.iter().map(|entry| action_json(entry)).collect();
    if entries.is_empty() {
        text.push_str("there is no such action");
        let report = Report::new(Status::Findings, text, json!({ "actions": actions }));
        return report.next("policy schema");
    }
    let _ = write!(text, "{}", count(entries.len(), "action"));
    Report::new(Status::Good, text, json!({ "actions": actions })).next("policy check")
}

// Writing to a `String` cannot fail.
fn action(out: &mut String, entry: &ActionEntry, whole: bool) {
    let _ = match entry.places.as_slice() {
        [] => writeln!(out, "{}", entry.name),
        places => writeln!(out, "{}  ({})", entry.name, places.join(", ")),
    };
    let groups: Vec<&str> = entry.groups.iter().map(EntityUid::id).collect();
    let callers: Vec<&str> = entry.callers.iter().map(|tier| tier.as_str()).collect();
    let _ =
        writeln!(out, "  callers {}; resource {}; groups {}", callers.join(", "), entry.resource, groups.join(", "));
    if let Some(rule) = entry.permit.as_ref().and_then(|permit| permit.policy.annotation("rule")) {
        let _ = writeln!(out, "  rule {rule}");
    }
    let skip = if whole { 0 } else { 2 };
    if !whole {
        out.push_str("  participant and context as above\n");
    }
    for root in entry.env.roots.iter().skip(skip) {
        out.push_str(&lines(root, entry));
    }
    out.push('\n');
}

fn lines(root: &RootType, entry: &ActionEntry) -> String {
    let mut out = String::new();
    match &root.ty {
        None => {
            let _ = writeln!(out, "  {}  (its type has no kind: rules cannot read it)", root.name);
        }
        Some(ty) => describe(&mut out, &root.name, ty, false),
    }
    for ((of, name), kind) in &entry.env.inferred {
        if root.open && *of == root.name {
            describe(&mut out, &format!("{of}.{name}"), &Described::optional(kind.clone()), false);
        }
    }
    out
}

fn describe(out: &mut String, path: &str, ty: &Described, secret: bool) {
    if let Kind::Record(record) = &ty.kind {
        for Field { name, ty, secret: own, .. } in &record.fields {
            describe(out, &format!("{path}.{name}"), ty, secret || *own);
        }
        return;
    }
    let optional = if ty.optional { ", may be absent" } else { "" };
    let secret = if secret { ", secret" } else { "" };
    let _ = writeln!(out, "  {path:<28} {}{optional}{secret}", ty.kind);
}

fn action_json(entry: &ActionEntry) -> Value {
    let roots = entry.env.roots.iter().map(|root| {
        let mut attributes = Vec::new();
        if let Some(ty) = &root.ty {
            attributes_json(&mut attributes, &root.name, ty, false);
        }
        let inferred = entry.env.inferred.iter().filter(|((of, _), _)| root.open && *of == root.name);
        attributes
            .extend(inferred.map(|((of, name), kind)| attribute_json(&format!("{of}.{name}"), kind, true, false)));
        json!({ "name": &*root.name, "attributes": attributes })
    });
    json!({
        "action": entry.name.to_string(),
        "sources": entry.places,
        "tier": entry.tier.as_str(),
        "callers": entry.callers.iter().map(|tier| tier.as_str()).collect::<Vec<_>>(),
        "groups": entry.groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "participant": &*entry.participant,
        "resource": &*entry.resource,
        "rule": entry.permit.as_ref().and_then(|permit| permit.policy.annotation("rule")),
        "roots": roots.collect::<Vec<_>>(),
    })
}

fn attributes_json(out: &mut Vec<Value>, path: &str, ty: &Described, secret: bool) {
    let Kind::Record(record) = &ty.kind else {
        out.push(attribute_json(path, &ty.kind, ty.optional, secret));
        return;
    };
    for field in &record.fields {
        attributes_json(out, &format!("{path}.{}", field.name), &field.ty, secret || field.secret);
    }
}

fn attribute_json(path: &str, kind: &Kind, optional: bool, secret: bool) -> Value {
    json!({ "path": path, "kind": kind.to_string(), "optional": optional, "secret": secret })
}
