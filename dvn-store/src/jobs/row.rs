//! A job as columns.

use crate::{
    codec::{CodecError, Columns, digits, micros},
    sql::{Row, Statement},
};
use dvn_core::{
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, ChainTime, Confirmations, JobId},
    job::{Job, Location, Signed, State, Wake},
};

/// Binds the columns from `location_eid` to `observed_at`: all but who the job is and its version.
pub(super) fn bind(statement: Statement, job: &Job) -> Statement {
    let (wake_at, wake_head) = match job.wake {
        Wake::At(at) => (Some(micros(at)), None),
        Wake::AtHead(number) => (None, Some(digits(number.0))),
        Wake::Never => (None, None),
    };
    let statement = bind_location(statement, &job.location)
        .bind(job.state.name())
        .bind(job.state.reason())
        .bind(wake_at)
        .bind(wake_head)
        .bind(job.first_send_confirmations.map(|confirmations| digits(confirmations.0)));
    bind_signed(statement, job.signed.as_ref())
        .bind(job.attested_in.map(|block| digits(block.number.0)))
        .bind(job.attested_in.map(|block| block.hash.to_vec()))
        .bind(job.attempts)
        .bind(job.last_error.as_deref())
        .bind(micros(job.observed_at))
}

fn bind_location(statement: Statement, location: &Location) -> Statement {
    statement
        .bind(location.src_eid.0)
        .bind(digits(location.block.number.0))
        .bind(location.block.hash.as_slice())
        .bind(location.tx_hash.as_slice())
        .bind(digits(location.log_index))
}

fn bind_signed(statement: Statement, signed: Option<&Signed>) -> Statement {
    statement
        .bind(signed.map(|signed| digits(signed.confirmations.0)))
        .bind(signed.map(|signed| digits(signed.expiration.0)))
        .bind(signed.map(|signed| signed.target.as_slice()))
        .bind(signed.map(|signed| signed.signatures.as_ref()))
}

/// The job that a row holds. Its id is computed again: a row whose claim was changed is not that job any more.
pub(super) fn read(row: &Row) -> Result<Job, StoreError> {
    let columns = Columns(row);
    let id = JobId(columns.hash("id")?);
    let job = Job {
        id,
        claim: columns.claim()?,
        location: location(columns)?,
        state: state(columns)?,
        wake: wake(columns)?,
        first_send_confirmations: columns.optional("first_send_confirmations", Columns::number)?.map(Confirmations),
        signed: columns.optional("signatures", |columns, _| signed(columns))?,
        attested_in: columns.optional("attested_number", |columns, number| columns.block(number, "attested_hash"))?,
        attempts: columns.small("attempts")?,
        last_error: columns.any("last_error")?,
        observed_at: columns.time("observed_at")?,
        version: columns.count("version")?,
    };
    if job.claim.job_id() == id {
        return Ok(job);
    }
    Err(StoreError::new(StoreErrorKind::Corrupt).because(format!("job {id} holds another claim")))
}

pub(super) fn state(columns: Columns<'_>) -> Result<State, CodecError> {
    let reason: Option<&str> = columns.any("reason")?;
    State::from_names(columns.any("state")?, reason).ok_or(CodecError::Value("state"))
}

fn location(columns: Columns<'_>) -> Result<Location, CodecError> {
    Ok(Location {
        src_eid: columns.eid("location_eid")?,
        block: columns.block("block_number", "block_hash")?,
        tx_hash: columns.hash("tx_hash")?,
        log_index: columns.number("log_index")?,
    })
}

fn wake(columns: Columns<'_>) -> Result<Wake, CodecError> {
    if let Some(at) = columns.optional("wake_at", Columns::time)? {
        return Ok(Wake::At(at));
    }
    let head = columns.optional("wake_head", Columns::number)?;
    Ok(head.map_or(Wake::Never, |head| Wake::AtHead(BlockNumber(head))))
}

fn signed(columns: Columns<'_>) -> Result<Signed, CodecError> {
    Ok(Signed {
        confirmations: Confirmations(columns.number("signed_confirmations")?),
        expiration: ChainTime(columns.number("signed_expiration")?),
        target: columns.address("signed_target")?,
        signatures: columns.bytes("signatures")?,
    })
}
