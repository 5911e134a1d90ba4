//! A tree, written back in the one canonical text form.
//!
//! In: trees, also those that the token form gave. Out: text, with `Display` for every part, because explanations show
//! single predicates. Absent: line breaks and anything about where a thing was written.

use std::fmt;

use super::ast::{
    CompareOp, Expr, ExprKind, Literal, LiteralKind, Operand, Path, Pattern, PatternPart, Segment, SetOperand,
};
use super::token::{self, Keyword};

/// Writes a condition in its canonical text form.
///
/// Single quotes, keywords in lower case, and no parentheses that could be left out, so that `parse(format(t)) == t` for
/// every tree whose parts are as [`Expr`] says.
///
/// ```
/// use policy_core::syntax;
/// let tree = syntax::parse("( NOT entity['deleted'] )  AND(a OR b)").unwrap();
/// assert_eq!(syntax::format(&tree), "not entity.deleted and (a or b)");
/// ```
pub fn format(expr: &Expr) -> String {
    expr.to_string()
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Or(parts) => write_joined(f, parts, " or ", |part| matches!(part.kind, ExprKind::Or(_))),
            ExprKind::And(parts) => {
                write_joined(f, parts, " and ", |part| matches!(part.kind, ExprKind::Or(_) | ExprKind::And(_)))
            }
            ExprKind::Not(inner) => {
                f.write_str("not ")?;
                write_part(f, inner, matches!(inner.kind, ExprKind::Or(_) | ExprKind::And(_)))
            }
            ExprKind::Compare { op, left, right } => write!(f, "{left} {op} {right}"),
            ExprKind::Contains { set, item } => write!(f, "{set} contains {item}"),
            ExprKind::In { item, set } => write!(f, "{item} in {set}"),
            ExprKind::Like { value, pattern } => write!(f, "{value} like {pattern}"),
            ExprKind::Exists(path) => write!(f, "{path} exists"),
            ExprKind::Truth(path) => write!(f, "{path}"),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Expr], word: &str, wrapped: fn(&Expr) -> bool) -> fmt::Result {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            f.write_str(word)?;
        }
        write_part(f, part, wrapped(part))?;
    }
    Ok(())
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &Expr, wrapped: bool) -> fmt::Result {
    if wrapped { write!(f, "({part})") } else { write!(f, "{part}") }
}

impl fmt::Display for CompareOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => fmt::Display::fmt(path, f),
            Self::Literal(literal) => fmt::Display::fmt(literal, f),
        }
    }
}

impl fmt::Display for SetOperand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operand(operand) => fmt::Display::fmt(operand, f),
            Self::List(items, _) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if n > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, fields) = (self.root(), self.fields());
        // A lone `null` is what the parser explains.
        let reserved = Keyword::of(root).is_some() || fields.is_empty() && root.eq_ignore_ascii_case("null");
        write!(f, "{}{root}", if reserved { "r#" } else { "" })?;
        fields.iter().try_for_each(|field| write!(f, "{field}"))
    }
}

impl fmt::Display for Segment {
    /// Writes the name as what follows a root: `.name` or `["any name"]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if token::is_identifier(&self.name) {
            return write!(f, ".{}", self.name);
        }
        f.write_str("[\"")?;
        self.name.chars().try_for_each(|c| write_char(f, c, '"'))?;
        f.write_str("\"]")
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl fmt::Display for LiteralKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => {
                f.write_str("'")?;
                text.chars().try_for_each(|c| write_char(f, c, '\''))?;
                f.write_str("'")
            }
            Self::Integer(n) => write!(f, "{n}"),
            Self::Decimal(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for part in &self.parts {
            match part {
                PatternPart::AnyRun => f.write_str("*")?,
                PatternPart::Char('*') => f.write_str("\\*")?,
                PatternPart::Char(c) => write_char(f, *c, '\'')?,
            }
        }
        f.write_str("'")
    }
}

/// Writes a character of a string; what cannot be seen is written by its number, so that no text looks like another.
fn write_char(f: &mut fmt::Formatter<'_>, c: char, quote: char) -> fmt::Result {
    match c {
        '\n' => f.write_str("\\n"),
        '\t' => f.write_str("\\t"),
        '\\' => f.write_str("\\\\"),
        c if c == quote => write!(f, "\\{c}"),
        c if c.is_control() || is_invisible(c) => write!(f, "\\u{{{:x}}}", u32::from(c)),
        c => write!(f, "{c}"),
    }
}

/// Joiners, marks of direction, separators of lines and other characters without a shape of their own.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn check(input: &str, canonical: &str) {
        let tree = parse(input).unwrap_or_else(|errors| panic!("{input}: {errors}"));
        assert_eq!(super::format(&tree), canonical);
        assert_eq!(parse(canonical).as_ref(), Ok(&tree), "the same tree again");
    }

    #[test]
    fn spacing_case_and_quotes() {
        check("a==1", "a == 1");
        check("  A.b   CONTAINS\n'x'  ", "A.b contains 'x'");
        check("a IN[1,2 ,'c',TRUE]", "a in [1, 2, 'c', true]");
        check("a in []", "a in []");
        check("not(a Exists)", "not a exists");
        check("a == -  5 and b == -0 and c == 01.50", "a == -5 and b == 0 and c == 1.5");
    }

    #[test]
    fn parentheses_only_where_they_matter() {
        check("((a))", "a");
        check("(a and b) and (c and d)", "a and b and c and d");
        check("a or (b or (c or d))", "a or b or c or d");
        check("(a and b) or c", "a and b or c");
        check("a and (b or c)", "a and (b or c)");
        check("not (a or b)", "not (a or b)");
        check("(not a) and b", "not a and b");
        check("not (a and b)", "not (a and b)");
        check("not (not (a == 1))", "not not a == 1");
    }

    #[test]
    fn names() {
        check("a['b'].c[\"d e\"][\"\"]", "a.b.c[\"d e\"][\"\"]");
        check("a['in'].exists exists", "a.in.exists exists");
        check(r#"a['"\'\\']"#, r#"a["\"'\\"]"#);
        check("r#in and r#null and r#order.x", "r#in and r#null and order.x");
    }

    #[test]
    fn strings() {
        check(r#"a == 'it\'s \"x\" \\ \n\t\u{41}'"#, r#"a == 'it\'s "x" \\ \n\tA'"#);
        check("a == '\u{202e}\u{200b}\u{1}ü\n'", r"a == '\u{202e}\u{200b}\u{1}ü\n'");
        check(r"a like '*\*\\*\''", r"a like '*\*\\*\''");
    }
}
