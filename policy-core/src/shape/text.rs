//! Rules in the text form, checked while a program is compiled.
//!
//! In: the [`Form`] of what a rule reads, and the rule's text with a caret under each word. Out: nothing, or the end of the
//! build with a message that quotes the text: the compiler itself cannot point into a string. Absent: rules in the token
//! form, whose words the compiler does point at.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are one mistake")]

use super::form::{Form, same_text};
use super::message::{Message, Names};
use super::{is_ip_range, is_uuid};
use crate::value::parse_instant;

/// An attribute: how the rule writes it and what it is.
///
/// ```
/// use policy_core::shape::{Form, text};
/// const AMOUNT: text::Found = text::root("amount", &Form::Long);
/// const _: () = text::ordered(AMOUNT, text::At { word: "<", quote: "" });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Found {
    path: &'static str,
    form: &'static Form,
}

/// The word that is looked at, and the rule's text with a caret under it.
///
/// ```
/// use policy_core::shape::text::At;
/// const LESS: At = At { word: "<", quote: "\n  |\n1 | amount < 5\n  |        ^" };
/// assert!(LESS.quote.contains(LESS.word));
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct At {
    /// An operator or a literal, as messages name it.
    pub word: &'static str,
    /// The text and the caret, each line after a line break.
    pub quote: &'static str,
}

impl Found {
    #[track_caller]
    const fn refuse(self, needs: &str, at: At) -> ! {
        let message = Message::new().add(needs).add(", and ").word(self.path).add(" is ").kind(self.form).add(at.quote);
        match self.form {
            Form::Set(_) => {
                message.add("\nhelp: to ask for an item write `").add(self.path).add(" contains ...`").fail()
            }
            Form::Record(_) => message.add("\nhelp: compare its attributes").fail(),
            _ => message.fail(),
        }
    }

    #[track_caller]
    const fn beside(self, form: &Form, what: &str, at: At) -> ! {
        let of = if self.form.is_same(form) { Message::new() } else { Message::new().add("an item of ") };
        of.word(self.path).add(" is ").kind(form).add(", and ").word(at.word).add(what).add(at.quote).fail()
    }

    #[track_caller]
    const fn item(self, at: At) -> &'static Form {
        match self.form {
            Form::Set(item) if item.is_scalar() => item,
            Form::Set(_) => self.refuse("`contains` asks a set of scalars", at),
            Form::Text => Message::new()
                .add("`contains` asks a set, and ")
                .word(self.path)
                .add(" is Text")
                .add(at.quote)
                .add("\nhelp: for a part of a text write `")
                .add(self.path)
                .add(" like '*part*'`")
                .fail(),
            _ => self.refuse("`contains` asks a set", at),
        }
    }
}

/// What a rule starts from.
///
/// ```
/// use policy_core::shape::{Form, text};
/// const _: () = text::truth(text::root("urgent", &Form::Bool), text::At { word: "urgent", quote: "" });
/// ```
pub const fn root(path: &'static str, form: &'static Form) -> Found {
    Found { path, form }
}

/// An attribute of what a rule has found so far.
///
/// # Panics
/// While compiling, where there is none of this name.
///
/// ```
/// use policy_core::shape::{Form, FormField, text};
/// const ORDER: Form = Form::Record(&[FormField { name: "amount", rust_name: "amount", form: &Form::Long }]);
/// const _: text::Found = text::attribute(text::root("order", &ORDER), "order.amount", text::At { word: "amount", quote: "" });
/// ```
#[track_caller]
pub const fn attribute(of: Found, path: &'static str, at: At) -> Found {
    let Form::Record(fields) = of.form else {
        Message::new()
            .word(of.path)
            .add(" is ")
            .kind(of.form)
            .add(" and has no attribute ")
            .word(at.word)
            .add(at.quote)
            .fail()
    };
    let (mut rest, mut other) = (*fields, None);
    while let [field, tail @ ..] = rest {
        if same_text(field.name, at.word) {
            return Found { path, form: field.form };
        }
        if same_text(field.rust_name, at.word) {
            other = Some(field.name);
        }
        rest = tail;
    }
    let message = Message::new().word(of.path).add(" has no attribute ").word(at.word).add(at.quote);
    match other {
        Some(name) => message.add("\nhelp: policies spell it as serde does: ").word(name).fail(),
        None => message.offer(at.word, Names::Attributes(fields)).fail(),
    }
}

macro_rules! demands {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*; $at:ident) $body:block)*) => {$(
        $(#[$doc])*
        ///
        /// # Panics
        /// While compiling, where that cannot be.
        #[track_caller]
        pub const fn $name($($arg: $ty,)* $at: At) $body
    )*};
}

demands! {
    /// `a == b`, `a != b` between attributes.
    same_kind(a: Found, b: Found; at) {
        if !a.form.is_same(b.form) {
            Message::new().word(a.path).add(" is ").kind(a.form).add(", and ").word(b.path).add(" is ").kind(b.form).add(at.quote).fail()
        }
        scalar(a, at);
    }
    /// `a < b` between attributes.
    same_order(a: Found, b: Found; at) {
        same_kind(a, b, at);
        ordered(a, at);
    }
    /// `a < ...`
    ordered(a: Found; at) {
        if !a.form.is_ordered() {
            a.refuse("`<`, `<=`, `>` and `>=` work on Long, Decimal and Datetime", at)
        }
    }
    /// `a == ...`
    scalar(a: Found; at) {
        if !a.form.is_scalar() {
            a.refuse("`==`, `!=` and `in` compare scalars", at)
        }
    }
    /// `a like '...'`
    like(a: Found; at) {
        if !matches!(a.form, Form::Text) {
            a.refuse("`like` works on Text", at)
        }
    }
    /// `a` alone.
    truth(a: Found; at) {
        if !matches!(a.form, Form::Bool) {
            Message::new()
                .word(a.path)
                .add(" is ")
                .kind(a.form)
                .add(" and no condition by itself")
                .add(at.quote)
                .add("\nhelp: compare it, or ask `")
                .add(a.path)
                .add(" exists`")
                .fail()
        }
    }
    /// `a exists`.
    exists(_a: Found; _at) {}
    /// `a contains b` between attributes.
    contains(a: Found, b: Found; at) {
        let item = a.item(at);
        if !item.is_same(b.form) {
            Message::new().add("an item of ").word(a.path).add(" is ").kind(item).add(", and ").word(b.path).add(" is ").kind(b.form).add(at.quote).fail()
        }
    }
    /// `a contains x` where nothing is known of `x`.
    set(a: Found; at) {
        a.item(at);
    }
    /// `a in '10.0.0.0/8'`.
    in_range(a: Found, range: &str; at) {
        if !matches!(a.form, Form::Ip) {
            Message::new()
                .add("`in` beside a text asks whether an address lies in a range, and ")
                .word(a.path)
                .add(" is ")
                .kind(a.form)
                .add(at.quote)
                .add("\nhelp: for one of several values write `")
                .add(a.path)
                .add(" in ['a', 'b']`")
                .fail()
        }
        read(a, a.form, range, at);
    }
    /// A text beside an attribute.
    text_literal(a: Found, text: &str; at) {
        scalar(a, at);
        read(a, a.form, text, at);
    }
    /// A text as an item of a set.
    text_literal_item(a: Found, text: &str; at) {
        read(a, a.item(at), text, at);
    }
    /// A whole number beside an attribute.
    integer_literal(a: Found, n: i64; at) {
        scalar(a, at);
        whole(a, a.form, n, at);
    }
    /// A whole number as an item of a set.
    integer_literal_item(a: Found, n: i64; at) {
        whole(a, a.item(at), n, at);
    }
    /// A number with a point beside an attribute.
    decimal_literal(a: Found; at) {
        scalar(a, at);
        if !matches!(a.form, Form::Decimal) {
            a.beside(a.form, " is a number with a point", at)
        }
    }
    /// A number with a point as an item of a set.
    decimal_literal_item(a: Found; at) {
        let item = a.item(at);
        if !matches!(item, Form::Decimal) {
            a.beside(item, " is a number with a point", at)
        }
    }
    /// `true` or `false` beside an attribute.
    bool_literal(a: Found; at) {
        scalar(a, at);
        if !matches!(a.form, Form::Bool) {
            a.beside(a.form, " is a truth value", at)
        }
    }
    /// `true` or `false` as an item of a set.
    bool_literal_item(a: Found; at) {
        let item = a.item(at);
        if !matches!(item, Form::Bool) {
            a.beside(item, " is a truth value", at)
        }
    }
}

#[track_caller]
const fn whole(a: Found, form: &Form, n: i64, at: At) {
    match form {
        Form::Long => {}
        Form::Decimal => {
            if n.checked_mul(10_000).is_none() {
                Message::new()
                    .word(at.word)
                    .add(" is no Decimal: they lie within ±922337203685477.5807")
                    .add(at.quote)
                    .fail()
            }
        }
        _ => a.beside(form, " is a whole number", at),
    }
}

#[track_caller]
const fn read(a: Found, form: &'static Form, text: &str, at: At) {
    match form {
        Form::Text => {}
        Form::Uuid if is_uuid(text) => {}
        Form::Datetime if parse_instant(text).is_some() => {}
        Form::Ip if is_ip_range(text) => {}
        Form::Uuid => no_literal(a, "UUID", "a UUID is written `67e55044-10b1-426f-9247-bb680e5fe0c8`", at),
        Form::Datetime => no_literal(
            a,
            "instant",
            "an instant is written `2027-01-01`, `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00.000+02:00`",
            at,
        ),
        Form::Ip => {
            no_literal(a, "address", "an address is written `10.0.0.1` or `2001:db8::1`, a range `10.0.0.0/8`", at)
        }
        Form::Enum(variants) => {
            let mut rest = *variants;
            while let [variant, tail @ ..] = rest {
                if same_text(variant, text) {
                    return;
                }
                rest = tail;
            }
            let message = Message::new().word(a.path).add(" is never ").word(text).add(at.quote);
            message.offer(text, Names::Variants(variants)).fail()
        }
        Form::Bool | Form::Long | Form::Decimal | Form::Set(_) | Form::Record(_) => a.beside(form, " is a text", at),
    }
}

#[track_caller]
const fn no_literal(a: Found, what: &str, help: &str, at: At) -> ! {
    let message = Message::new().word(at.word).add(" is no ").add(what).add(", and ").word(a.path).add(" is one");
    message.add(at.quote).add("\nhelp: ").add(help).fail()
}
