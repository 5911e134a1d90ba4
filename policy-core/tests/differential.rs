//! Our decisions against Cedar's, at length. `cargo test --release` (or the profile `differential`) runs as many cases as the
//! project promises; without optimisation Cedar is so slow that only a sample is tried.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a long test says what it did")]

use policy_core::testing::{Report, differential, language, replay};

const fn cases(promised: u64) -> u64 {
    if cfg!(debug_assertions) { promised / 100 } else { promised }
}

/// Two halves with seeds of their own, since two cores are there.
fn halves(promised: u64, run: fn(u64, u64) -> Report) {
    let half = cases(promised) / 2;
    let other = std::thread::spawn(move || run(half, 2));
    for report in [run(half, 1), other.join().expect("the other half finishes")] {
        assert!(report.disagreements.is_empty(), "{report}");
        assert_eq!(report.cases, half, "every case was decided: {report}");
        println!("{report}");
    }
}

#[test]
fn policies_are_decided_as_cedar_decides_them() {
    halves(200_000, differential);
}

#[test]
fn rules_mean_what_their_policies_mean() {
    halves(100_000, language);
}

/// `resource.tags has amount` where `tags` is not there although it is declared: an error to Cedar, and so to us.
#[test]
fn what_differed_once_differs_no_more() {
    let report = replay(&[5_694_221_423_795_747_153, 4_928_014_152_695_356_509]);
    assert!(report.disagreements.is_empty(), "{report}");
}
