//! The resource names of keys and their versions.

use std::fmt;

use super::config::GcpConfigError;

/// A key, without a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyName(String);

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VersionName(String);

impl KeyName {
    /// # Errors
    /// Where a part holds what does not belong into it, as a slash, which would name another key.
    pub(super) fn try_new(project: &str, location: &str, ring: &str, key: &str) -> Result<Self, GcpConfigError> {
        let own = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !own(project, "-:.") {
            return Err(GcpConfigError::Project);
        }
        if !own(location, "-") {
            return Err(GcpConfigError::Location);
        }
        if !own(ring, "-_") || !own(key, "-_") {
            return Err(GcpConfigError::Key);
        }
        Ok(Self(format!("projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{key}")))
    }

    /// # Errors
    /// Versions are numbered from 1.
    pub(super) fn version(&self, number: &str) -> Result<VersionName, GcpConfigError> {
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(GcpConfigError::Version);
        }
        Ok(VersionName(format!("{}/cryptoKeyVersions/{number}", self.0)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VersionName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The last part of a name, which numbers the version.
pub(super) fn number(version: &str) -> &str {
    version.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(project: &str, location: &str, ring: &str, key: &str) -> Result<KeyName, GcpConfigError> {
        KeyName::try_new(project, location, ring, key)
    }

    #[test]
    fn names_are_those_of_the_service() {
        let key = key("example.com:my-project-1", "asia-northeast1", "dvn_ring", "Signing-key").unwrap();
        let version = key.version("12").unwrap();
        let expected = "projects/example.com:my-project-1/locations/asia-northeast1/keyRings/dvn_ring/cryptoKeys/\
                        Signing-key/cryptoKeyVersions/12";
        assert_eq!(version.as_str(), expected);
        assert_eq!(number(version.as_str()), "12");
    }

    #[test]
    fn no_part_can_name_another_key() {
        for wrong in ["", "a/b", "a b", "ä", "a?b", "../x"] {
            assert_eq!(key(wrong, "l", "r", "k").unwrap_err(), GcpConfigError::Project, "{wrong}");
            assert_eq!(key("p", wrong, "r", "k").unwrap_err(), GcpConfigError::Location, "{wrong}");
            assert_eq!(key("p", "l", wrong, "k").unwrap_err(), GcpConfigError::Key, "{wrong}");
            assert_eq!(key("p", "l", "r", wrong).unwrap_err(), GcpConfigError::Key, "{wrong}");
        }
        for wrong in ["", "1/2", "-1", "latest", "1 "] {
            assert_eq!(
                key("p", "l", "r", "k").unwrap().version(wrong).unwrap_err(),
                GcpConfigError::Version,
                "{wrong}"
            );
        }
    }
}
