//! Whether a slot may be signed once more, given what was signed for it before. Pure, and the same for every database.

use dvn_core::{
    error::{JournalError, JournalErrorKind},
    ports::{Intent, JournalRow, Purpose},
};

/// Judges an intent against all earlier rows of its slot.
///
/// - One payload hash per slot, for ever, whatever the row is for.
/// - What was signed elsewhere is recorded as it is.
/// - After a retraction, retractions only, until an operator releases the slot.
/// - The same confirmations as every earlier signature that has not expired; a retraction is exempt, as its aim is to
///   replace what is out. The contract refuses a call once its expiration equals the block's time.
pub(super) fn permit(earlier: &[JournalRow], intent: &Intent) -> Result<(), JournalError> {
    for row in earlier {
        one_payload(row, intent)?;
    }
    if intent.purpose != Purpose::Sign || intent.attestation.is_retraction() {
        return Ok(());
    }
    not_taken_back(earlier)?;
    for row in earlier.iter().filter(|row| !row.is_release()) {
        same_confirmations(row, intent)?;
    }
    Ok(())
}

fn one_payload(row: &JournalRow, intent: &Intent) -> Result<(), JournalError> {
    let (recorded, proposed) = (row.intent.attestation.claim.payload_hash, intent.attestation.claim.payload_hash);
    if recorded == proposed {
        return Ok(());
    }
    Err(equivocation(format!("row {} has payload {recorded}, {proposed} is refused", row.sequence)))
}

fn not_taken_back(earlier: &[JournalRow]) -> Result<(), JournalError> {
    match JournalRow::last_word(earlier) {
        Some(row) if !row.is_release() => {
            let row = row.sequence;
            Err(equivocation(format!("row {row} took the slot back, an operator has to release it")))
        }
        _ => Ok(()),
    }
}

fn same_confirmations(row: &JournalRow, intent: &Intent) -> Result<(), JournalError> {
    let (recorded, proposed) = (&row.intent.attestation, &intent.attestation);
    if recorded.confirmations == proposed.confirmations || recorded.expiration <= intent.now {
        return Ok(());
    }
    let detail = format!(
        "row {} states {} until {}, {} is refused at {}",
        row.sequence, recorded.confirmations, recorded.expiration, proposed.confirmations, intent.now
    );
    Err(JournalError::new(JournalErrorKind::Confirmations).because(detail))
}

fn equivocation(detail: String) -> JournalError {
    JournalError::new(JournalErrorKind::Equivocation).because(detail)
}
