//! The tree of a rule, as written: nothing about types is known yet.
//!
//! Equality of nodes ignores where they were written, so that `parse(format(t)) == t` can be said.

use crate::source::Span;
use crate::value::Decimal;

/// A condition.
///
/// What the parser gives is flat: no part of an `And` is an `And`, and no part of an `Or` an `Or`. [`Expr::and`] and
/// [`Expr::or`] keep it so.
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
}

/// A side of a predicate.
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the language has these two")]
pub enum PatternPart {
    /// Exactly this character.
    Char(char),
    /// `*`: any run of characters, also none.
    AnyRun,
}
