//! Properties over random schedules of faults, with shrinking: the whole DVN in this process, four seats behind proxies, the
//! real contracts behind those.
//!
//! P2: with fewer liars than the threshold, whatever the others do, nothing that is absent from the honest chain is signed.
//! P4: a halt stays, whatever is seen afterwards, across restarts, and nothing is signed under it.

mod schedule;
mod stage;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use self::{
    schedule::{Schedule, schedules},
    stage::{Case, Stage},
};

/// How many schedules are tried; `DVN_PROPERTY_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("DVN_PROPERTY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

fn check(property: impl AsyncFn(&Stage, &Schedule) -> Result<(), TestCaseError>, test: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Some(stage) = runtime.block_on(Stage::set(test)) else { return };
    let config = Config { cases: cases(), failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let tried = TestRunner::new(config).run(&schedules(), |schedule| runtime.block_on(property(&stage, &schedule)));
    if let Err(error) = tried {
        panic!("{error}");
    }
}

#[test]
fn p2_nothing_that_is_absent_from_the_honest_chain_is_signed() {
    check(
        async |stage, schedule| {
            let case = Case::begin(stage).await;
            for step in &schedule.steps {
                case.play(step).await;
                prop_assert_eq!(case.forgeries_signed().await, 0);
            }
            case.end().await;
            Ok(())
        },
        "P2",
    );
}

#[test]
fn p4_a_halt_stays_and_nothing_is_signed_under_it() {
    check(
        async |stage, schedule| {
            let mut case = Case::begin(stage).await;
            let mut signed_at_halt = None;
            for step in &schedule.steps {
                case.play(step).await;
                let is_halted = case.is_halted().await;
                prop_assert!(is_halted || signed_at_halt.is_none(), "a halt was lifted by nobody");
                if is_halted && signed_at_halt.is_none() {
                    signed_at_halt = Some(case.signed_when_quiet().await);
                }
                if let Some(signed) = signed_at_halt {
                    prop_assert_eq!(case.signed(), signed, "signed under a halt");
                }
            }
            if let Some(signed) = signed_at_halt {
                case.restart_healthy().await;
                prop_assert!(case.is_halted().await, "a restart lifted the halt");
                prop_assert_eq!(case.signed(), signed, "signed under a halt after a restart");
            }
            case.end().await;
            Ok(())
        },
        "P4",
    );
}
