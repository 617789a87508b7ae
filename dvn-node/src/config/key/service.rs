//! What the blocks of key services have in common.

#[cfg(any(feature = "aliyun", feature = "aws-kms"))]
use {super::super::scalar, secrecy::SecretString, std::path::Path};

use super::super::{reader::Section, secret_url::SecretUrl};

/// An access key's id, its secret, and the token of a lent one.
#[cfg(any(feature = "aliyun", feature = "aws-kms"))]
pub(super) type AccessKey = (SecretString, SecretString, Option<SecretString>);

/// `None` where it is wrong.
pub(super) fn endpoint(block: &mut Section<'_>) -> Option<Option<SecretUrl>> {
    let Some(field) = block.optional("endpoint") else { return Some(None) };
    let url = field.parsed(|text| SecretUrl::parse(text, &["https", "http"]))?;
    if url.expose().scheme() == "http" {
        let message = "must start with https://, since whoever listens could read the security token and answer for it";
        block.reader.problem_unless_dev(&block.place_at("endpoint"), message);
    }
    Some(Some(url))
}

/// The text of `ca_file`; `None` where it is wrong.
#[cfg(any(feature = "aliyun", feature = "aws-kms"))]
pub(super) fn ca(block: &mut Section<'_>) -> Option<Option<String>> {
    if block.optional("ca_file").is_none() {
        return Some(None);
    }
    let path = block.parsed("ca_file", scalar::text)?;
    match block.reader.env.file(Path::new(&path)) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(Some(pem)),
        Ok(_) => {
            block.problem_at("ca_file", "the file that it names holds no certificate in PEM");
            None
        }
        Err(error) => {
            block.problem_at("ca_file", format!("the file that it names cannot be read: {}", error.kind()));
            None
        }
    }
}

/// The access key whose id, secret and token are called so.
#[cfg(any(feature = "aliyun", feature = "aws-kms"))]
pub(super) fn access_key(block: &mut Section<'_>, [id, secret, token]: [&str; 3]) -> Option<AccessKey> {
    let (id, secret) = (block.needed_secret(id), block.needed_secret(secret));
    let has_token = block.has(&format!("{token}_env")) || block.has(&format!("{token}_file"));
    let token = has_token.then(|| block.needed_secret(token));
    let token = token.map_or(Some(None), |token| token.map(Some));
    Some((id?, secret?, token?))
}

/// What fits into a host name.
pub(super) fn region(example: &str) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || !text.chars().all(fits) {
            return Err(format!("`{text}` is not a region: write it like {example}"));
        }
        Ok(text.to_owned())
    }
}
