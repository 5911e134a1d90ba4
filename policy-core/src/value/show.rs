//! Values for people: as a rule would write them, never longer than a line.

use std::fmt;

use super::{ValueRef, uuid_text};

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As a rule would write it: `'x'`, `3`, `['a', 'b']`; `absent` when there is nothing. At most 200 characters.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        render(self, &mut out, 0);
        if out.chars().count() > 200 {
            out = out.chars().take(199).collect();
            out.push('…');
        }
        f.write_str(&out)
    }
}

fn render(value: &ValueRef<'_>, out: &mut String, depth: usize) {
    use fmt::Write as _;
    if depth > 8 || out.len() > 1_000 {
        out.push('…');
        return;
    }
    // Writing to a `String` cannot fail.
    let _ = match value {
        ValueRef::Absent => write!(out, "absent"),
        ValueRef::Unusable(why) => write!(out, "unusable ({why})"),
        ValueRef::Bool(b) => write!(out, "{b}"),
        ValueRef::Long(n) => write!(out, "{n}"),
        ValueRef::Decimal(d) => write!(out, "{d}"),
        ValueRef::Text(t) => write!(out, "'{}'", t.chars().take(200).collect::<String>().escape_debug()),
        ValueRef::Char(c) => write!(out, "'{}'", c.escape_debug()),
        ValueRef::Uuid(u) => write!(out, "'{}'", uuid_text(*u)),
        ValueRef::Datetime(t) => write!(out, "'{t}'"),
        ValueRef::Ip(ip) => write!(out, "'{ip}'"),
        ValueRef::Set(set) => {
            out.push('[');
            let mut first = true;
            set.each(&mut |item| {
                if !first {
                    out.push_str(", ");
                }
                first = false;
                render(&item, out, depth + 1);
                out.len() < 1_000
            });
            write!(out, "]")
        }
        ValueRef::Record(record) => {
            out.push('{');
            let mut first = true;
            record.each_field(&mut |name, value| {
                if out.len() < 1_000 {
                    let _ = write!(out, "{}{name}: ", if first { "" } else { ", " });
                    first = false;
                    render(&value, out, depth + 1);
                }
            });
            write!(out, "}}")
        }
    };
}
