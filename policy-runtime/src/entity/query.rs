//! Which rows a caller asks for: conditions on fields, by a builder or as text.
//!
//! In: field names and values, or the query string of Kinotic's clients. Out: [`Query`], and a predicate on rows once the
//! entity's kinds and what the caller may read of it are known. Absent: what the caller may see; that is added to it.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is said of a row is one of a few")]

use policy_core::check::{self, Leaf, RootType, RuleEnv, Term, Test as Checked, Typed, TypedPath};
use policy_core::contract::Stored;
use policy_core::filter::{Operand as Side, Predicate, RowField, Test};
use policy_core::ir::Root;
use policy_core::kind::{Described, Kind, RecordType};
use policy_core::source::Span;
use policy_core::syntax::ast::{
    CompareOp, Expr, ExprKind, Literal, LiteralKind, Operand, Path, Pattern, PatternPart, Segment, SetOperand,
};
use policy_core::table::Table;
use policy_core::value::Decimal;

use super::error::EntityError;
use super::words::{self, Words};

/// The most conditions of one query.
const CONDITIONS: usize = 200;
/// The deepest query.
const DEPTH: usize = 32;

/// Which rows are asked for. Every value in it is bound when it becomes SQL.
///
/// ```
/// use policy_runtime::entity::Query;
///
/// let open = Query::eq("status", "open").and(Query::ge("amount", 100));
/// let same = Query::parse("status:open AND amount:>=100")?;
/// let gone = Query::rule("entity.status in ['sent', 'paid'] or not entity.note exists")?;
/// let most = Query::one_of("status", ["sent", "paid"]).or(Query::ne("note", "").not());
/// let range = Query::gt("amount", 5).and(Query::lt("amount", 9)).or(Query::le("amount", 1));
/// let texts = Query::contains("tags", "red").and(Query::like("title", "sea*")).and(Query::exists("note"));
/// # let _ = (open, same, gone, Query::all(), most, range, texts);
/// # Ok::<(), policy_runtime::entity::EntityError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Query(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    All,
    /// A condition in the language of policies, whose root is `entity`.
    Rule(Expr),
    /// The query string of Kinotic's clients; what a word means depends on the field's kind.
    Words(Words),
    And(Vec<Query>),
    Or(Vec<Query>),
    Not(Box<Query>),
}

/// A value that a field is compared with.
///
/// ```
/// use policy_runtime::entity::{Query, QueryValue};
/// let limit: QueryValue = 100.into();
/// let large = Query::ge("amount", limit);
/// # let _ = large;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QueryValue(LiteralKind);

macro_rules! values {
    ($($t:ty: $value:ident => $kind:expr;)*) => {$(
        impl From<$t> for QueryValue {
            fn from($value: $t) -> Self {
                Self($kind)
            }
        }
    )*};
}
values! {
    &str: value => LiteralKind::Text(value.to_owned());
    String: value => LiteralKind::Text(value);
    &String: value => LiteralKind::Text(value.clone());
    bool: value => LiteralKind::Bool(value);
    i64: value => LiteralKind::Integer(value);
    i32: value => LiteralKind::Integer(value.into());
    u32: value => LiteralKind::Integer(value.into());
    Decimal: value => LiteralKind::Decimal(value);
}

fn literal(value: impl Into<QueryValue>) -> Literal {
    Literal { kind: value.into().0, span: Span::default() }
}

/// The path of a field: `address.town` names a field of a nested record.
fn path(field: &str) -> Path {
    let segment = |name: &str| Segment { name: name.to_owned(), span: Span::default() };
    Path { segments: std::iter::once("entity").chain(field.split('.')).map(segment).collect(), span: Span::default() }
}

fn expr(kind: ExprKind) -> Expr {
    Expr::new(Span::default(), kind)
}

macro_rules! comparisons {
    ($($(#[doc = $doc:literal])+ $name:ident = $op:ident;)*) => {$(
        $(#[doc = $doc])+
        pub fn $name(field: &str, value: impl Into<QueryValue>) -> Self {
            let (left, right) = (Operand::Path(path(field)), Operand::Literal(literal(value)));
            Self(Form::Rule(expr(ExprKind::Compare { op: CompareOp::$op, left, right })))
        }
    )*};
}

impl Query {
    comparisons! {
        /// The field is this value.
        eq = Eq;
        /// The field is there, and not this value.
        ne = Ne;
        /// The field is less.
        lt = Lt;
        /// The field is less or the same.
        le = Le;
        /// The field is greater.
        gt = Gt;
        /// The field is greater or the same.
        ge = Ge;
    }

    /// Every row.
    pub const fn all() -> Self {
        Self(Form::All)
    }

    /// The field is one of these values.
    pub fn one_of<V: Into<QueryValue>>(field: &str, values: impl IntoIterator<Item = V>) -> Self {
        let list = SetOperand::List(values.into_iter().map(literal).collect(), Span::default());
        Self(Form::Rule(expr(ExprKind::In { item: Operand::Path(path(field)), set: list })))
    }

    /// The field is a set that has this value.
    pub fn contains(field: &str, value: impl Into<QueryValue>) -> Self {
        let (set, item) = (Operand::Path(path(field)), Operand::Literal(literal(value)));
        Self(Form::Rule(expr(ExprKind::Contains { set, item })))
    }

    /// The field is a text like this, in which `*` is any run of characters and `\*` a star.
    pub fn like(field: &str, pattern: &str) -> Self {
        let pattern = Pattern { parts: words::pattern(pattern), span: Span::default() };
        Self(Form::Rule(expr(ExprKind::Like { value: Operand::Path(path(field)), pattern })))
    }

    /// The field is there.
    pub fn exists(field: &str) -> Self {
        Self(Form::Rule(expr(ExprKind::Exists(path(field)))))
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self(Form::All), other) | (other, Self(Form::All)) => other,
            (Self(Form::And(mut all)), other) => {
                all.push(other);
                Self(Form::And(all))
            }
            (one, other) => Self(Form::And(vec![one, other])),
        }
    }

    /// Either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self(Form::Or(mut any)) => {
                any.push(other);
                Self(Form::Or(any))
            }
            one => Self(Form::Or(vec![one, other])),
        }
    }

    /// Not this; where a field is absent, neither a condition on it nor its opposite holds.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it stands in a row with `and` and `or`")]
    pub fn not(self) -> Self {
        Self(Form::Not(Box::new(self)))
    }

    /// Reads the query string of Kinotic's clients: `status:open AND (tags:red OR amount:[10 TO 20]) AND NOT note:*`.
    ///
    /// | text | means |
    /// | --- | --- |
    /// | `field:word`, `field:"two words"` | the field is this; of a set, it has this |
    /// | `field:wor*` | the text is like this; `\*` is a star |
    /// | `field:*` | the field is there |
    /// | `field:>5`, `>=`, `<`, `<=` | order, of numbers and instants |
    /// | `field:[5 TO 10]`, `field:{5 TO *}` | a range, with its ends or without |
    /// | `word` | any text field that the caller may read has this in it |
    /// | `AND`, `OR`, `NOT`, `+`, `-`, `( )` | joined; side by side means `AND` |
    /// | `*`, `*:*`, nothing | every row |
    ///
    /// # Errors
    /// [`EntityError::Query`], when it is none, is longer than 10,000 bytes or nested deeper than 32.
    pub fn parse(text: &str) -> Result<Self, EntityError> {
        Ok(match words::parse(text)? {
            Words::Everything => Self(Form::All),
            words => Self(Form::Words(words)),
        })
    }

    /// Reads a condition in the language of policies, over `entity` alone.
    ///
    /// # Errors
    /// [`EntityError::Query`], with every mistake.
    pub fn rule(text: &str) -> Result<Self, EntityError> {
        let tree = policy_core::syntax::parse(text).map_err(|found| wrong(&found))?;
        Ok(Self(Form::Rule(tree)))
    }

    /// The predicate of a query on an entity's rows, of which only some fields may be named.
    pub(super) fn predicate<T: Stored>(
        &self,
        table: &Table,
        readable: &dyn Fn(&str) -> bool,
    ) -> Result<Predicate, EntityError> {
        let described = T::describe();
        let Kind::Record(record) = &described.kind else {
            return Err(EntityError::Query("the entity has no fields".to_owned()));
        };
        // A field that may not be read is none: naming it answers as a misspelt name does.
        let fields = record.fields.iter().filter(|field| readable(&field.name)).cloned().collect();
        let record = RecordType { name: record.name.clone(), fields };
        let ty = Described::required(Kind::Record(record.clone().into()));
        let root = RootType {
            name: "entity".into(),
            rust_name: "entity".into(),
            root: Root::Resource,
            ty: Some(ty),
            open: false,
        };
        let env = RuleEnv { roots: vec![root], inferred: std::collections::BTreeMap::new() };
        let mut left = CONDITIONS;
        let typed = self.typed(&record, &env, DEPTH, &mut left)?;
        Ok(typed.map_or(Predicate::Const(true), |typed| holds(&typed, false, table)))
    }

    /// `None` for every row.
    fn typed(
        &self,
        record: &RecordType,
        env: &RuleEnv,
        depth: usize,
        left: &mut usize,
    ) -> Result<Option<Typed>, EntityError> {
        let (Some(depth), Some(rest)) = (depth.checked_sub(1), left.checked_sub(1)) else {
            return Err(too_large());
        };
        *left = rest;
        let mut checked = |expr: &Expr| {
            let rest = left.checked_sub(conditions(expr)).ok_or_else(too_large)?;
            *left = rest;
            check::check(expr, env).map_err(|found| wrong(&found)).map(Some)
        };
        match &self.0 {
            Form::All => Ok(None),
            Form::Rule(expr) => checked(expr),
            Form::Words(words) => words.expr(record)?.map_or(Ok(None), |expr| checked(&expr)),
            Form::And(all) => {
                let all: Vec<Option<Typed>> =
                    all.iter().map(|one| one.typed(record, env, depth, left)).collect::<Result<_, _>>()?;
                let all: Vec<Typed> = all.into_iter().flatten().collect();
                Ok((!all.is_empty()).then_some(Typed::And(all)))
            }
            Form::Or(any) => {
                let any: Vec<Option<Typed>> =
                    any.iter().map(|one| one.typed(record, env, depth, left)).collect::<Result<_, _>>()?;
                // One that is of every row makes all of them so.
                Ok(any.into_iter().collect::<Option<Vec<Typed>>>().map(Typed::Or))
            }
            Form::Not(inner) => {
                let inner = inner.typed(record, env, depth, left)?;
                // The opposite of every row is an alternative of none.
                Ok(Some(inner.map_or(Typed::Or(Vec::new()), |inner| Typed::Not(Box::new(inner)))))
            }
        }
    }
}

impl std::str::FromStr for Query {
    type Err = EntityError;

    fn from_str(text: &str) -> Result<Self, EntityError> {
        Self::parse(text)
    }
}

fn too_large() -> EntityError {
    EntityError::Query(format!("a query has at most {CONDITIONS} conditions, nested at most {DEPTH} deep"))
}

/// How many conditions stand in an expression beside its first.
fn conditions(expr: &Expr) -> usize {
    match &expr.kind {
        ExprKind::And(items) | ExprKind::Or(items) => {
            items.iter().map(conditions).sum::<usize>() + items.len().saturating_sub(1)
        }
        ExprKind::Not(inner) => conditions(inner),
        _ => 0,
    }
}

fn wrong(found: &policy_core::Diagnostics) -> EntityError {
    let one = |d: &policy_core::Diagnostic| match &d.help {
        Some(help) => format!("{} ({help})", d.message),
        None => d.message.clone(),
    };
    EntityError::Query(found.0.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// Where a condition is true, or where it is false: an absent attribute makes it neither.
fn holds(typed: &Typed, negated: bool, table: &Table) -> Predicate {
    let each = |items: &[Typed]| items.iter().map(|item| holds(item, negated, table)).collect::<Vec<_>>();
    match (typed, negated) {
        (Typed::And(items), false) | (Typed::Or(items), true) => Predicate::all(each(items)),
        (Typed::Or(items), false) | (Typed::And(items), true) => Predicate::any(each(items)),
        (Typed::Not(inner), _) => holds(inner, !negated, table),
        (Typed::Leaf(leaf), _) => of_leaf(leaf, negated, table),
    }
}

fn of_leaf(Leaf { test, .. }: &Leaf, negated: bool, table: &Table) -> Predicate {
    let wanted = !negated;
    let field = |path: &TypedPath| row_field(path, table);
    let mut read: Vec<RowField> = Vec::new();
    let mut told = |path: &TypedPath| {
        let found = field(path)?;
        read.push(found.clone());
        Some(found)
    };
    let test = match test {
        Checked::Exists(path) => match field(path) {
            Some(field) => return Test::Present { field, wanted }.into(),
            None => None,
        },
        Checked::Truth(path) => told(path).map(|field| Test::Truth { field, wanted }.into()),
        Checked::Like(path, parts) => {
            told(path).map(|field| Test::Like { field, pattern: parts.clone(), wanted }.into())
        }
        Checked::InRange(path, range) => told(path).map(|field| Test::InRange { field, range: *range, wanted }.into()),
        Checked::OneOf(path, values) => {
            told(path).map(|field| Test::OneOf { field, values: values.clone(), wanted }.into())
        }
        Checked::Contains(path, term) => match (told(path), term) {
            (Some(set), Term::Value(value)) => {
                Some(Test::Contains { set, item: Side::Value(value.clone()), wanted }.into())
            }
            (Some(set), Term::Path(item)) => {
                told(item).map(|item| Test::Contains { set, item: Side::Field(item), wanted }.into())
            }
            (None, _) => None,
        },
        Checked::Compare(op, left, right) => {
            let op = if negated { op.opposite() } else { *op };
            match (left, right) {
                (Term::Path(left), Term::Value(value)) => {
                    told(left).map(|left| Test::Compare { op, left, right: Side::Value(value.clone()) }.into())
                }
                (Term::Value(value), Term::Path(right)) => told(right)
                    .map(|left| Test::Compare { op: op.mirrored(), left, right: Side::Value(value.clone()) }.into()),
                (Term::Path(left), Term::Path(right)) => match (told(left), told(right)) {
                    (Some(left), Some(right)) => Some(Test::Compare { op, left, right: Side::Field(right) }.into()),
                    _ => None,
                },
                (Term::Value(_), Term::Value(_)) => None,
            }
        }
    };
    let there = read.into_iter().filter(|field| field.nullable);
    let there = there.map(|field| Predicate::from(Test::Present { field, wanted: true }));
    // What names no column holds nowhere.
    test.map_or(Predicate::Const(false), |test: Predicate| Predicate::all(there.chain([test])))
}

fn row_field(path: &TypedPath, table: &Table) -> Option<RowField> {
    let (first, rest) = path.path.slots.split_first()?;
    let at = table.columns.iter().position(|column| *column.attribute == *first.name)?;
    let mut field = RowField::of(at, table.columns.get(at)?);
    field.inner = rest.iter().map(|slot| slot.name.clone()).collect();
    field.kind = path.kind.clone();
    field.nullable = path.optional;
    field.secret = path.secret;
    Some(field)
}

/// A pattern that matches any text with this in it.
pub(super) fn within(text: &str) -> Vec<PatternPart> {
    let run = std::iter::once(PatternPart::AnyRun);
    run.clone().chain(text.chars().map(PatternPart::Char)).chain(run).collect()
}
