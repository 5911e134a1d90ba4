//! A linear look at Cedar text before anything recursive sees it.
//!
//! In: text from outside. Out: where each policy stands, or why the text is refused. Absent: grammar; Cedar's parser checks it,
//! and it would end the process on deep nesting.

use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::LIMITS;

/// Finds the places of the policies, each from its first word to its `;`.
pub(super) fn scan(text: &str) -> Result<Vec<Span>, Diagnostic> {
    let mut pieces = Vec::new();
    let mut start: Option<usize> = None;
    let (mut depth, mut branches) = (0usize, 0usize);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        if byte == b'/' && bytes.next_if(|(_, next)| *next == b'/').is_some() {
            while bytes.next_if(|(_, next)| *next != b'\n').is_some() {}
            continue;
        }
        let first = *start.get_or_insert(at);
        match byte {
            b'"' => {
                while let Some((_, inner)) = bytes.next() {
                    match inner {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' => {
                pieces.push(span(first, at + 1));
                (start, depth, branches) = (None, 0, 0);
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' => {
                let mut end = at;
                while let Some((next, _)) = bytes.next_if(|(_, b)| b.is_ascii_alphanumeric() || *b == b'_') {
                    end = next;
                }
                branches += usize::from(text.get(at..=end) == Some("if"));
            }
            _ => {}
        }
        let end = bytes.peek().map_or(text.len(), |(next, _)| *next);
        if end - first > LIMITS.bytes {
            let message = format!("a policy has more than {} bytes", LIMITS.bytes);
            return Err(too_large(
                span(first, end),
                message,
                "write several policies, or keep the list as an attribute",
            ));
        }
        if depth.max(branches) > LIMITS.depth {
            let message = format!("a policy nests deeper than {} levels", LIMITS.depth);
            return Err(too_large(
                span(at, end),
                message,
                "leave out brackets that change nothing, or write several policies",
            ));
        }
    }
    // What follows the last `;` is for the parser to refuse.
    pieces.extend(start.map(|first| span(first, text.len())));
    Ok(pieces)
}

pub(super) fn too_large(span: Span, message: String, help: &str) -> Diagnostic {
    Diagnostic::error("too-large", span, message).with_help(help)
}

fn span(start: usize, end: usize) -> Span {
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span::new(at(start), at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let spans = scan(text).unwrap();
        spans.iter().map(|s| text.get(s.start as usize..s.end as usize).unwrap()).collect()
    }

    #[test]
    fn policies_end_at_their_semicolons() {
        assert_eq!(
            pieces(" // ; a\n permit(a);  @id(\";\\\";\") forbid(b);\n//"),
            ["permit(a);", "@id(\";\\\";\") forbid(b);"]
        );
        assert_eq!(pieces("permit(a); forbid"), ["permit(a);", "forbid"]);
        assert_eq!(pieces("  \n // nothing"), Vec::<&str>::new());
    }

    #[test]
    fn what_would_exhaust_a_parser_is_refused_first() {
        for hostile in [
            format!("permit(principal, action, resource) when {{ {}1{} }};", "(".repeat(5_000), ")".repeat(5_000)),
            format!("permit(principal, action, resource) when {{ {} }};", "[".repeat(40)),
            format!("permit(principal, action, resource) when {{ {}true }};", "if true then true else ".repeat(40)),
            format!("permit(principal, action, resource) when {{ {}true }};", "true && ".repeat(5_000)),
            format!("permit(principal, action, resource) when {{ \"{}", "x".repeat(20_000)),
        ] {
            assert_eq!(scan(&hostile).unwrap_err().code, "too-large");
        }
    }
}
