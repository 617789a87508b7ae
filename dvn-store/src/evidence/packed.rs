//! Documents as they are kept: compressed, and never believed without their digest.

use std::io::{self, Read as _, Write as _};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

/// The largest document that is read back, in bytes: a small record must not become all of the memory.
pub(super) const MOST: u64 = 64 << 20;

/// Evidence is written once per packet and hardly ever read; level 6 is where more work hardly pays.
pub(super) fn pack(document: &str) -> io::Result<Vec<u8>> {
    if u64::try_from(document.len()).unwrap_or(u64::MAX) > MOST {
        return Err(too_large());
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(document.as_bytes())?;
    encoder.finish()
}

pub(super) fn unpack(packed: &[u8]) -> io::Result<String> {
    let mut document = String::new();
    let read = ZlibDecoder::new(packed).take(MOST.saturating_add(1)).read_to_string(&mut document)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MOST { Err(too_large()) } else { Ok(document) }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the document has more than {} MiB", MOST >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back_smaller_than_they_were() {
        let document = format!("{{\"votes\":[{}]}}", "\"0xabcdef\",".repeat(500));
        for document in [document.as_str(), "", "{}", "\u{e9}"] {
            assert_eq!(unpack(&pack(document).unwrap()).unwrap(), document);
        }
        assert!(pack(&document).unwrap().len() * 10 < document.len());
    }

    /// A few kilobytes that would become as much as somebody likes: nothing beyond the bound is looked at, which a stream shows
    /// that breaks there.
    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(9));
        let chunk = vec![b' '; 1 << 20];
        for _ in 0..80 {
            encoder.write_all(&chunk).unwrap();
        }
        let mut bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 1 << 20);
        bomb.truncate(bomb.len() - 5_000);
        let told = unpack(&bomb).unwrap_err().to_string();
        assert!(told.contains("more than 64 MiB"), "{told}");
        let told = pack(&" ".repeat(65 << 20)).unwrap_err().to_string();
        assert!(told.contains("more than 64 MiB"), "{told}");
        assert!(unpack(b"no zlib").is_err());
    }
}
