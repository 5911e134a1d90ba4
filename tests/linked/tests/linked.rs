//! A package that only `link!` names: its annotations are in the program.

use policy_runtime::Policy;

policy_runtime::link!(linked);

#[test]
fn the_annotations_of_a_package_that_nothing_names_are_found() {
    let policy = Policy::for_application("shop").unwrap();
    assert!(policy.engine().action("linked.ship").is_some());
    assert!(policy.engine().registry().export_cedar().contains("principal.roles.contains(\"shipping\")"));
}
