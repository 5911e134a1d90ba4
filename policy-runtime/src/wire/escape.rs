//! The escapes of header names and values: `\\`, `\n`, `\r`, `\c`, read in one pass.

use std::borrow::Cow;

/// Writes `text` so that it can stand in a header.
pub(super) fn escape_into(text: &str, out: &mut Vec<u8>) {
    if !text.bytes().any(|b| matches!(b, b'\\' | b'\n' | b'\r' | b':')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b':' => out.extend_from_slice(br"\c"),
            other => out.push(other),
        }
    }
}

/// Reads escapes; `None` if one is not of the four.
pub(super) fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                'c' => ':',
                _ => return None,
            },
            c => c,
        });
    }
    Some(Cow::Owned(out))
}
