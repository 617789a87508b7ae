//! How values of the core stand in columns, and how they are read back. What does not read back as it was written is an
//! error that names the column.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, Bytes};
use dvn_core::{
    attestation::Attestation,
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, Nonce, PayloadHash, Vid},
    packet::{Claim, Header},
};
use sqlx::{Decode, Row as _, Type};

use crate::sql::{Row, Statement};

/// A column that does not hold what was written there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("column {0} is missing or of another type")]
    Type(&'static str, #[source] sqlx::Error),
    #[error("column {0} holds an impossible value")]
    Value(&'static str),
}

impl From<CodecError> for StoreError {
    fn from(error: CodecError) -> Self {
        Self::new(StoreErrorKind::Corrupt).caused_by(error)
    }
}

/// A u64 as 20 digits, which sort as the number does.
pub(crate) fn digits(number: u64) -> String {
    format!("{number:020}")
}

/// A u128 as 39 digits.
pub(crate) fn wide_digits(number: u128) -> String {
    format!("{number:039}")
}

/// Whole microseconds since 1970, rounded down; what is further away than 290 000 years stops there.
pub(crate) fn micros(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => {
            let nanos = i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX);
            i64::try_from(nanos.saturating_neg().div_euclid(1000)).unwrap_or(i64::MIN)
        }
    }
}

/// The instant that [`micros`] wrote.
pub(crate) fn instant(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// A limit as databases take it.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What this node counts itself; it never comes near the limit.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Binds the slot's five columns: nonce, src_eid, sender, dst_eid, receiver.
pub(crate) fn bind_header(statement: Statement, header: &Header) -> Statement {
    statement
        .bind(digits(header.nonce.0))
        .bind(header.src_eid.0)
        .bind(header.sender.as_slice())
        .bind(header.dst_eid.0)
        .bind(header.receiver.as_slice())
}

/// Reads the columns of a row.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'r>(pub(crate) &'r Row);

impl<'r> Columns<'r> {
    pub(crate) fn any<T>(self, name: &'static str) -> Result<T, CodecError>
    where
        T: Decode<'r, sqlx::Sqlite> + Type<sqlx::Sqlite> + Decode<'r, sqlx::Postgres> + Type<sqlx::Postgres>,
    {
        let value = match self.0 {
            Row::Sqlite(row) => row.try_get(name),
            Row::Postgres(row) => row.try_get(name),
        };
        value.map_err(|error| CodecError::Type(name, error))
    }

    /// A column that may be NULL, read by one of the functions below.
    pub(crate) fn optional<T>(
        self,
        name: &'static str,
        read: impl FnOnce(Self, &'static str) -> Result<T, CodecError>,
    ) -> Result<Option<T>, CodecError> {
        use sqlx::ValueRef as _;
        let is_null = match self.0 {
            Row::Sqlite(row) => row.try_get_raw(name).map(|value| value.is_null()),
            Row::Postgres(row) => row.try_get_raw(name).map(|value| value.is_null()),
        };
        let is_null = is_null.map_err(|error| CodecError::Type(name, error))?;
        if is_null { Ok(None) } else { read(self, name).map(Some) }
    }

    pub(crate) fn hash(self, name: &'static str) -> Result<B256, CodecError> {
        B256::try_from(self.any::<&[u8]>(name)?).map_err(|_| CodecError::Value(name))
    }

    pub(crate) fn address(self, name: &'static str) -> Result<Address, CodecError> {
        Address::try_from(self.any::<&[u8]>(name)?).map_err(|_| CodecError::Value(name))
    }

    pub(crate) fn bytes(self, name: &'static str) -> Result<Bytes, CodecError> {
        self.any::<&[u8]>(name).map(Bytes::copy_from_slice)
    }

    pub(crate) fn number(self, name: &'static str) -> Result<u64, CodecError> {
        self.any::<&str>(name)?.parse().map_err(|_| CodecError::Value(name))
    }

    pub(crate) fn wide(self, name: &'static str) -> Result<u128, CodecError> {
        self.any::<&str>(name)?.parse().map_err(|_| CodecError::Value(name))
    }

    /// What this node counts itself.
    pub(crate) fn count(self, name: &'static str) -> Result<u64, CodecError> {
        u64::try_from(self.any::<i64>(name)?).map_err(|_| CodecError::Value(name))
    }

    pub(crate) fn small(self, name: &'static str) -> Result<u32, CodecError> {
        u32::try_from(self.any::<i64>(name)?).map_err(|_| CodecError::Value(name))
    }

    pub(crate) fn eid(self, name: &'static str) -> Result<Eid, CodecError> {
        self.small(name).map(Eid)
    }

    pub(crate) fn time(self, name: &'static str) -> Result<SystemTime, CodecError> {
        instant(self.any(name)?).ok_or(CodecError::Value(name))
    }

    pub(crate) fn block(self, number: &'static str, hash: &'static str) -> Result<BlockRef, CodecError> {
        Ok(BlockRef { number: BlockNumber(self.number(number)?), hash: self.hash(hash)? })
    }

    pub(crate) fn header(self) -> Result<Header, CodecError> {
        Ok(Header {
            nonce: Nonce(self.number("nonce")?),
            src_eid: self.eid("src_eid")?,
            sender: self.hash("sender")?,
            dst_eid: self.eid("dst_eid")?,
            receiver: self.hash("receiver")?,
        })
    }

    pub(crate) fn claim(self) -> Result<Claim, CodecError> {
        Ok(Claim { header: self.header()?, payload_hash: PayloadHash(self.hash("payload_hash")?) })
    }

    pub(crate) fn attestation(self) -> Result<Attestation, CodecError> {
        Ok(Attestation {
            claim: self.claim()?,
            confirmations: Confirmations(self.number("confirmations")?),
            expiration: ChainTime(self.number("expiration")?),
            vid: Vid(self.small("vid")?),
            target: self.address("target")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_sort_as_numbers_do() {
        let numbers = [0, 1, 9, 10, 99, 100, u64::MAX - 1, u64::MAX];
        assert!(numbers.map(digits).is_sorted());
        assert!(numbers.iter().all(|&number| digits(number).parse() == Ok(number)));
        assert_eq!(wide_digits(u128::MAX).parse(), Ok(u128::MAX));
        assert_eq!(wide_digits(1).len(), wide_digits(u128::MAX).len());
    }

    #[test]
    fn instants_round_down_to_microseconds_on_both_sides_of_1970() {
        for nanos in [0, 999, 1_000, 1_999, 1_700_000_000_123_456_789] {
            let (after, before) = (UNIX_EPOCH + Duration::from_nanos(nanos), UNIX_EPOCH - Duration::from_nanos(nanos));
            assert_eq!(micros(after), i64::try_from(nanos / 1000).unwrap());
            assert_eq!(micros(before), -i64::try_from(nanos.div_ceil(1000)).unwrap());
            for at in [after, before] {
                assert_eq!(instant(micros(at)).map(micros), Some(micros(at)));
            }
        }
    }
}
