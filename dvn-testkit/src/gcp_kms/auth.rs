//! Who asks: tokens that the metadata server lent, and those that a service account makes of its key.

use std::{
    collections::HashMap,
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::key_service::now;

/// What the key service of Google Cloud lets a token be for.
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloudkms", "https://www.googleapis.com/auth/cloud-platform"];

#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) are_required: bool,
    /// Lent tokens with their ends.
    pub(super) known: HashMap<String, SystemTime>,
    /// Public keys of service accounts, by their e-mail addresses.
    accounts: HashMap<String, Vec<u8>>,
    /// How long lent tokens last; `None` while none is lent.
    pub(super) lifetime: Option<Duration>,
    pub(super) lent: usize,
    pub(super) is_broken: bool,
    pub(super) is_silent: bool,
}

impl Tokens {
    /// Whether whoever sends these headers may ask at all.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Status> {
        let refusal = |what: &str| {
            // Services may repeat what they read, which clients must not print.
            let message = format!("Request had invalid authentication credentials: {what}");
            Status::new(Code::Unauthenticated, message)
        };
        let Some(header) = headers.get(AUTHORIZATION) else {
            return if self.are_required { Err(refusal("none")) } else { Ok(()) };
        };
        let text = header.to_str().unwrap_or_default();
        let token = text.strip_prefix("Bearer ").unwrap_or_default();
        let lent = self.known.get(token).is_some_and(|until| *until > now());
        if lent || self.is_signed(token).is_some() { Ok(()) } else { Err(refusal(text)) }
    }

    /// Another token with its lifetime in seconds.
    pub(super) fn lend(&mut self) -> Option<(String, u64)> {
        let lifetime = self.lifetime?;
        self.lent = self.lent.saturating_add(1);
        let token = format!("ya29.stand-in-lent-token-{:04}", self.lent);
        self.known.insert(token.clone(), now().checked_add(lifetime)?);
        Some((token, lifetime.as_secs()))
    }

    pub(super) fn create_service_account(&mut self) -> io::Result<String> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(io::Error::other)?;
        let email = format!("dvn-{}@stand-in-project.iam.gserviceaccount.com", self.accounts.len());
        self.accounts.insert(email.clone(), pair.public_key().as_ref().to_vec());
        let body = STANDARD.encode(private.as_ref());
        let key = json!({
            "type": "service_account",
            "project_id": "stand-in-project",
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"),
            "client_email": email,
            "client_id": "100000000000000000000",
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        Ok(key.to_string())
    }

    /// A JSON web token, RS256, of an account that is known, for now and for us.
    fn is_signed(&self, token: &str) -> Option<()> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let (header, claims) = (part(header)?, part(claims)?);
        let account = self.accounts.get(claims["iss"].as_str()?)?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account);
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let now = now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let is_current = claims["iat"].as_u64()? <= now && now < claims["exp"].as_u64()?;
        let is_for_us = claims["scope"].as_str()?.split(' ').any(|scope| SCOPES.contains(&scope));
        (header["alg"] == "RS256" && is_current && is_for_us).then_some(())
    }
}
