//! The snapshot that decides now. Reading it writes to no memory that threads share, so that deciding threads do not wait for
//! each other's caches.
//!
//! In: snapshots, each taking the place of the one before. Out: the current one, borrowed. Absent: what is in it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use super::stack::Snapshot;

thread_local! {
    /// The snapshot that this thread decided by last, of whatever engine. It lives on until the thread decides again or ends.
    static LAST: Cell<Option<Arc<Numbered>>> = const { Cell::new(None) };
}

/// A snapshot with a number that no other one of this process has.
#[derive(Debug)]
pub(super) struct Numbered {
    number: u64,
    snapshot: Snapshot,
}

impl std::ops::Deref for Numbered {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Numbered {
    fn new(snapshot: Snapshot) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), snapshot }
    }
}

/// The place of the current snapshot.
#[derive(Debug)]
pub(super) struct Current {
    shared: ArcSwap<Numbered>,
    /// The number of the one that is there, or of one before it for a moment while it is replaced.
    number: AtomicU64,
}

impl Current {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let first = Numbered::new(snapshot);
        Self { number: AtomicU64::new(first.number), shared: ArcSwap::from_pointee(first) }
    }

    /// The current snapshot, for what is not asked often.
    pub(super) fn load(&self) -> Guard<Arc<Numbered>> {
        self.shared.load()
    }

    /// The current snapshot, to be asked for as long as somebody likes.
    pub(super) fn keep(&self) -> Arc<Numbered> {
        self.shared.load_full()
    }

    /// Puts a snapshot in the place of the current one; whoever reads after this reads it.
    pub(super) fn replace(&self, next: Snapshot) {
        let next = Numbered::new(next);
        let number = next.number;
        self.shared.store(Arc::new(next));
        self.number.store(number, Ordering::Release);
    }

    /// Does something with the current snapshot.
    #[inline]
    pub(super) fn read<R>(&self, work: impl FnOnce(&Snapshot) -> R) -> R {
        // Who is asked while he is asked finds nothing kept, and neither does who is asked while his thread ends.
        let kept = LAST.try_with(Cell::take).ok().flatten();
        let number = self.number.load(Ordering::Acquire);
        let last = kept.filter(|kept| kept.number == number).unwrap_or_else(|| self.shared.load_full());
        let done = work(&last.snapshot);
        let _ = LAST.try_with(|place| place.set(Some(last)));
        done
    }
}

#[cfg(test)]
mod tests {
    use crate::pdp::Engine;
    use crate::testdata::*;
    use crate::value::{Record, Slot, ValueRef};

    fn below(limit: &'static str) -> Engine {
        engine(vec![place_order(&[limit])])
    }

    #[test]
    fn what_a_thread_keeps_is_never_decided_by_when_it_is_replaced() {
        let (low, high) = (below("order.amount < 10"), below("order.amount < 100"));
        let alice = alice().build();
        let allowed = |engine: &Engine| ask(engine, &alice, &an_order(50)).is_allowed();
        for _ in 0..3 {
            assert!(!allowed(&low) && allowed(&high), "each engine has its own");
        }
        let closed = rules(&[("no", "forbid com.example.OrderService.placeOrder")]);
        std::thread::scope(|scope| scope.spawn(|| high.replace(&acme(), &closed).unwrap()).join().unwrap());
        assert!(!allowed(&high), "also where another thread replaced it");
        drop(low);
        high.replace(&acme(), &rules(&[])).unwrap();
        assert!(allowed(&high));
    }

    #[test]
    fn who_is_asked_while_he_is_asked_answers() {
        /// Reads its amount by a decision.
        struct Asking(Engine, Fields);

        impl Record for Asking {
            fn field(&self, slot: &Slot) -> ValueRef<'_> {
                if &*slot.name != "amount" {
                    return self.1.field(slot);
                }
                let allowed = ask(&self.0, &alice().build(), &an_order(5)).is_allowed();
                ValueRef::Long(if allowed { 5 } else { 500 })
            }

            fn each_field(&self, _: &mut dyn FnMut(&str, ValueRef<'_>)) {}
        }
        let outer = below("order.amount < 100");
        let asking = |limit| Asking(below(limit), an_order(0));
        assert!(ask(&outer, &alice().build(), &asking("order.amount < 10")).is_allowed());
        assert!(!ask(&outer, &alice().build(), &asking("order.amount < 5")).is_allowed());
        assert!(ask(&outer, &alice().build(), &an_order(50)).is_allowed());
    }
}
