//! Operators by kind (rulings of the language): what stands where, and what to say when something else does.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are one mistake")]

use super::typed::{Term, Test, TypedPath};
use super::{RuleEnv, literal, resolve};
use crate::diagnostic::Diagnostic;
use crate::kind::Kind;
use crate::syntax::ast::{CompareOp, ExprKind, Literal, Operand, Path, SetOperand};
use crate::value::Value;

type Found<T> = Result<T, Vec<Diagnostic>>;

pub(super) fn check(predicate: &ExprKind, env: &RuleEnv) -> Found<Test> {
    match predicate {
        ExprKind::Compare { op, left, right } => compare(*op, left, right, env),
        ExprKind::Contains { set, item } => contains(set, item, env),
        ExprKind::In { item, set } => within(item, set, env),
        ExprKind::Like { value, pattern } => {
            let path = path_of(value, "`like` asks an attribute", env)?;
            match path.kind {
                Kind::Text => Ok(Test::Like(path, pattern.parts.clone())),
                _ => Err(vec![kind_error(value, &path, "`like` works on Text")]),
            }
        }
        ExprKind::Exists(path) => Ok(Test::Exists(known(path, env)?)),
        ExprKind::Truth(path) => {
            let typed = known(path, env)?;
            match typed.kind {
                Kind::Bool => Ok(Test::Truth(typed)),
                _ => Err(vec![
                    Diagnostic::error(
                        "not-a-condition",
                        path.span,
                        format!("`{}` is {} and no condition by itself", typed.text, typed.kind),
                    )
                    .with_help(format!("compare it, or ask `{} exists`", typed.text)),
                ]),
            }
        }
        // The caller takes connectives apart.
        ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) => Err(Vec::new()),
    }
}

fn known(path: &Path, env: &RuleEnv) -> Found<TypedPath> {
    resolve::known(path, env).map_err(|d| vec![d])
}

fn path_of(operand: &Operand, what: &str, env: &RuleEnv) -> Found<TypedPath> {
    match operand {
        Operand::Path(path) => known(path, env),
        Operand::Literal(literal) => {
            Err(vec![Diagnostic::error("constant", literal.span, format!("{what}, and `{literal}` is a constant"))])
        }
    }
}

fn kind_error(operand: &Operand, path: &TypedPath, needs: &str) -> Diagnostic {
    let d = Diagnostic::error("wrong-kind", operand.span(), format!("{needs}, and `{}` is {}", path.text, path.kind));
    match path.kind {
        Kind::Set(_) => d.with_help(format!("to ask for an item write `{} contains ...`", path.text)),
        Kind::Record(_) => d.with_help("compare its attributes"),
        Kind::Bool
        | Kind::Long
        | Kind::Decimal
        | Kind::Text
        | Kind::Uuid
        | Kind::Enum(_)
        | Kind::Datetime
        | Kind::Ip => d,
    }
}

/// Both sides, of which at least one is an attribute.
fn compare(op: CompareOp, left: &Operand, right: &Operand, env: &RuleEnv) -> Found<Test> {
    let (a, b) = match (left, right) {
        (Operand::Literal(a), Operand::Literal(b)) => {
            return Err(vec![
                Diagnostic::error("constant", a.span.to(b.span), "both sides are constants")
                    .with_help("one side is an attribute, such as `participant.id`"),
            ]);
        }
        (Operand::Path(a), Operand::Path(b)) => {
            let (a, b) = both(known(a, env), known(b, env))?;
            if a.kind != b.kind {
                return Err(vec![Diagnostic::error(
                    "wrong-kind",
                    right.span(),
                    format!("`{}` is {}, and `{}` is {}", a.text, a.kind, b.text, b.kind),
                )]);
            }
            fits(op, left, &a)?;
            (Term::Path(a), Term::Path(b))
        }
        (Operand::Path(a), Operand::Literal(b)) => {
            let path = known(a, env)?;
            fits(op, left, &path)?;
            let value = constant(b, &path)?;
            (Term::Path(path), Term::Value(value))
        }
        (Operand::Literal(a), Operand::Path(b)) => {
            let path = known(b, env)?;
            fits(op, right, &path)?;
            let value = constant(a, &path)?;
            (Term::Value(value), Term::Path(path))
        }
    };
    Ok(Test::Compare(op, a, b))
}

fn both<A, B>(a: Found<A>, b: Found<B>) -> Found<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(mut a), Err(b)) => {
            a.extend(b);
            Err(a)
        }
        (Err(a), Ok(_)) => Err(a),
        (Ok(_), Err(b)) => Err(b),
    }
}

fn fits(op: CompareOp, operand: &Operand, path: &TypedPath) -> Found<()> {
    if op.is_ordering() && !path.kind.is_ordered() {
        let needs = format!("`{}` works on Long, Decimal and Datetime", op.as_str());
        return Err(vec![kind_error(operand, path, &needs)]);
    }
    if !path.kind.is_scalar() {
        return Err(vec![kind_error(operand, path, &format!("`{}` compares scalars", op.as_str()))]);
    }
    Ok(())
}

fn constant(literal: &Literal, path: &TypedPath) -> Found<Value> {
    let value = literal::read(literal, &path.kind, &path.text).map_err(|d| vec![d])?;
    match &value {
        Value::Ip(ip) if !ip.is_single() => Err(vec![
            Diagnostic::error("literal", literal.span, format!("`{ip}` is a range and never equals an address"))
                .with_help(format!("write `{} in '{ip}'`", path.text)),
        ]),
        _ => Ok(value),
    }
}

fn contains(set: &Operand, item: &Operand, env: &RuleEnv) -> Found<Test> {
    let path = path_of(set, "`contains` asks a set", env)?;
    let Kind::Set(of) = &path.kind else {
        let d = kind_error(set, &path, "`contains` asks a set");
        return Err(vec![match path.kind {
            Kind::Text => d.with_help(format!("for a part of a text write `{} like '*part*'`", path.text)),
            _ => d,
        }]);
    };
    if !of.is_scalar() {
        return Err(vec![kind_error(set, &path, "`contains` asks a set of scalars")]);
    }
    let of = of.clone();
    let term = match item {
        Operand::Literal(literal) => {
            let value = literal::read(literal, &of, &format!("an item of {}", path.text)).map_err(|d| vec![d])?;
            match &value {
                Value::Ip(ip) if !ip.is_single() => {
                    let message = format!("`{ip}` is a range, and the items of `{}` are addresses", path.text);
                    return Err(vec![Diagnostic::error("literal", literal.span, message)]);
                }
                _ => Term::Value(value),
            }
        }
        Operand::Path(item_path) => {
            let typed = known(item_path, env)?;
            if typed.kind != *of {
                return Err(vec![Diagnostic::error(
                    "wrong-kind",
                    item.span(),
                    format!("an item of `{}` is {of}, and `{}` is {}", path.text, typed.text, typed.kind),
                )]);
            }
            Term::Path(typed)
        }
    };
    Ok(Test::Contains(path, term))
}

fn within(item: &Operand, set: &SetOperand, env: &RuleEnv) -> Found<Test> {
    match set {
        SetOperand::List(literals, _) => {
            let path = path_of(item, "`in` looks for an attribute in a list", env)?;
            if !path.kind.is_scalar() {
                return Err(vec![kind_error(item, &path, "`in` looks for a scalar")]);
            }
            let read: Vec<_> = literals.iter().map(|l| constant(l, &path)).collect();
            let mut values = Vec::new();
            let mut found = Vec::new();
            for one in read {
                match one {
                    Ok(value) => values.push(value),
                    Err(diagnostics) => found.extend(diagnostics),
                }
            }
            if found.is_empty() { Ok(Test::OneOf(path, values)) } else { Err(found) }
        }
        SetOperand::Operand(Operand::Literal(range)) => {
            let path = path_of(item, "`in` beside a text looks for an address in a range", env)?;
            match (&path.kind, literal::read(range, &Kind::Ip, &path.text)) {
                (Kind::Ip, Ok(Value::Ip(range))) => Ok(Test::InRange(path, range)),
                (Kind::Ip, Err(d)) => Err(vec![d]),
                _ => Err(vec![
                    kind_error(item, &path, "`in` beside a text asks whether an address lies in a range")
                        .with_help(format!("for one of several values write `{} in ['a', 'b']`", path.text)),
                ]),
            }
        }
        SetOperand::Operand(set @ Operand::Path(_)) => contains(set, item, env),
    }
}
