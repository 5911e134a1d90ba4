//! What the macros refuse, as rustc shows it.

#[test]
fn messages() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*/*.rs");
}
