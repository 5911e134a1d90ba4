//! Declarations of one action are joined; two functions with one action are refused.

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

fn clash(first: &ActionDecl, second: &ActionDecl) -> Option<String> {
    if first.function != second.function {
        return Some(format!("`{}` has the same action", second.function));
    }
    let same_params = first.params.iter().map(|p| p.name).eq(second.params.iter().map(|p| p.name));
    (!same_params || first.tier != second.tier).then(|| format!("`{}` is declared otherwise", second.function))
}
