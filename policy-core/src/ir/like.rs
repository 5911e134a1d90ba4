//! Patterns with `*`, as Cedar's `like` reads them.
//!
//! In: a pattern and a text. Out: whether all of the text matches. Absent: any allocation.

use crate::syntax::ast::PatternPart;

/// Whether the pattern matches the whole text.
pub(crate) fn like(pattern: &[PatternPart], text: &str) -> bool {
    let (mut left, mut rest) = (pattern, text.chars());
    // The pattern after the last `*`, and the text from which it was last tried.
    let mut retry = None;
    loop {
        match left.split_first() {
            Some((PatternPart::AnyRun, [])) => return true,
            Some((PatternPart::AnyRun, after)) => {
                retry = Some((after, rest.clone()));
                left = after;
                continue;
            }
            Some((PatternPart::Char(wanted), after)) => match rest.clone().next() {
                Some(found) if found == *wanted => {
                    rest.next();
                    left = after;
                    continue;
                }
                Some(_) => {}
                // A later start leaves even less text for what is left of the pattern.
                None => return false,
            },
            None if rest.as_str().is_empty() => return true,
            None => {}
        }
        let Some((after, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (left, rest) = (*after, from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pattern: &str) -> Vec<PatternPart> {
        pattern.chars().map(|c| if c == '*' { PatternPart::AnyRun } else { PatternPart::Char(c) }).collect()
    }

    #[test]
    fn stars_match_any_run() {
        for (pattern, text, expect) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*b*", "abc", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("**a**", "bab", true),
            ("é*", "éa", true),
            ("a", "A", false),
            ("a*b*c", "aXbYbZc", true),
            ("*aab", "aaab", true),
            ("abc", "ab", false),
        ] {
            assert_eq!(like(&parts(pattern), text), expect, "{text:?} like {pattern:?}");
        }
    }
}
