use proptest::prelude::*;

use super::*;

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

fn any_move() -> impl Strategy<Value = Move> {
    prop::sample::select(vec![
        Move::Observe,
        Move::Wait,
        Move::Verify,
        Move::Sign,
        Move::Submit,
        Move::Attest,
        Move::Commit,
        Move::Hold(Hold::Equivocation),
        Move::Hold(Hold::NotListed),
        Move::Refuse(Refusal::NotAssigned),
        Move::Orphan,
        Move::TakeBack,
        Move::Retract,
        Move::Release,
    ])
}

#[test]
fn the_way_of_a_packet_is_legal() {
    let way = [Move::Wait, Move::Verify, Move::Sign, Move::Submit, Move::Attest, Move::Commit];
    let end = way.into_iter().try_fold(State::Observed, State::apply);
    assert_eq!(end, Ok(State::Committed));
}

#[test]
fn the_steps_back_are_legal() {
    let cases = [
        (State::Attested, Move::Sign, State::Signed),
        (State::Signed, Move::Verify, State::Verified),
        (State::Submitted, Move::Verify, State::Verified),
        (State::Waiting, Move::Orphan, State::Orphaned),
        (State::Orphaned, Move::Observe, State::Observed),
        (State::Held(Hold::NotListed), Move::Verify, State::Verified),
        (State::Attested, Move::TakeBack, State::Retracting),
        (State::Orphaned, Move::TakeBack, State::Retracting),
        (State::Retracting, Move::Retract, State::Retracted),
        (State::Retracted, Move::TakeBack, State::Retracting),
        (State::Retracting, Move::Commit, State::Committed),
        (State::Retracting, Move::Attest, State::Attested),
        (State::Retracted, Move::Release, State::Observed),
    ];
    for (from, step, to) in cases {
        assert_eq!(from.apply(step), Ok(to));
    }
}

#[test]
fn nothing_is_signed_without_being_verified() {
    for from in State::ALL {
        let legal = from.apply(Move::Sign).is_ok();
        assert_eq!(legal, matches!(from, State::Verified | State::Submitted | State::Attested), "{from:?}");
    }
}

#[test]
fn an_operators_hold_does_not_verify_by_itself() {
    for hold in [Hold::Equivocation, Hold::ForeignPayload, Hold::Nilified, Hold::Failed] {
        assert!(!hold.resumes());
        assert!(State::Held(hold).apply(Move::Verify).is_err());
    }
}

#[test]
fn names_tell_states_apart() {
    for state in State::ALL {
        assert_eq!(State::from_names(state.name(), state.reason()), Some(state));
    }
    assert_eq!(State::from_names("held", None), None);
    assert_eq!(State::from_names("signed", Some("equivocation")), None);
}

proptest! {
    #[test]
    fn terminal_states_stay(state in any_state(), step in any_move()) {
        // What was refused here may have been attested by others, and is taken back then.
        if state.is_terminal() && !matches!((state, step), (State::Refused(_), Move::TakeBack)) {
            prop_assert!(state.apply(step).is_err());
        }
    }

    #[test]
    fn a_signed_job_never_becomes_unseen(state in any_state(), step in any_move()) {
        // Once a signature may exist, a job cannot be orphaned, refused or observed afresh, but by an operator's word.
        if state.may_be_signed() && step != Move::Release && let Ok(next) = state.apply(step) {
            prop_assert!(!matches!(next, State::Observed | State::Waiting | State::Orphaned | State::Refused(_)));
        }
    }
}
