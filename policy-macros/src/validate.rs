//! Rules against what they stand on: does every root exist, and can it be read?
//!
//! In: a parsed [`Rule`] and its [`Roots`]. Out: errors at the word. Absent: attributes and kinds, which rustc checks.

use policy_core::Diagnostic;
use policy_core::name::nearest;
use policy_core::syntax::ast::{Expr, ExprKind, Operand, Path, SetOperand};

use crate::attr::listed;
use crate::inputs::float;
use crate::model::{Reads, Roots};
use crate::names::plain;
use crate::report::Sink;
use crate::tokens::Rule;

/// Checks every root of a rule.
pub(crate) fn check_roots(rule: &Rule, roots: &Roots<'_>, sink: &mut Sink) {
    let mut paths = Vec::new();
    collect(&rule.tree, &mut paths);
    for path in paths {
        if let Some(found) = check(path, roots) {
            rule.places.report(&found, sink);
        }
    }
}

fn check(path: &Path, roots: &Roots<'_>) -> Option<Diagnostic> {
    let root = path.segments.first()?;
    let at = root.span;
    match root.name.as_str() {
        "participant" | "context" => {
            return path.fields().is_empty().then(|| {
                Diagnostic::error("root-alone", at, format!("`{}` is not a value", root.name)).with_help(format!(
                    "name one of its attributes, such as `{}`",
                    if root.name == "context" { "context.time" } else { "participant.id" }
                ))
            });
        }
        "entity" if roots.entity.is_some() => {
            return path.fields().is_empty().then(|| {
                Diagnostic::error("root-alone", at, "`entity` is not a value").with_help("name one of its attributes")
            });
        }
        _ => {}
    }
    let Some(param) = roots.params.iter().find(|param| param.wire == root.name) else {
        return Some(unknown(path, roots));
    };
    let name = &root.name;
    match &param.reads {
        Reads::Not(why) => Some(Diagnostic::error("unreadable", at, format!("a rule cannot read `{name}`: {why}"))),
        Reads::Mirror(..) => None,
        Reads::Value(ty) | Reads::Slice(ty) => float(ty).filter(|_| path.fields().is_empty()).map(|float| {
            Diagnostic::error("float", at, format!("a rule cannot read `{name}`: an `{float}` is not exact"))
                .with_help("use `rust_decimal::Decimal`, or a whole number of the smallest unit")
        }),
    }
}

fn unknown(path: &Path, roots: &Roots<'_>) -> Diagnostic {
    let (root, at) = (path.root(), path.segments.first().map_or(path.span, |segment| segment.span));
    if let Some(param) = roots.params.iter().find(|param| plain(&param.rust) == root) {
        return Diagnostic::error(
            "rust-name",
            at,
            format!("policies and the wire know this parameter as `{}`", param.wire),
        )
        .with_help(format!("write `{}`", param.wire));
    }
    let entity = roots.entity.map(|_| "entity");
    let names: Vec<&str> = ["participant", "context"]
        .into_iter()
        .chain(entity)
        .chain(roots.params.iter().map(|p| p.wire.as_str()))
        .collect();
    let all = listed(names.iter().copied());
    let near = nearest(root, names).map(|near| format!("write `{near}`; ")).unwrap_or_default();
    let found = Diagnostic::error("unknown-root", at, format!("unknown root `{root}`"));
    if root == "entity" {
        return found.with_help(format!("`entity` is a root in the rules of an entity; the roots here are {all}"));
    }
    found.with_help(format!("{near}the roots here are {all}"))
}

/// Collects the paths of a condition.
pub(crate) fn collect<'e>(tree: &'e Expr, out: &mut Vec<&'e Path>) {
    let mut operand = |operand: &'e Operand| match operand {
        Operand::Path(path) => out.push(path),
        Operand::Literal(_) => {}
    };
    match &tree.kind {
        ExprKind::Or(parts) | ExprKind::And(parts) => parts.iter().for_each(|part| collect(part, out)),
        ExprKind::Not(inner) => collect(inner, out),
        ExprKind::Compare { left, right, .. } => {
            operand(left);
            operand(right);
        }
        ExprKind::Contains { set, item } => {
            operand(set);
            operand(item);
        }
        ExprKind::In { item, set } => {
            operand(item);
            match set {
                SetOperand::Operand(set) => operand(set),
                SetOperand::List(..) => {}
            }
        }
        ExprKind::Like { value, .. } => operand(value),
        ExprKind::Exists(path) | ExprKind::Truth(path) => out.push(path),
    }
}

/// Whether a rule reads a parameter.
pub(crate) fn reads_param(rules: &[Rule], wire: &str) -> bool {
    rules.iter().any(|rule| {
        let mut paths = Vec::new();
        collect(&rule.tree, &mut paths);
        paths.iter().any(|path| path.root() == wire)
    })
}
