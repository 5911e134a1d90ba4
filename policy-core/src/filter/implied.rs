//! Whether one condition lets through no row that another one keeps back.
//!
//! In: two predicates. Out: [`Predicate::implies`]. Absent: a prover; what it does not see it denies.

use super::predicate::{Operand, Predicate, Test};
use crate::syntax::ast::CompareOp;
use crate::value::Value;

impl Predicate {
    /// Whether every row that passes it passes the other one too, as far as that shows by their form: `false` says nothing.
    ///
    /// ```
    /// use policy_core::filter::Predicate;
    /// assert!(Predicate::Const(false).implies(&Predicate::Const(true)));
    /// assert!(!Predicate::Const(true).implies(&Predicate::Const(false)));
    /// ```
    pub fn implies(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        match (self, other) {
            (Self::Const(false), _) | (_, Self::Const(true)) => true,
            (Self::Any(ours), _) => ours.iter().all(|our| our.implies(other)),
            (_, Self::All(theirs)) => theirs.iter().all(|their| self.implies(their)),
            (Self::All(ours), Self::Any(theirs)) => {
                ours.iter().any(|our| our.implies(other)) || theirs.iter().any(|their| self.implies(their))
            }
            (Self::All(ours), _) => ours.iter().any(|our| our.implies(other)),
            (_, Self::Any(theirs)) => theirs.iter().any(|their| self.implies(their)),
            (Self::Test(ours), Self::Test(theirs)) => ours.implies(theirs),
            (Self::Const(_) | Self::Test(_) | Self::Row(_), _) => false,
        }
    }
}

impl Test {
    fn implies(&self, other: &Self) -> bool {
        use CompareOp::{Eq, Ge, Gt, Le, Lt};
        match (self, other) {
            (
                Self::Compare { op, left, right: Operand::Value(ours) },
                Self::Compare { op: other, left: same, right: Operand::Value(theirs) },
            ) if left == same && is_ordered(ours, theirs) => match (op, other) {
                (Lt, Lt | Le) | (Le | Eq, Le) => ours <= theirs,
                (Gt, Gt | Ge) | (Ge | Eq, Ge) => ours >= theirs,
                (Le | Eq, Lt) => ours < theirs,
                (Ge | Eq, Gt) => ours > theirs,
                _ => false,
            },
            (
                Self::Compare { op: Eq, left, right: Operand::Value(value) },
                Self::OneOf { field, values, wanted: true },
            ) => left == field && values.contains(value),
            (Self::OneOf { field, values, wanted }, Self::OneOf { field: same, values: theirs, wanted: other })
                if field == same && wanted == other =>
            {
                let (fewer, more) = if *wanted { (values, theirs) } else { (theirs, values) };
                fewer.iter().all(|value| more.contains(value))
            }
            _ => false,
        }
    }
}

const fn is_ordered(a: &Value, b: &Value) -> bool {
    matches!(
        (a, b),
        (Value::Long(_), Value::Long(_))
            | (Value::Decimal(_), Value::Decimal(_))
            | (Value::Datetime(_), Value::Datetime(_))
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::{field, record};
    use crate::filter::{RowCheck, RowField};
    use crate::kind::{Described, Kind};
    use crate::table::Table;

    fn field_of_size() -> RowField {
        let photo = record("Photo", [field("size", "size", Described::required(Kind::Long), false)]);
        let table = Table::of_kind("Photo", &photo.kind).unwrap();
        RowField::of(0, &table.columns[0])
    }

    fn size(op: CompareOp, n: i64) -> Predicate {
        Test::Compare { op, left: field_of_size(), right: Operand::Value(Value::Long(n)) }.into()
    }

    fn one_of(values: &[i64], wanted: bool) -> Predicate {
        Test::OneOf { field: field_of_size(), values: values.iter().copied().map(Value::Long).collect(), wanted }.into()
    }

    /// Whether a row passes, of which only the size is known, and whether a row check holds.
    fn passes(predicate: &Predicate, n: i64, checked: bool) -> bool {
        match predicate {
            Predicate::Const(b) => *b,
            Predicate::All(all) => all.iter().all(|one| passes(one, n, checked)),
            Predicate::Any(any) => any.iter().any(|one| passes(one, n, checked)),
            Predicate::Row(_) => checked,
            Predicate::Test(Test::OneOf { values, wanted, .. }) => values.contains(&Value::Long(n)) == *wanted,
            Predicate::Test(Test::Compare { op, right: Operand::Value(Value::Long(with)), .. }) => match op {
                CompareOp::Eq => n == *with,
                CompareOp::Ne => n != *with,
                CompareOp::Lt => n < *with,
                CompareOp::Le => n <= *with,
                CompareOp::Gt => n > *with,
                CompareOp::Ge => n >= *with,
            },
            Predicate::Test(_) => panic!("no other test is made here"),
        }
    }

    #[test]
    fn what_it_says_holds_for_every_row() {
        use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
        let row = Predicate::Row(RowCheck::new(Arc::from("f"), "arithmetic"));
        let mut simple = vec![Predicate::Const(true), Predicate::Const(false), row];
        for op in [Eq, Ne, Lt, Le, Gt, Ge] {
            simple.extend([1, 2, 3].map(|n| size(op, n)));
        }
        for wanted in [true, false] {
            simple.extend([&[1, 2][..], &[1, 2, 3], &[4]].map(|values| one_of(values, wanted)));
        }
        let mut all = simple.clone();
        for (a, b) in simple.iter().flat_map(|a| simple.iter().map(move |b| (a.clone(), b.clone()))) {
            all.extend([Predicate::all([a.clone(), b.clone()]), Predicate::any([a, b])]);
        }
        let mut seen = 0;
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            if a.implies(b) {
                seen += 1;
                for (n, checked) in (0..6).flat_map(|n| [(n, true), (n, false)]) {
                    assert!(!passes(a, n, checked) || passes(b, n, checked), "{a} is said to imply {b}: {n}");
                }
            }
        }
        assert!(seen > all.len(), "it sees more than what is equal");
    }

    #[test]
    fn it_sees_clauses_that_came_or_went_and_bounds_that_moved() {
        let (wide, narrow) = (size(CompareOp::Le, 100), size(CompareOp::Lt, 50));
        assert!(narrow.implies(&wide) && !wide.implies(&narrow));
        let more = Predicate::all([wide.clone(), size(CompareOp::Ne, 7)]);
        assert!(more.implies(&wide) && !wide.implies(&more));
        let either = Predicate::any([narrow.clone(), size(CompareOp::Eq, 70)]);
        assert!(narrow.implies(&either) && either.implies(&wide) && !either.implies(&narrow));
    }
}
