//! `like`: case-sensitive in both databases, whatever characters the pattern and the text have.

use sea_query::extension::sqlite::SqliteBinOper;
use sea_query::{Condition, Expr, ExprTrait, Func};

use super::scalar::{Form, Scalar};
use super::{constant, one};
use crate::kind::Kind;
use crate::syntax::ast::PatternPart;
use crate::table::Dialect;

/// Whether a text matches a pattern.
pub(super) fn like(text: &Scalar, pattern: &[PatternPart], wanted: bool) -> Condition {
    // No text in a database has U+0000; that here stands for any run.
    if pattern.contains(&PatternPart::Char('\0')) {
        return constant(!wanted);
    }
    if text.form == Form::Native(Dialect::Postgres) || text.form == Form::Jsonb {
        let (text, pattern) = (text.text(), escaped(pattern, percent));
        return one(if wanted { text.like(pattern) } else { text.not_like(pattern) });
    }
    // SQLite's LIKE folds case; GLOB does not, and has escapes of its own.
    let found = text.text().binary(SqliteBinOper::Glob, escaped(pattern, bracket));
    let out = one(if wanted { found } else { found.not() });
    if text.kind != Kind::Text {
        return out;
    }
    // GLOB sees a text only up to U+0000, which no text in a database has.
    let nothing = Func::cust("char").arg(0i64);
    out.add(Expr::from(Func::cust("instr").arg(text.raw.clone()).arg(nothing)).eq(0i64))
}

fn escaped(pattern: &[PatternPart], escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    for part in pattern {
        match part {
            PatternPart::AnyRun => escape('\0', &mut out),
            PatternPart::Char(c) => escape(*c, &mut out),
        }
    }
    out
}

/// For LIKE; U+0000 stands for any run.
fn percent(c: char, out: &mut String) {
    match c {
        '\0' => out.push('%'),
        '%' | '_' | '\\' => out.extend(['\\', c]),
        c => out.push(c),
    }
}

/// For GLOB; U+0000 stands for any run.
fn bracket(c: char, out: &mut String) {
    match c {
        '\0' => out.push('*'),
        '*' | '?' | '[' => out.extend(['[', c, ']']),
        c => out.push(c),
    }
}
