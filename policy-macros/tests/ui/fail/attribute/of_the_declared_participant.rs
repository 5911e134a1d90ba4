use policy_runtime::{Attributes, Denied, abac_policy};

#[derive(Attributes)]
struct Order {
    department: String,
}

#[derive(Attributes)]
struct Staff {
    department: String,
}

#[abac_policy(participant.department == order.department and participant.departmnt exists, participant = Staff)]
fn approve(order: &Order) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
