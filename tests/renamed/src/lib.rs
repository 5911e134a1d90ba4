//! Annotated code whose only dependency is the façade, under another name: nothing here says `policy_runtime`.

use guards::{Attributes, Denied, Entity, abac_policy, publish};

/// An order.
#[derive(Attributes, Debug)]
pub struct Order {
    /// In whole euros.
    pub amount: u32,
}

/// A photo.
#[derive(Entity, Debug)]
#[abac_policy(all_read(entity.owner == participant.id))]
pub struct Photo {
    /// Its id.
    pub id: u32,
    /// Who may read it.
    pub owner: String,
}

/// Approves an order.
///
/// # Errors
/// When a policy refuses.
#[abac_policy(order.amount < 50_000)]
pub fn approve(order: &Order) -> Result<u32, Denied> {
    Ok(order.amount)
}

/// Numbers.
#[derive(Debug)]
pub struct Numbers;

#[publish("com.example")]
impl Numbers {
    /// Doubles a number.
    ///
    /// # Errors
    /// When a policy refuses.
    #[abac_policy(number > 1)]
    pub fn double(&self, number: u32) -> Result<u32, Denied> {
        Ok(number * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guards::SecurityContext;

    #[test]
    fn guarded_under_another_name() {
        let alice = SecurityContext::test().id("alice");
        assert_eq!(alice.run(|| approve(&Order { amount: 7 })).unwrap(), 7);
        assert!(alice.run(|| approve(&Order { amount: 50_000 })).is_err());
        assert_eq!(alice.run(|| Numbers.double(2)).unwrap(), 4);
        assert!(alice.run(|| Numbers.double(1)).is_err());
    }
}
