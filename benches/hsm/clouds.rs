//! The services, each with what a bare client of its stand-in gives: no retries, no breaker, no check of what comes back.

use std::{num::NonZeroU32, sync::Arc};

use alloy_primitives::B256;
use aws_sdk_kms::{
    Client, Config,
    config::{Credentials, Region, retry::RetryConfig},
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};
use dvn_hsm::{
    AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner, AwsCredentials, AwsKmsConfig, AwsKmsSigner, GcpCredentials,
    GcpKmsConfig, GcpKmsSigner,
};
use dvn_testkit::{aliyun_kms::AliyunKms, aws_kms::AwsKms, gcp_kms::GcpKms};
use gcloud_sdk::google::cloud::kms::v1::{
    AsymmetricSignRequest, Digest, digest, key_management_service_client::KeyManagementServiceClient,
};
use tokio::runtime::Handle;
use tonic::{Request, transport::Endpoint};

use crate::{
    devices::Device,
    measure::{Pair, Raw},
};

pub(crate) fn aliyun_kms() -> Device {
    use dvn_testkit::aliyun_kms::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};
    let kms = Arc::new(AliyunKms::start().unwrap());
    let key = kms.create_key([7; 32]);
    let open = move |_| -> Pair {
        let credentials = AliyunCredentials::access_key(ACCESS_KEY_ID.into(), ACCESS_KEY_SECRET.into());
        let config = AliyunKmsConfig::at(kms.url().clone(), &key.id, credentials);
        let unlimited = config.with_requests_per_second(NonZeroU32::MAX);
        let signer = Handle::current().block_on(AliyunKmsSigner::open(unlimited)).unwrap();
        let (kms, key, http) = (Arc::clone(&kms), key.clone(), reqwest::Client::builder().no_proxy().build().unwrap());
        let raw = move |digest: B256| {
            let request = kms.signing_request(&key, digest.0);
            let sent = http.post(request.url).headers(request.headers).body(Vec::new()).send();
            Box::pin(async move { assert!(sent.await.unwrap().bytes().await.unwrap().starts_with(b"{\"KeyId\"")) }) as _
        };
        (Arc::new(signer), Raw::Tasks(Arc::new(raw)))
    };
    Device { name: "aliyun_kms (stand-in)", raw_is: "HTTP with signed requests", aim: None, open: Box::new(open) }
}

pub(crate) fn aws_kms() -> Device {
    use dvn_testkit::aws_kms::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
    let kms = AwsKms::start().unwrap();
    let key = kms.create_key([7; 32]);
    let open = move |_| -> Pair {
        let credentials = AwsCredentials::access_key(ACCESS_KEY_ID.into(), SECRET_ACCESS_KEY.into());
        let config = AwsKmsConfig::in_region(REGION, &key.id, credentials);
        let config = config.and_then(|config| config.with_endpoint(kms.url().clone())).unwrap();
        let unlimited = config.with_requests_per_second(NonZeroU32::MAX);
        let signer = Handle::current().block_on(AwsKmsSigner::open(unlimited)).unwrap();
        let sdk = Config::builder()
            .behavior_version_latest()
            .region(Region::new(REGION))
            .endpoint_url(kms.url().as_str().trim_end_matches('/'))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench"));
        let (bare, id) = (Client::from_conf(sdk.build()), key.id.clone());
        let raw = move |digest: B256| {
            let request = bare
                .sign()
                .key_id(&id)
                .message(Blob::new(digest.as_slice()))
                .message_type(MessageType::Digest)
                .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
            Box::pin(async move { assert!(request.send().await.unwrap().signature().is_some()) }) as _
        };
        (Arc::new(signer), Raw::Tasks(Arc::new(raw)))
    };
    Device { name: "aws_kms (stand-in)", raw_is: "AWS's SDK alone", aim: None, open: Box::new(open) }
}

pub(crate) fn gcp_kms() -> Device {
    let kms = GcpKms::start().unwrap();
    let key = kms.create_key([7; 32]);
    let open = move |_| -> Pair {
        let config =
            GcpKmsConfig::new(&key.project, &key.location, &key.key_ring, &key.key_name, GcpCredentials::nobody());
        let config = config.and_then(|config| config.with_endpoint(kms.url())).unwrap();
        let unlimited = config.with_requests_per_second(NonZeroU32::MAX);
        let signer = Handle::current().block_on(GcpKmsSigner::open(unlimited)).unwrap();
        let channel = Endpoint::from_shared(kms.url().to_string()).unwrap().connect_lazy();
        let (bare, name) = (KeyManagementServiceClient::new(channel), key.resource());
        let raw = move |hash: B256| {
            let digest = Some(Digest { digest: Some(digest::Digest::Sha256(hash.to_vec())) });
            let mut request = Request::new(AsymmetricSignRequest { name: name.clone(), digest, ..Default::default() });
            let routing = format!("name={}", name.replace('/', "%2F")).parse().unwrap();
            request.metadata_mut().insert("x-goog-request-params", routing);
            let mut stub = bare.clone();
            Box::pin(
                async move { assert!(!stub.asymmetric_sign(request).await.unwrap().into_inner().signature.is_empty()) },
            ) as _
        };
        (Arc::new(signer), Raw::Tasks(Arc::new(raw)))
    };
    Device { name: "gcp_kms (stand-in)", raw_is: "gRPC alone", aim: None, open: Box::new(open) }
}
