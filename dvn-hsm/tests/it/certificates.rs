//! Services behind TLS: who is believed by whose certificate.

use std::{fs, net::SocketAddr, sync::Arc};

use dvn_core::error::SignErrorKind;
use dvn_hsm::{AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner, AwsCredentials, AwsKmsConfig, AwsKmsSigner};
use dvn_testkit::{
    aliyun_kms::{self, AliyunKms},
    aws_kms::{self, AwsKms},
    tls::Authority,
};
use reqwest::Url;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::service_suite::{kind_of, sign};

/// What is at this address, behind a certificate of an authority of its own.
struct Front {
    url: Url,
    /// The authority, in PEM.
    ca: Vec<u8>,
}

impl Front {
    async fn before(service: &Url) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Authority::new().unwrap().issue("127.0.0.1", folder.path()).unwrap();
        let certificate = CertificateDer::from_pem_file(&files.cert).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let service = *service.socket_addrs(|| None).unwrap().first().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(acceptor.clone(), client, service));
            }
        });
        Self { url, ca: fs::read(&files.ca).unwrap() }
    }
}

/// Until either side has enough, or the client refuses the certificate.
async fn carry(acceptor: TlsAcceptor, client: TcpStream, service: SocketAddr) {
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let mut service = TcpStream::connect(service).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
}

#[tokio::test]
async fn aws_is_believed_by_the_authority_that_is_given_and_no_other() {
    let kms = AwsKms::start().unwrap();
    let key = kms.create_key([7; 32]);
    let (front, other) = (Front::before(kms.url()).await, Front::before(kms.url()).await);
    let config = || {
        let id = AwsCredentials::access_key(aws_kms::ACCESS_KEY_ID.into(), aws_kms::SECRET_ACCESS_KEY.into());
        let config = AwsKmsConfig::in_region(aws_kms::REGION, &key.arn, id);
        config.and_then(|config| config.with_endpoint(front.url.clone())).unwrap()
    };
    let signer = AwsKmsSigner::open(config().with_ca(&front.ca).unwrap()).await.unwrap();
    assert_eq!(sign(&signer).await, Ok(()));
    for stranger in [config(), config().with_ca(&other.ca).unwrap()] {
        let error = AwsKmsSigner::open(stranger).await.unwrap_err();
        assert_eq!(kind_of(error, "certificate"), SignErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn aliyun_is_believed_by_the_authority_that_is_given_and_no_other() {
    let kms = AliyunKms::start().unwrap();
    let key = kms.create_key([7; 32]);
    let (front, other) = (Front::before(kms.url()).await, Front::before(kms.url()).await);
    let config = || {
        let (id, secret) = (aliyun_kms::ACCESS_KEY_ID, aliyun_kms::ACCESS_KEY_SECRET);
        let id = AliyunCredentials::access_key(id.into(), secret.into());
        AliyunKmsConfig::at(front.url.clone(), &key.id, id)
    };
    let signer = AliyunKmsSigner::open(config().with_ca(&front.ca).unwrap()).await.unwrap();
    assert_eq!(sign(&signer).await, Ok(()));
    for stranger in [config(), config().with_ca(&other.ca).unwrap()] {
        let error = AliyunKmsSigner::open(stranger).await.unwrap_err();
        assert_eq!(kind_of(error, "certificate"), SignErrorKind::Unavailable);
    }
}
