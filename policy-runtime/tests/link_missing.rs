//! A package that is to be linked and has no annotation in the program: it does not start.

use policy_runtime::Policy;

policy_runtime::link!(tokio);

#[test]
fn a_program_without_the_annotations_of_a_package_does_not_start() {
    let error = Policy::for_application("shop").unwrap_err().to_string();
    assert!(error.contains("the annotations of `tokio` are not in this program"), "{error}");
    assert!(error.contains("policy-runtime/tests/link_missing.rs:5"), "the place: {error}");
    assert!(error.contains("help: "), "{error}");
}
