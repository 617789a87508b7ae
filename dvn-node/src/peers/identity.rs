//! Who this node is to its peers, and how they show who they are.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::TLS13,
};
use thiserror::Error;

use crate::config::Tls;

/// This node's certificate and key, and the authority that it believes.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Why the files of `signing.tls` cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file is not there, or holds nothing of its kind.
    #[error("signing.tls.{key}: {} is no PEM file with {what}", path.display())]
    File {
        /// Which of the three.
        key: &'static str,
        /// What it names.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The files do not fit together.
    #[error("signing.tls: {what}")]
    Unfit {
        /// What does not fit.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificate is another node's.
    #[error("signing.tls.cert: the certificate is not for {name}, which is this node's `service.name`")]
    Name {
        /// This node's name.
        name: String,
    },
}

impl Identity {
    /// Reads the files, and checks that the certificate is this node's.
    ///
    /// # Errors
    /// [`IdentityError`] names the file.
    pub fn load(tls: &Tls, own: &str) -> Result<Self, IdentityError> {
        let chain = certificates("cert", &tls.cert)?;
        let key = PrivateKeyDer::from_pem_file(&tls.key)
            .map_err(|source| file("key_file", &tls.key, "a private key", source))?;
        let mut authority = RootCertStore::empty();
        for certificate in certificates("ca", &tls.ca)? {
            authority.add(certificate).map_err(|error| unfit("the certificate in `ca` is no authority's", error))?;
        }
        if !is_for(chain.first(), own) {
            return Err(IdentityError::Name { name: own.to_owned() });
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        Ok(Self { chain, key, authority: Arc::new(authority), provider })
    }

    /// For connections that peers open.
    pub(super) fn server(&self) -> Result<ServerConfig, IdentityError> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.authority), self.provider());
        let verifier: Arc<dyn ClientCertVerifier> =
            builder.build().map_err(|error| unfit("`ca` cannot be used", error))?;
        let config = ServerConfig::builder_with_provider(self.provider()).with_protocol_versions(&[&TLS13]);
        let config = config.map_err(|error| unfit("TLS 1.3 is not available", error))?;
        let config = config.with_client_cert_verifier(verifier);
        config
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| unfit("`cert` and `key_file` do not fit each other", error))
    }

    /// For connections to the peer of this name, whatever address it listens at.
    pub(super) fn client(&self, peer: &str) -> Result<ClientConfig, IdentityError> {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.authority), self.provider());
        let inner = builder.build().map_err(|error| unfit("`ca` cannot be used", error))?;
        let name = ServerName::try_from(peer.to_owned()).map_err(|error| unfit("a peer's name is none", error))?;
        let config = ClientConfig::builder_with_provider(self.provider()).with_protocol_versions(&[&TLS13]);
        let config = config.map_err(|error| unfit("TLS 1.3 is not available", error))?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { inner, name }));
        config
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| unfit("`cert` and `key_file` do not fit each other", error))
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }
}

/// Whether a certificate, whose chain was verified, is for this name.
pub(super) fn is_for(certificate: Option<&CertificateDer<'_>>, name: &str) -> bool {
    let name = ServerName::try_from(name);
    let certificate = certificate.map(webpki::EndEntityCert::try_from);
    matches!((certificate, name), (Some(Ok(it)), Ok(name)) if it.verify_is_valid_for_subject_name(&name).is_ok())
}

/// Accepts the certificate of one peer. The name that is connected to is no part of it: peers are named by configuration, and
/// their addresses may be numbers.
#[derive(Debug)]
struct Pinned {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let failed = |source| file(key, path, "a certificate", source);
    let read = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if certificates.is_empty() { Err(failed(rustls::pki_types::pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

fn file(key: &'static str, path: &Path, what: &'static str, source: rustls::pki_types::pem::Error) -> IdentityError {
    IdentityError::File { key, path: path.to_owned(), what, source }
}

fn unfit(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> IdentityError {
    IdentityError::Unfit { what, source: source.into() }
}
