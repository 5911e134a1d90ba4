//! The tree of a rule, as written: nothing about types is known yet.
//!
//! Equality of nodes ignores where they were written, so that `parse(format(t)) == t` can be said.

use crate::source::Span;
use crate::value::Decimal;

/// A condition.
///
/// What the parser gives is flat: no part of an `And` is an `And`, and no part of an `Or` an `Or`. [`Expr::and`] and
/// [`Expr::or`] keep it so.
///
/// ```
/// use policy_core::syntax::ast::Expr;
/// use policy_core::syntax::{format, parse};
/// let all = Expr::and(vec![parse("a and b").unwrap(), parse("c or d").unwrap()]).unwrap();
/// assert_eq!(format(&all), "a and b and (c or d)");
/// let any = Expr::or(vec![parse("a").unwrap()]).unwrap();
/// assert_eq!(any, parse("a").unwrap());
/// ```
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it says.
    pub kind: ExprKind,
    /// Where it was written, parentheses around it included.
    pub span: Span,
}

impl Expr {
    /// Makes a condition.
    pub const fn new(span: Span, kind: ExprKind) -> Self {
        Self { kind, span }
    }

    /// Joins conditions by `and`: flat, and without a join for a single one; `None` if there are none.
    pub fn and(parts: Vec<Self>) -> Option<Self> {
        let flatten = |part| if let Self { kind: ExprKind::And(inner), .. } = part { inner } else { vec![part] };
        Self::join(parts, ExprKind::And, flatten)
    }

    /// Joins conditions by `or`: flat, and without a join for a single one; `None` if there are none.
    pub fn or(parts: Vec<Self>) -> Option<Self> {
        let flatten = |part| if let Self { kind: ExprKind::Or(inner), .. } = part { inner } else { vec![part] };
        Self::join(parts, ExprKind::Or, flatten)
    }

    fn join(mut parts: Vec<Self>, kind: fn(Vec<Self>) -> ExprKind, flatten: fn(Self) -> Vec<Self>) -> Option<Self> {
        if parts.len() < 2 {
            return parts.pop();
        }
        let span = parts.first()?.span.to(parts.last()?.span);
        Some(Self::new(span, kind(parts.into_iter().flat_map(flatten).collect())))
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// The forms of a condition.
///
/// ```
/// use policy_core::syntax::ast::ExprKind;
/// use policy_core::syntax::parse;
/// assert!(matches!(parse("not a").unwrap().kind, ExprKind::Not(inner) if matches!(inner.kind, ExprKind::Truth(_))));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every reader must decide about every form")]
pub enum ExprKind {
    /// At least two alternatives.
    Or(Vec<Expr>),
    /// At least two conditions.
    And(Vec<Expr>),
    /// `not e`.
    Not(Box<Expr>),
    /// `left op right`.
    Compare {
        /// The operator.
        op: CompareOp,
        /// Left side.
        left: Operand,
        /// Right side.
        right: Operand,
    },
    /// `set contains item`.
    Contains {
        /// The set.
        set: Operand,
        /// The item.
        item: Operand,
    },
    /// `item in set`, `ip in range`.
    In {
        /// The item.
        item: Operand,
        /// Where it is looked for.
        set: SetOperand,
    },
    /// `value like 'pattern'`.
    Like {
        /// The text.
        value: Operand,
        /// The pattern.
        pattern: Pattern,
    },
    /// `path exists`.
    Exists(Path),
    /// A Bool attribute that stands for itself.
    Truth(Path),
}

/// The six comparisons.
///
/// ```
/// use policy_core::syntax::ast::CompareOp;
/// assert_eq!(CompareOp::Le.as_str(), "<=");
/// assert!(CompareOp::Le.is_ordering() && !CompareOp::Ne.is_ordering());
/// assert_eq!((CompareOp::Le.opposite(), CompareOp::Le.mirrored()), (CompareOp::Gt, CompareOp::Ge));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the language has six comparisons")]
pub enum CompareOp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl CompareOp {
    /// How it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// Whether it asks for order, not only equality.
    pub const fn is_ordering(self) -> bool {
        !matches!(self, Self::Eq | Self::Ne)
    }

    /// The comparison that holds where this one does not: `<` for `>=`.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }

    /// The comparison that says the same with its sides exchanged: `>` for `<`.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}

/// A side of a predicate.
///
/// ```
/// use policy_core::syntax::ast::{ExprKind, Operand};
/// use policy_core::syntax::parse;
/// let ExprKind::Compare { left, right, .. } = parse("order.amount < 5").unwrap().kind else { panic!("a comparison") };
/// assert!(matches!((left, right), (Operand::Path(_), Operand::Literal(_))));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every reader must decide about every form")]
pub enum Operand {
    /// An attribute.
    Path(Path),
    /// A constant.
    Literal(Literal),
}

impl Operand {
    /// Where it was written.
    pub const fn span(&self) -> Span {
        match self {
            Self::Path(path) => path.span,
            Self::Literal(literal) => literal.span,
        }
    }
}

/// The right side of `in`.
///
/// ```
/// use policy_core::syntax::ast::{ExprKind, SetOperand};
/// use policy_core::syntax::parse;
/// let ExprKind::In { set, .. } = parse("order.status in ['open', 'paid']").unwrap().kind else { panic!("an `in`") };
/// assert!(matches!(set, SetOperand::List(items, _) if items.len() == 2));
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "every reader must decide about every form")]
pub enum SetOperand {
    /// `[a, b, c]`, with its span.
    List(Vec<Literal>, Span),
    /// A set attribute, or an address range beside an Ip.
    Operand(Operand),
}

impl PartialEq for SetOperand {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a, _), Self::List(b, _)) => a == b,
            (Self::Operand(a), Self::Operand(b)) => a == b,
            (Self::List(..), Self::Operand(_)) | (Self::Operand(_), Self::List(..)) => false,
        }
    }
}

/// A root and the attributes that follow it: `order.customer.name`.
///
/// ```
/// use policy_core::syntax::ast::ExprKind;
/// use policy_core::syntax::parse;
/// let ExprKind::Exists(path) = parse("order.customer.name exists").unwrap().kind else { panic!("an `exists`") };
/// assert_eq!((path.root(), path.fields().len()), ("order", 2));
/// ```
#[derive(Debug, Clone)]
pub struct Path {
    /// At least one; the first is the root, which is an identifier.
    pub segments: Vec<Segment>,
    /// Where it was written.
    pub span: Span,
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.segments == other.segments
    }
}

impl Path {
    /// The root's name.
    pub fn root(&self) -> &str {
        self.segments.first().map_or("", |s| &s.name)
    }

    /// What follows the root.
    pub fn fields(&self) -> &[Segment] {
        self.segments.get(1..).unwrap_or_default()
    }
}

/// One name of a path: `.name` or `["any name"]`.
///
/// ```
/// use policy_core::syntax::ast::ExprKind;
/// use policy_core::syntax::parse;
/// let ExprKind::Truth(path) = parse(r"order['is urgent']").unwrap().kind else { panic!("a truth") };
/// assert_eq!(path.segments[1].name, "is urgent");
/// ```
#[derive(Debug, Clone)]
pub struct Segment {
    /// The attribute's name as policies spell it.
    pub name: String,
    /// Where it was written.
    pub span: Span,
}

impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A constant, not yet of a kind: a text beside an Ip will become a range.
///
/// ```
/// use policy_core::source::Span;
/// use policy_core::syntax::ast::{Literal, LiteralKind};
/// let (here, there) = (Span::new(0, 1), Span::new(5, 6));
/// let five = |span| Literal { kind: LiteralKind::Integer(5), span };
/// assert_eq!(five(here), five(there), "places do not count");
/// ```
#[derive(Debug, Clone)]
pub struct Literal {
    /// What it is.
    pub kind: LiteralKind,
    /// Where it was written.
    pub span: Span,
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// The forms of a constant.
///
/// ```
/// use policy_core::syntax::ast::{ExprKind, LiteralKind, Operand};
/// use policy_core::syntax::parse;
/// let ExprKind::Compare { right: Operand::Literal(literal), .. } = parse(r"a == 'it\'s'").unwrap().kind else { panic!() };
/// assert_eq!(literal.kind, LiteralKind::Text("it's".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every reader must decide about every form")]
pub enum LiteralKind {
    /// A string, unescaped.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point, at most four places.
    Decimal(Decimal),
    /// `true` or `false`.
    Bool(bool),
}

/// The pattern of a `like`.
///
/// ```
/// use policy_core::syntax::ast::{ExprKind, PatternPart};
/// use policy_core::syntax::parse;
/// let ExprKind::Like { pattern, .. } = parse("order.note like 'a*'").unwrap().kind else { panic!("a `like`") };
/// assert_eq!(pattern.parts, [PatternPart::Char('a'), PatternPart::AnyRun]);
/// ```
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Its parts in order.
    pub parts: Vec<PatternPart>,
    /// Where it was written.
    pub span: Span,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

/// A part of a pattern.
///
/// ```
/// use policy_core::syntax::ast::{ExprKind, PatternPart};
/// use policy_core::syntax::parse;
/// let ExprKind::Like { pattern, .. } = parse(r"order.note like '\*'").unwrap().kind else { panic!("a `like`") };
/// assert_eq!(pattern.parts, [PatternPart::Char('*')]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the language has these two")]
pub enum PatternPart {
    /// Exactly this character.
    Char(char),
    /// `*`: any run of characters, also none.
    AnyRun,
}
