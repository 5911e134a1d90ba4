//! The same package without `link!`: the linker leaves it out, which is why `link!` is there.

use policy_runtime::Policy;

#[test]
fn without_link_the_annotations_are_not_in_the_program() {
    let policy = Policy::for_application("shop").unwrap();
    assert!(policy.engine().action("linked.ship").is_none());
}
