//! What may go wrong with an answer.

use tonic::Code;

use crate::key_service;

/// What a request is answered with in place of the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// An error of the service.
    Error {
        /// Its code.
        code: Code,
        /// Its words.
        message: String,
    },
    /// A page of something in between, with this HTTP status.
    Html(u16),
    /// No answer, ever.
    Hang,
    /// An answer whose bytes do not have the checksum that comes with them.
    BadChecksum,
    /// An answer without a checksum.
    NoChecksum,
    /// A good signature over a digest whose checksum was not looked at.
    Unverified,
    /// A good answer that names another version.
    OtherName,
    /// A good answer that says that the key is in software.
    Software,
    /// A signature with a high s.
    HighS,
    /// A signature over another digest.
    OtherDigest,
    /// A signature of another key.
    OtherKey,
    /// Every signature with one nonce.
    OneNonce,
    /// Bytes that are no signature, with their checksum.
    Noise,
}

impl Fault {
    /// An error of the service.
    #[must_use]
    pub fn error(code: Code, message: &str) -> Self {
        Self::Error { code, message: message.to_owned() }
    }

    /// What the service says when a project asks too often.
    #[must_use]
    pub fn throttling() -> Self {
        Self::error(Code::ResourceExhausted, "Quota exceeded for quota metric 'HSM asymmetric cryptographic requests'.")
    }

    /// What the service says when the digest does not have its checksum.
    #[must_use]
    pub fn changed_digest() -> Self {
        let message = "The checksum in field digest_crc32c did not match the data in field digest.";
        Self::error(Code::InvalidArgument, message)
    }

    /// What it does to the signature itself.
    pub(super) const fn of_signature(&self) -> Option<key_service::Fault> {
        match self {
            Self::HighS => Some(key_service::Fault::HighS),
            Self::OtherDigest => Some(key_service::Fault::OtherDigest),
            Self::OtherKey => Some(key_service::Fault::OtherKey),
            Self::OneNonce => Some(key_service::Fault::OneNonce),
            Self::Noise => Some(key_service::Fault::Noise),
            _ => None,
        }
    }
}
