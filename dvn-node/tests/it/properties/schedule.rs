//! What each seat does at each step. At most as many seats lie as the threshold bears.

use dvn_testkit::proxy::{Fault, ForgedBranch, Hostile, Rule};
use proptest::prelude::*;
use serde_json::json;

pub(super) const SEATS: usize = 4;
/// One less than the threshold of four seats.
const LIARS: usize = 2;

/// A seat's behaviour during a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    Honest,
    /// Serves the forged branch, whose every hash fits.
    Forges,
    Silent,
    Resets,
    Busy,
    Stale,
    NullReceipts,
    DropsLogs,
    FinalityGoesBack,
    OtherChain,
    BadHeader,
    EndlessBody,
    PrunesState,
}

/// All seats at a step.
pub(super) type Step = [Conduct; SEATS];

#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) steps: Vec<Step>,
}

impl Conduct {
    /// The rule that makes a proxy behave so.
    pub(super) fn rule(self, branch: &ForgedBranch) -> Option<Rule> {
        let fault = match self {
            Self::Honest => return None,
            Self::Forges => Fault::Forge(branch.clone()),
            Self::Silent => Fault::Hang,
            Self::Resets => Fault::Reset,
            Self::Busy => Fault::Status { code: 429, retry_after: Some(1) },
            Self::Stale => Fault::StaleHead { blocks: 5 },
            Self::NullReceipts => Fault::NullReceipts,
            Self::DropsLogs => Fault::DropLogs { address: None, topic: None },
            Self::FinalityGoesBack => Fault::RegressFinality { blocks: 2 },
            Self::OtherChain => Fault::ChainId { id: 5 },
            Self::BadHeader => {
                Fault::Mutate { pointer: "/stateRoot".to_owned(), value: json!(format!("0x{}", "ab".repeat(32))) }
            }
            Self::EndlessBody => Fault::Hostile { kind: Hostile::Endless },
            Self::PrunesState => Fault::PruneState { blocks: 1 },
        };
        Some(Rule::new(fault))
    }
}

/// What any seat may do, the honest ones among them: they are knocked out, behind or broken, and do not lie.
fn mishap() -> impl Strategy<Value = Conduct> {
    prop_oneof![
        6 => Just(Conduct::Honest),
        2 => Just(Conduct::Silent),
        1 => Just(Conduct::Resets),
        1 => Just(Conduct::Busy),
        1 => Just(Conduct::Stale),
        1 => Just(Conduct::NullReceipts),
        1 => Just(Conduct::DropsLogs),
        1 => Just(Conduct::FinalityGoesBack),
        1 => Just(Conduct::OtherChain),
        1 => Just(Conduct::BadHeader),
        1 => Just(Conduct::EndlessBody),
        1 => Just(Conduct::PrunesState),
    ]
}

/// Anything at all, or a siege such as that of April 2026: chance alone would seldom bring one about.
pub(super) fn schedules() -> impl Strategy<Value = Schedule> {
    prop_oneof![2 => anything(), 1 => siege()]
}

/// The liars lie, the others are knocked out at first, and then some of them come back.
fn siege() -> impl Strategy<Value = Schedule> {
    let liars = prop::sample::subsequence((0..SEATS).collect::<Vec<_>>(), LIARS);
    let relief = prop::collection::vec([mishap(), mishap(), mishap(), mishap()], 0..=2);
    (liars, 2..=3_usize, relief).prop_map(|(liars, besieged, relief)| {
        let with_liars = |mut step: Step| {
            liars.iter().for_each(|liar| step[*liar] = Conduct::Forges);
            step
        };
        let silent = std::iter::repeat_n([Conduct::Silent; SEATS], besieged);
        Schedule { steps: silent.chain(relief).map(with_liars).collect() }
    })
}

/// Schedules of two to five steps; the liars are the same seats throughout and may also behave.
fn anything() -> impl Strategy<Value = Schedule> {
    let liars = prop::sample::subsequence((0..SEATS).collect::<Vec<_>>(), 0..=LIARS);
    liars.prop_flat_map(|liars| {
        let seat = |seat: usize| {
            if liars.contains(&seat) {
                prop_oneof![4 => Just(Conduct::Forges), 1 => mishap()].boxed()
            } else {
                mishap().boxed()
            }
        };
        let step = [seat(0), seat(1), seat(2), seat(3)];
        prop::collection::vec(step, 2..=5).prop_map(|steps| Schedule { steps })
    })
}
