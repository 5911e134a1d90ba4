//! Declarations of one action are joined; two functions with one action are refused.

use std::collections::BTreeMap;

use super::declared::Declared;
use super::finding::Finding;
use crate::decl::ActionDecl;
use crate::name::ActionName;

/// An action and all that was declared of it.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) name: ActionName,
    pub(super) declarations: Vec<&'static ActionDecl>,
}

pub(super) fn join(declarations: &[&'static ActionDecl], found: &mut Vec<Finding>) -> Vec<Joined> {
    let mut all: Vec<(ActionName, &'static ActionDecl)> =
        declarations.iter().map(|d| (ActionName::new(d.namespace, d.id), *d)).collect();
    // Link order is not stable; names and places are.
    all.sort_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| a.1.place.cmp(&b.1.place)).then_with(|| a.1.function.cmp(b.1.function))
    });
    let mut joined: Vec<Joined> = Vec::new();
    for (name, declaration) in all {
        match joined.last_mut() {
            Some(last) if last.name == name => {
                if let Some(first) = last.declarations.first()
                    && let Some(why) = clash(first, declaration)
                {
                    found.push(Finding::new(
                        declaration.place,
                        format!(
                            "{why} as at {}: `{name}`\nhelp: give one of them another `action = \"..\"`",
                            first.place
                        ),
                    ));
                }
                last.declarations.push(declaration);
            }
            _ => joined.push(Joined { name, declarations: vec![declaration] }),
        }
    }
    joined
}

/// `a.b` + `c.d` and `a` + `b.c.d` are two actions that a rule would name alike.
pub(super) fn one_spelling(declared: &[Declared], found: &mut Vec<Finding>) {
    let mut seen: BTreeMap<String, &Declared> = BTreeMap::new();
    for one in declared {
        let Some(other) = seen.insert(one.name.to_string(), one) else { continue };
        found.push(Finding::new(
            one.place(),
            format!(
                "`{}` is spelled like another action, at {}\nhelp: give one of them another `action = \"..\"`",
                one.name,
                other.place()
            ),
        ));
    }
}

fn clash(first: &ActionDecl, second: &ActionDecl) -> Option<String> {
    if first.function != second.function {
        return Some(format!("`{}` has the same action", second.function));
    }
    let params = |d: &ActionDecl| d.params.iter().map(|p| (p.name, (p.describe)())).collect::<Vec<_>>();
    (params(first) != params(second) || first.tier != second.tier)
        .then(|| format!("`{}` is declared otherwise", second.function))
}

/// A former id in the same namespace, or a whole dotted name with a namespace of its own.
pub(super) fn former_name(declaration: &ActionDecl, former: &str) -> ActionName {
    let namespace = declaration.namespace.replace("::", ".");
    let dots = declaration.id.matches('.').count();
    if let Some(rest) = former.strip_prefix(&format!("{namespace}.")) {
        return ActionName::new(&namespace, rest);
    }
    let parts: Vec<&str> = former.split('.').collect();
    match parts.len().checked_sub(dots + 1) {
        Some(split @ 1..) => {
            let (space, id) = parts.split_at(split);
            ActionName::new(&space.join("."), &id.join("."))
        }
        _ => ActionName::new(&namespace, former),
    }
}
