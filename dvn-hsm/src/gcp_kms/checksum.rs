//! CRC-32C, with which the service lets both sides find out what was changed on the way behind the TLS connection.

use crate::service::Failure;

/// The checksum as the service's messages carry it.
pub(super) fn crc32c(bytes: &[u8]) -> i64 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            // The reversed polynomial, where a one falls out.
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    i64::from(!crc)
}

/// Refuses bytes that have no checksum or another one.
pub(super) fn check(what: &str, bytes: &[u8], claimed: Option<i64>) -> Result<(), Failure> {
    match claimed {
        Some(claimed) if claimed == crc32c(bytes) => Ok(()),
        Some(_) => Err(Failure::corrupted(format!("the {what} does not have its checksum"))),
        None => Err(Failure::corrupted(format!("the {what} came without a checksum"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_castagnolis() {
        // The check value of the algorithm, and RFC 3720's examples of 32 bytes.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }
}
