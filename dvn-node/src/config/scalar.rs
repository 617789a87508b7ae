//! Parsers of single values. Their errors are clauses that follow a path and repeat the value only where it cannot be
//! a secret.

use std::{fmt::Display, net::SocketAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use alloy_primitives::{Address, hex, utils::parse_units};

/// Whether a text is one that examples use in place of a value.
pub(super) fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains("...")
        || lower.contains('…')
        || lower.contains("xxx")
        || lower.starts_with("your-")
        || lower.starts_with("your_")
        || (lower.starts_with('<') && lower.ends_with('>'))
}

/// Any text but an empty one.
pub(super) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A name that is fit to be a metric label and a command line word.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a name: use 1 to 64 letters, digits, `-` and `_`"))
    }
}

/// `true` or `false`.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}

/// A whole number within bounds.
pub(super) fn number<T: FromStr + PartialOrd + Display>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| match text.parse::<T>() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("`{text}` is not a whole number from {} to {}", range.start(), range.end())),
    }
}

/// A duration with its unit, within bounds.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    use humantime::{format_duration, parse_duration};
    move |text| {
        let value = parse_duration(text).map_err(|_| {
            format!("`{text}` is not a duration: write a number with its unit, such as 12s, 250ms or 15m")
        })?;
        if range.contains(&value) {
            return Ok(value);
        }
        let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
        Err(format!("`{text}` is out of range: from {least} to {most}"))
    }
}

/// A number of bytes with its unit; 0 needs none.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    if text == "0" {
        return Ok(0);
    }
    let size = UNITS.iter().find_map(|(unit, bytes)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*bytes)
    });
    size.ok_or_else(|| format!("`{text}` is not a size: write a whole number with its unit, such as 256MiB or 2GiB"))
}

/// An EVM address; mixed case must be its EIP-55 checksum.
pub(super) fn address(text: &str) -> Result<Address, String> {
    let digits = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    let Some(address) = digits.and_then(|bytes| Address::try_from(bytes.as_slice()).ok()) else {
        return Err(format!("`{text}` is not an address: write 0x and 40 hex digits"));
    };
    let mixed = text.chars().skip(2).any(|c| c.is_ascii_lowercase()) && text.chars().any(|c| c.is_ascii_uppercase());
    if mixed && address.to_checksum(None) != text {
        return Err(format!("`{text}` does not match its EIP-55 checksum: a character is mistyped, copy it again"));
    }
    if address.is_zero() {
        return Err("the zero address is nobody's".to_owned());
    }
    Ok(address)
}

/// An IP address and port to listen on.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address to listen on: write it like 0.0.0.0:8080"))
}

/// `host:port`.
pub(super) fn host_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is not host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || port == 0 { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}

/// A decimal amount of a unit that has `decimals` digits after the point, in the smallest unit.
pub(super) fn amount(decimals: u8) -> impl Fn(&str) -> Result<u128, String> {
    move |text| {
        let wrong = || {
            format!("`{text}` is not an amount: write a decimal number such as 2.5, with at most {decimals} decimals")
        };
        let plain = text.contains(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        if !plain || places > usize::from(decimals) {
            return Err(wrong());
        }
        let units = parse_units(text, decimals).map_err(|_| wrong())?;
        units.get_absolute().try_into().map_err(|_| wrong())
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            format!("`{text}` is none of: {all}")
        })
    }
}

/// The most similar of the valid words.
pub(super) fn nearest<'w>(word: &str, valid: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(word, candidate);
    valid.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_to_the_last_character() {
        let right = "0x1a44076050125825900e736c501f859c50fE728c";
        assert_eq!(address(right).unwrap().to_checksum(None), right);
        assert_eq!(address(&right.to_lowercase()).unwrap(), address(right).unwrap());
        for wrong in
            ["0x1A44076050125825900e736c501f859c50fE728c", "0x1a44", "1a44076050125825900e736c501f859c50fe728c", ""]
        {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert!(address(&format!("0x{}", "0".repeat(40))).is_err());
        assert!(address(&format!("0x{}", "é".repeat(20))).is_err());
    }

    #[test]
    fn amounts_are_exact() {
        assert_eq!(amount(9)("0.000000001"), Ok(1));
        assert_eq!(amount(9)("200"), Ok(200_000_000_000));
        assert_eq!(amount(18)("2.5"), Ok(2_500_000_000_000_000_000));
        for wrong in ["", ".", "-1", "1e3", "1.0000000001", "1.2.3", "400000000000000000000000000000000000000000"] {
            assert!(amount(9)(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_and_durations_have_bounds() {
        assert_eq!(number(1..=9_u8)("9"), Ok(9));
        assert_eq!(number(1..=9_u8)("300"), Err("`300` is not a whole number from 1 to 9".to_owned()));
        let range = Duration::from_secs(1)..=Duration::from_secs(60);
        assert_eq!(duration(range.clone())("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration(range.clone())("2m"), Err("`2m` is out of range: from 1s to 1m".to_owned()));
        assert!(duration(range)("12").is_err());
    }

    #[test]
    fn sizes_have_units() {
        let sizes = [("256MiB", 256 << 20), ("2 GiB", 2 << 30), ("1KiB", 1 << 10), ("1TiB", 1 << 40), ("0", 0)];
        for (text, size) in sizes {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for wrong in ["256", "256MB", "1.5GiB", "-1MiB", "", "MiB", "99999999999TiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn placeholders_of_examples_are_known() {
        for text in ["0x...", "cluster-xxx", "key-xxx", "your-project", "<key>"] {
            assert!(is_placeholder(text), "{text}");
        }
        assert!(!is_placeholder("0x1a44076050125825900e736c501f859c50fE728c"));
        assert!(!is_placeholder("dvn-signing-key"));
    }
}
