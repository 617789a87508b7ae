//! The key in memory against signatures that the real DVN contract accepted.

use alloy_primitives::{Address, B256, Signature, address, b256, hex};
use async_trait::async_trait;
use dvn_core::{error::SignError, ports::Signer};
use dvn_hsm::{
    LocalKeyError, LocalSigner,
    testing::{Stand, Trouble, conformance},
};
use secrecy::SecretString;

/// The EIP-191 digest of the golden packet: nonce 1, 30101 to 30212, 15 confirmations, vid 212.
const DIGEST: B256 = b256!("0xa385b329964209f84be396440b110b2d308714ed3f92c424511eca34350052c9");

const KEY_1: Address = address!("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
const KEY_2: Address = address!("0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF");
const KEY_3: Address = address!("0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69");

/// Made with ethers and accepted by `DVN.verifySignatures` on a local chain.
const SIGNATURE_2: [u8; 65] = hex!(
    "4688a00e74324d70aba9b1283cd20c204cd442af109212a0934998478792476f55bc2f837f93544ca13ac43226e70c9bfbe4e3b8a83f6e57ba41d9f3d6974b8d1c"
);
const SIGNATURE_3: [u8; 65] = hex!(
    "d0f2e17ad75005e955b02cd720e05118cea19ba785ee29ab58e4990c3de6a6e94da45cf65f1b848491ee9cc18d57563e9b549d3cc4c0dda2dd17f6fe039d1f8f1c"
);

fn open(hex: &str) -> Result<LocalSigner, LocalKeyError> {
    LocalSigner::from_hex_secret(SecretString::from(hex))
}

fn key(number: u8) -> LocalSigner {
    open(&format!("{number:064x}")).unwrap()
}

async fn golden(number: u8) -> Signature {
    key(number).sign_digest(DIGEST).await.unwrap()
}

#[tokio::test]
async fn signs_the_golden_digest_as_the_contract_accepts_it() {
    assert_eq!([1, 2, 3].map(|number| key(number).address()), [KEY_1, KEY_2, KEY_3]);
    assert_eq!(golden(2).await.as_bytes(), SIGNATURE_2);
    assert_eq!(golden(3).await.as_bytes(), SIGNATURE_3);
    assert_eq!(dvn_core::signature::recover(DIGEST, &golden(1).await), Ok(KEY_1));
}

/// Nothing goes wrong with a key in memory.
pub(crate) struct LocalStand;

#[async_trait]
impl Stand for LocalStand {
    fn address(&self) -> Address {
        KEY_2
    }

    async fn open(&self) -> Result<Box<dyn Signer>, SignError> {
        Ok(Box::new(key(2)))
    }

    fn trouble(&self, _: Trouble) -> bool {
        false
    }

    fn heal(&self) {}
}

#[tokio::test]
async fn passes_the_suite() {
    assert_eq!(conformance(&LocalStand).await, Trouble::all());
}

#[test]
fn reads_a_key_with_prefix_and_line_end() {
    let digits = format!("{:064x}", 1);
    for text in [format!("0x{digits}"), format!("{digits}\n"), format!(" 0x{}\r\n", digits.to_uppercase())] {
        assert_eq!(open(&text).unwrap().address(), KEY_1);
    }
}

#[test]
fn refuses_what_is_no_key() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for (text, expected) in [
        (String::new(), LocalKeyError::NotHex),
        ("0x".to_owned(), LocalKeyError::NotHex),
        ("5ec2e7".to_owned(), LocalKeyError::NotHex),
        (format!("{:066x}", 0x5e_c2e7), LocalKeyError::NotHex),
        (format!("0x{:062x}", 0x5e_c2e7), LocalKeyError::NotHex),
        (format!("0x0x{:060x}", 0x5e_c2e7), LocalKeyError::NotHex),
        (format!("{:0>64}", "5ec2e7zz"), LocalKeyError::NotHex),
        ("é".repeat(32), LocalKeyError::NotHex),
        ("0".repeat(64), LocalKeyError::OutOfRange),
        (order.to_owned(), LocalKeyError::OutOfRange),
    ] {
        let error = open(&text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!format!("{error} {error:?}").contains("5ec2e7"));
    }
}

#[test]
fn debug_shows_the_address_alone() {
    let secret = "c0ffee".repeat(10) + "cafe";
    let signer = open(&secret).unwrap();
    let shown = format!("{signer:?}").to_lowercase();
    assert!(shown.contains("address") && !shown.contains("c0ffee"), "{shown}");
}
