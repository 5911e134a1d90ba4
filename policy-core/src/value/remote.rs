//! Records as values: of a type of one's own, or of a foreign type that a local mirror reads.
//!
//! In: a borrowed record. Out: [`RecordRef`]. A foreign type cannot implement [`Record`] in the crate that uses it, so its
//! fields are read by the functions of a type that can be written there.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use super::{Record, Slot, ValueRef};

/// A borrowed record.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
/// use policy_core::value::{Slot, Value, ValueRef};
///
/// let order: BTreeMap<Arc<str>, Value> = BTreeMap::from([("amount".into(), Value::Long(5))]);
/// let ValueRef::Record(record) = ValueRef::record(&order) else { panic!("a record") };
/// assert!(matches!(record.field(&Slot::named("amount")), ValueRef::Long(5)));
/// let mut names = Vec::new();
/// record.each_field(&mut |name, _| names.push(name.to_owned()));
/// assert_eq!(names, ["amount"]);
/// ```
#[derive(Clone, Copy)]
pub struct RecordRef<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Own(&'a (dyn Record + Sync)),
    Remote(&'a (dyn Any + Sync), &'static Readers),
}

/// How the fields of one foreign type are read.
struct Readers {
    field: for<'r> fn(&'r (dyn Any + Sync), &Slot) -> ValueRef<'r>,
    each_field: fn(&(dyn Any + Sync), &mut Visitor<'_>),
}

type Visitor<'v> = dyn FnMut(&str, ValueRef<'_>) + 'v;

/// A local mirror that reads the fields of a foreign type; made by `#[attributes(remote = "path")]`.
///
/// ```
/// use policy_core::value::{RecordRef, RemoteRecord, Slot, ValueRef};
///
/// /// Reads a foreign type, here a pair.
/// struct Pair;
///
/// impl RemoteRecord for Pair {
///     type Of = (i64, bool);
///
///     fn field<'r>(of: &'r (i64, bool), slot: &Slot) -> ValueRef<'r> {
///         if &*slot.name == "first" { ValueRef::Long(of.0) } else { ValueRef::Absent }
///     }
///
///     fn each_field(of: &(i64, bool), visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
///         visit("first", ValueRef::Long(of.0));
///     }
/// }
/// let record = RecordRef::remote::<Pair>(&(7, true));
/// assert!(matches!(record.field(&Slot::named("first")), ValueRef::Long(7)));
/// ```
pub trait RemoteRecord: 'static {
    /// The foreign type.
    type Of: Sync + 'static;

    /// The attribute in `slot`, as [`Record::field`].
    fn field<'r>(of: &'r Self::Of, slot: &Slot) -> ValueRef<'r>;

    /// Calls `visit` with every attribute that is there.
    fn each_field(of: &Self::Of, visit: &mut dyn FnMut(&str, ValueRef<'_>));
}

struct ReadersOf<M>(PhantomData<M>);

impl<M: RemoteRecord> ReadersOf<M> {
    const READERS: Readers = Readers { field: Self::field, each_field: Self::each_field };

    fn field<'r>(of: &'r (dyn Any + Sync), slot: &Slot) -> ValueRef<'r> {
        let of: &dyn Any = of;
        of.downcast_ref::<M::Of>().map_or(ValueRef::Absent, |of| M::field(of, slot))
    }

    fn each_field(of: &(dyn Any + Sync), visit: &mut Visitor<'_>) {
        let of: &dyn Any = of;
        if let Some(of) = of.downcast_ref::<M::Of>() {
            M::each_field(of, visit);
        }
    }
}

impl<'a> RecordRef<'a> {
    /// Borrows a record of a foreign type, as the mirror `M` reads it.
    pub fn remote<M: RemoteRecord>(of: &'a M::Of) -> Self {
        Self(Form::Remote(of, &ReadersOf::<M>::READERS))
    }

    /// The attribute in `slot`.
    #[inline]
    pub fn field(self, slot: &Slot) -> ValueRef<'a> {
        match self.0 {
            Form::Own(record) => record.field(slot),
            Form::Remote(of, readers) => (readers.field)(of, slot),
        }
    }

    /// Calls `visit` with every attribute that is there.
    pub fn each_field(self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        match self.0 {
            Form::Own(record) => record.each_field(visit),
            Form::Remote(of, readers) => (readers.each_field)(of, visit),
        }
    }
}

impl<'a> From<&'a (dyn Record + Sync)> for RecordRef<'a> {
    fn from(record: &'a (dyn Record + Sync)) -> Self {
        Self(Form::Own(record))
    }
}

impl Record for RecordRef<'_> {
    fn field(&self, slot: &Slot) -> ValueRef<'_> {
        Self::field(*self, slot)
    }

    fn each_field(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        Self::each_field(*self, visit);
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordRef").finish_non_exhaustive()
    }
}

impl<'a> ValueRef<'a> {
    /// Borrows a record.
    #[inline]
    pub fn record(record: &'a (dyn Record + Sync)) -> Self {
        Self::Record(RecordRef::from(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Foreign {
        amount: i64,
    }

    struct Mirror;

    impl RemoteRecord for Mirror {
        type Of = Foreign;

        fn field<'r>(of: &'r Foreign, slot: &Slot) -> ValueRef<'r> {
            if &*slot.name == "amount" { ValueRef::Long(of.amount) } else { ValueRef::Absent }
        }

        fn each_field(of: &Foreign, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
            visit("amount", ValueRef::Long(of.amount));
        }
    }

    #[test]
    fn a_foreign_record_reads_as_one_of_our_own() {
        let foreign = Foreign { amount: 7 };
        let record = RecordRef::remote::<Mirror>(&foreign);
        assert!(matches!(record.field(&Slot::named("amount")), ValueRef::Long(7)));
        assert!(matches!(record.field(&Slot::named("price")), ValueRef::Absent));
        assert_eq!(ValueRef::Record(record).to_string(), "{amount: 7}");
    }

    #[test]
    fn values_stay_small() {
        assert_eq!(size_of::<ValueRef<'_>>(), 32);
    }
}
