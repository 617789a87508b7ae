//! Against requests that Alibaba Cloud's own Python client signed, and the example of its documentation. Where the
//! recordings come from is written in `testdata/README.md`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Recorded {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    scheme: String,
    method: String,
    path: String,
    raw_query: String,
    query_params: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: String,
    access_key_id: String,
    access_key_secret: String,
    canonical_request: Option<String>,
    string_to_sign: String,
    expected_authorization: Option<String>,
    expected_signature: Option<String>,
}

fn vectors(scheme: &str) -> Vec<Vector> {
    let text = include_str!("../../../testdata/aliyun_v3_vectors.json");
    let recorded: Recorded = serde_json::from_str(text).unwrap();
    assert_eq!(recorded.vectors.len(), 11);
    recorded.vectors.into_iter().filter(|vector| vector.scheme == scheme).collect()
}

fn pairs(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl Vector {
    /// With the headers that the recorded client signed.
    fn canonical(&self) -> Canonical {
        let recorded = self.expected_authorization.as_deref().unwrap();
        let signed = recorded.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
        let headers = pairs(&self.headers).into_iter().filter(|(name, _)| signed.split(';').any(|it| it == *name));
        let body = hex(&Sha256::digest(self.body.as_bytes()));
        let headers = headers.collect::<Vec<_>>();
        Canonical::new(&self.method, &self.path, &query(&pairs(&self.query_params)), &headers, &body)
    }

    fn assert_canonical(&self, canonical: &Canonical, algorithm: &str) {
        assert_eq!(Some(canonical.text.as_str()), self.canonical_request.as_deref(), "{}", self.name);
        assert_eq!(canonical.string_to_sign(algorithm), self.string_to_sign, "{}", self.name);
    }
}

#[test]
fn the_recorded_requests_are_signed_byte_for_byte() {
    let vectors = vectors(ALGORITHM);
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let canonical = vector.canonical();
        vector.assert_canonical(&canonical, ALGORITHM);
        let authorization = canonical.authorization(&vector.access_key_id, &vector.access_key_secret).unwrap();
        assert_eq!(Some(authorization), vector.expected_authorization, "{}", vector.name);
    }
}

/// The client of the recordings can sign in this way too. It shares the canonical form and derives its key.
#[test]
fn the_recorded_v4_request_has_the_same_canonical_form() {
    let vectors = vectors("ACS4-HMAC-SHA256");
    let [vector] = vectors.as_slice() else { unreachable!("one of this scheme") };
    let canonical = vector.canonical();
    vector.assert_canonical(&canonical, "ACS4-HMAC-SHA256");
    let mut key = format!("aliyun_v4{}", vector.access_key_secret).into_bytes();
    for part in ["20261123", "cn-hangzhou", "Kms", "aliyun_v4_request"] {
        key = hmac(&key, part).unwrap().to_vec();
    }
    let signature = hex(&hmac(&key, &vector.string_to_sign).unwrap());
    let expected = vector.expected_authorization.as_deref().unwrap();
    assert_eq!(expected.split("Signature=").nth(1), Some(signature.as_str()));
}

/// The scheme before V3, with the same encoder.
#[test]
fn the_recorded_legacy_request_has_the_same_encoding() {
    let vectors = vectors("RPC-HMAC-SHA1");
    let [vector] = vectors.as_slice() else { unreachable!("one of this scheme") };
    let parameters = pairs(&vector.query_params);
    let unsigned = parameters.iter().copied().filter(|(name, _)| *name != "Signature").collect::<Vec<_>>();
    let text = format!("POST&%2F&{}", encode(&query(&unsigned)));
    assert_eq!(text, vector.string_to_sign);
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(format!("{}&", vector.access_key_secret).as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(Some(&signature), vector.expected_signature.as_ref());
    assert!(vector.raw_query.ends_with(&format!("Signature={}", encode(&signature))));
}

#[test]
fn the_empty_body_has_its_hash() {
    assert_eq!(hex(&Sha256::digest([])), EMPTY_BODY);
}

#[test]
fn only_unreserved_characters_stand_for_themselves() {
    assert_eq!(encode("Az09-_.~"), "Az09-_.~");
    assert_eq!(encode(" +/=*é&"), "%20%2B%2F%3D%2A%C3%A9%26");
    assert_eq!(query(&[("b", "2"), ("a", "1 2")]), "a=1%202&b=2");
}
