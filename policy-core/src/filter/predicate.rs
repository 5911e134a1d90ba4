//! A condition on rows, as data: tests of attributes, joined by all and any. It is true or false, never unknown.
//!
//! In: what is left of policies. Out: [`Predicate`], simplified as it is built. Absent: SQL, and where attributes are stored.

use std::fmt;
use std::sync::Arc;

use crate::kind::Kind;
use crate::syntax::ast::{CompareOp, PatternPart};
use crate::table::Column;
use crate::value::{IpRange, Value};

/// A condition on one row.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl};
/// # fn photo() -> EntityDecl {
/// #     let f = |name: &str, kind: Kind| field(name, name, Described::required(kind), false);
/// #     let fields = [f("id", Kind::Text), f("size", Kind::Long)];
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
/// # }
/// # static PHOTOS: TableDecl = TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: &[
/// #     ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "size", column: "size" }] };
/// # let table = Table::new(&PHOTOS).unwrap();
/// use policy_core::filter::{Operand, Predicate, RowField, Test};
/// use policy_core::syntax::ast::CompareOp;
/// use policy_core::value::Value;
///
/// let size = RowField::of(1, &table.columns[1]);
/// let small = Test::Compare { op: CompareOp::Lt, left: size, right: Operand::Value(Value::Long(5)) };
/// let small = Predicate::all([Predicate::Const(true), small.into()]);
/// assert_eq!(small.to_string(), "entity.size < 5");
/// assert!(Predicate::any([Predicate::Const(true), small]).is_always());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every form")]
pub enum Predicate {
    /// Always, or never.
    Const(bool),
    /// Every one of them; at least two.
    All(Vec<Self>),
    /// At least one of them; at least two.
    Any(Vec<Self>),
    /// A test of attributes.
    Test(Test),
    /// Only the decision point can tell: each row that gets this far must be checked.
    Row(RowCheck),
}

/// Why a row has to be checked by the decision point.
///
/// ```
/// use policy_core::filter::Predicate;
///
/// /// The policies that a filter cannot say.
/// fn left(predicate: &Predicate) -> Vec<&str> {
///     predicate.row_checks().into_iter().map(|check| &*check.policy).collect()
/// }
/// assert!(left(&Predicate::Const(true)).is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowCheck {
    /// The policy that cannot become a condition.
    pub policy: Arc<str>,
    /// What of it cannot.
    pub why: &'static str,
}

impl RowCheck {
    pub(crate) const fn new(policy: Arc<str>, why: &'static str) -> Self {
        Self { policy, why }
    }
}

impl fmt::Display for RowCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.policy, self.why)
    }
}

/// An attribute of a row.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl};
/// # fn photo() -> EntityDecl {
/// #     let f = |name: &str, kind: Kind| field(name, name, Described::required(kind), false);
/// #     let fields = [f("id", Kind::Text), f("size", Kind::Long)];
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
/// # }
/// # static PHOTOS: TableDecl = TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: &[
/// #     ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "size", column: "size" }] };
/// # let table = Table::new(&PHOTOS).unwrap();
/// use policy_core::filter::RowField;
/// let size = RowField::of(1, &table.columns[1]);
/// assert_eq!((size.to_string(), size.nullable), ("entity.size".to_owned(), false));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowField {
    /// The place of its column in the table.
    pub column: usize,
    /// The attribute that the column holds.
    pub attribute: Arc<str>,
    /// The attributes that follow inside a nested record.
    pub inner: Vec<Arc<str>>,
    /// What it holds.
    pub kind: Kind,
    /// Whether it, or a record that it is in, may be absent.
    pub nullable: bool,
    /// Whether nobody may be shown what it is compared with.
    pub secret: bool,
}

impl RowField {
    /// The attribute that a column holds.
    pub fn of(place: usize, column: &Column) -> Self {
        Self {
            column: place,
            attribute: column.attribute.clone(),
            inner: Vec::new(),
            kind: column.ty.kind.clone(),
            nullable: column.ty.optional,
            secret: column.secret,
        }
    }
}

impl fmt::Display for RowField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entity.{}", self.attribute)?;
        self.inner.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

/// What an attribute is compared with.
///
/// ```
/// use policy_core::filter::Operand;
/// use policy_core::value::Value;
/// assert_ne!(Operand::Value(Value::Long(1)), Operand::Value(Value::text("1")));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every operand")]
pub enum Operand {
    /// Another attribute of the row.
    Field(RowField),
    /// A value, which SQL binds.
    Value(Value),
}

/// Other items, which those of a set are looked for among.
///
/// ```
/// use policy_core::filter::Items;
/// use policy_core::value::Value;
/// assert_ne!(Items::Values(vec![Value::Long(1)]), Items::Values(Vec::new()));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about both")]
pub enum Items {
    /// Those of another set of the row.
    Field(RowField),
    /// Values of the set's kind, at least one.
    Values(Vec<Value>),
}

/// One test. All but [`Test::Present`] and [`Test::Usable`] are false where an attribute that they read is absent; whoever
/// makes one for an attribute that may be absent puts [`Test::Present`] beside it.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl};
/// # fn photo() -> EntityDecl {
/// #     let f = |name: &str, kind: Kind| field(name, name, Described::required(kind), false);
/// #     let fields = [f("id", Kind::Text), f("size", Kind::Long)];
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
/// # }
/// # static PHOTOS: TableDecl = TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: &[
/// #     ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "size", column: "size" }] };
/// # let table = Table::new(&PHOTOS).unwrap();
/// use policy_core::filter::{RowField, Test};
/// let given = Test::Present { field: RowField::of(1, &table.columns[1]), wanted: false };
/// assert_eq!(given.to_string(), "not entity.size exists");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every test")]
pub enum Test {
    /// Whether it is there.
    Present {
        /// The attribute.
        field: RowField,
        /// Whether it must be, or must not.
        wanted: bool,
    },
    /// What is there can be held by its kind; and something is there, unless it may be absent.
    Usable {
        /// The attribute.
        field: RowField,
    },
    /// A Bool.
    Truth {
        /// The attribute.
        field: RowField,
        /// What it must be.
        wanted: bool,
    },
    /// A comparison of scalars of one kind (texts, enums and UUIDs are one); an order only of Long, Decimal and Datetime.
    Compare {
        /// How.
        op: CompareOp,
        /// The attribute.
        left: RowField,
        /// With what.
        right: Operand,
    },
    /// The scalar is one of a list.
    OneOf {
        /// The attribute.
        field: RowField,
        /// Of its kind.
        values: Vec<Value>,
        /// Whether it must be, or must not.
        wanted: bool,
    },
    /// The set has an item.
    Contains {
        /// The attribute, a set of scalars.
        set: RowField,
        /// A scalar of that kind.
        item: Operand,
        /// Whether it must, or must not.
        wanted: bool,
    },
    /// Items of a set are found among others.
    Among {
        /// The attribute, a set of scalars.
        set: RowField,
        /// The others; scalars of that kind, or both are texts of some kind.
        others: Items,
        /// Whether every item must be there, or one is enough.
        every: bool,
        /// Whether it must be so, or must not.
        wanted: bool,
    },
    /// The set has no item.
    Empty {
        /// The attribute, a set.
        set: RowField,
        /// Whether it must be empty, or must not.
        wanted: bool,
    },
    /// The address lies in a range.
    InRange {
        /// The attribute, an address.
        field: RowField,
        /// The range.
        range: IpRange,
        /// Whether it must, or must not.
        wanted: bool,
    },
    /// The text matches a pattern.
    Like {
        /// The attribute.
        field: RowField,
        /// The pattern.
        pattern: Vec<PatternPart>,
        /// Whether it must, or must not.
        wanted: bool,
    },
}

impl Predicate {
    /// Whether every row passes.
    pub const fn is_always(&self) -> bool {
        matches!(self, Self::Const(true))
    }

    /// Whether no row passes.
    pub const fn is_never(&self) -> bool {
        matches!(self, Self::Const(false))
    }

    /// All of them.
    #[must_use]
    pub fn all(items: impl IntoIterator<Item = Self>) -> Self {
        Self::join(items, true)
    }

    /// Any of them.
    #[must_use]
    pub fn any(items: impl IntoIterator<Item = Self>) -> Self {
        Self::join(items, false)
    }

    fn join(items: impl IntoIterator<Item = Self>, all: bool) -> Self {
        let mut out: Vec<Self> = Vec::new();
        let push = |item: Self, out: &mut Vec<Self>| {
            // A long list is of different items; looking for the same one each time would cost more than it saves.
            if out.len() > 32 || !out.contains(&item) {
                out.push(item);
            }
        };
        for item in items {
            match item {
                Self::Const(b) if b == all => {}
                Self::Const(b) => return Self::Const(b),
                Self::All(inner) if all => inner.into_iter().for_each(|i| push(i, &mut out)),
                Self::Any(inner) if !all => inner.into_iter().for_each(|i| push(i, &mut out)),
                item @ (Self::All(_) | Self::Any(_) | Self::Test(_) | Self::Row(_)) => push(item, &mut out),
            }
        }
        match (out.pop(), out.is_empty()) {
            (None, _) => Self::Const(all),
            (Some(only), true) => only,
            (Some(last), false) => {
                out.push(last);
                if all { Self::All(out) } else { Self::Any(out) }
            }
        }
    }

    /// The opposite, for rows that have every attribute that is read. A row that has to be checked stays one.
    #[must_use]
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Const(b) => Self::Const(!b),
            Self::All(items) => Self::any(items.into_iter().map(Self::opposite)),
            Self::Any(items) => Self::all(items.into_iter().map(Self::opposite)),
            Self::Test(test) => Self::Test(test.opposite()),
            Self::Row(check) => Self::Row(check),
        }
    }

    /// What has to be checked row by row; empty when the predicate says all.
    pub fn row_checks(&self) -> Vec<&RowCheck> {
        let mut out = Vec::new();
        self.each_row_check(&mut |check| {
            if !out.contains(&check) {
                out.push(check);
            }
        });
        out
    }

    fn each_row_check<'a>(&'a self, visit: &mut impl FnMut(&'a RowCheck)) {
        match self {
            Self::Row(check) => visit(check),
            Self::All(items) | Self::Any(items) => items.iter().for_each(|i| i.each_row_check(visit)),
            Self::Const(_) | Self::Test(_) => {}
        }
    }
}

impl Test {
    fn opposite(self) -> Self {
        match self {
            Self::Present { field, wanted } => Self::Present { field, wanted: !wanted },
            // Nothing that is asked twice depends on it: it stands beside the policies.
            Self::Usable { field } => Self::Usable { field },
            Self::Truth { field, wanted } => Self::Truth { field, wanted: !wanted },
            Self::Compare { op, left, right } => Self::Compare { op: op.opposite(), left, right },
            Self::OneOf { field, values, wanted } => Self::OneOf { field, values, wanted: !wanted },
            Self::Contains { set, item, wanted } => Self::Contains { set, item, wanted: !wanted },
            Self::Among { set, others, every, wanted } => Self::Among { set, others, every, wanted: !wanted },
            Self::Empty { set, wanted } => Self::Empty { set, wanted: !wanted },
            Self::InRange { field, range, wanted } => Self::InRange { field, range, wanted: !wanted },
            Self::Like { field, pattern, wanted } => Self::Like { field, pattern, wanted: !wanted },
        }
    }
}

/// As a rule of the language would say it; what an attribute that is secret is compared with is not shown.
impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, items: &[Self], word: &str| {
            for (n, item) in items.iter().enumerate() {
                let before = if n == 0 { "" } else { word };
                match item {
                    Self::All(_) | Self::Any(_) => write!(f, "{before}({item})")?,
                    Self::Const(_) | Self::Test(_) | Self::Row(_) => write!(f, "{before}{item}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Const(true) => f.write_str("always"),
            Self::Const(false) => f.write_str("never"),
            Self::All(items) => joined(f, items, " and "),
            Self::Any(items) => joined(f, items, " or "),
            Self::Test(test) => test.fmt(f),
            Self::Row(check) => write!(f, "check each row ({check})"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |wanted: bool| if wanted { "" } else { "not " };
        let shown = |field: &RowField, value: &Value| {
            if field.secret { "(secret)".to_owned() } else { value.as_ref().to_string() }
        };
        let list = |field: &RowField, values: &[Value]| {
            let values: Vec<String> = values.iter().map(|value| shown(field, value)).collect();
            format!("[{}]", values.join(", "))
        };
        let operand = |field: &RowField, operand: &Operand| match operand {
            Operand::Field(other) => other.to_string(),
            Operand::Value(value) => shown(field, value),
        };
        match self {
            Self::Present { field, wanted } => write!(f, "{}{field} exists", not(*wanted)),
            Self::Usable { field } => write!(f, "{field} usable"),
            Self::Truth { field, wanted } => write!(f, "{}{field}", not(*wanted)),
            Self::Compare { op, left, right } => write!(f, "{left} {} {}", op.as_str(), operand(left, right)),
            Self::OneOf { field, values, wanted } => {
                write!(f, "{}{field} in {}", not(*wanted), list(field, values))
            }
            Self::Contains { set, item, wanted } => {
                write!(f, "{}{set} contains {}", not(*wanted), operand(set, item))
            }
            Self::Among { set, others, every, wanted } => {
                let others = match others {
                    Items::Field(other) => other.to_string(),
                    Items::Values(values) => list(set, values),
                };
                let how = if *every { "containsAll" } else { "containsAny" };
                write!(f, "{}{others} {how} {set}", not(*wanted))
            }
            Self::Empty { set, wanted } => write!(f, "{set} is {}empty", not(*wanted)),
            Self::InRange { field, range, wanted } => {
                write!(f, "{}{field} in {}", not(*wanted), shown(field, &Value::Ip(*range)))
            }
            Self::Like { field, pattern, wanted } => {
                let pattern: String = pattern
                    .iter()
                    .map(|part| match part {
                        PatternPart::AnyRun => "*".to_owned(),
                        PatternPart::Char('*') => "\\*".to_owned(),
                        PatternPart::Char(c) => c.to_string(),
                    })
                    .collect();
                write!(f, "{}{field} like {}", not(*wanted), shown(field, &Value::text(&pattern)))
            }
        }
    }
}

impl From<Test> for Predicate {
    fn from(test: Test) -> Self {
        Self::Test(test)
    }
}
