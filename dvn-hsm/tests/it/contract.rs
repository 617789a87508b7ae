//! What the devices sign before the judge that counts: the DVN contract as LayerZero deploys it, on a local node.

use std::{collections::BTreeSet, ops::Range};

use alloy_primitives::{Address, B256, Bytes, eip191_hash_message, keccak256};
use dvn_core::ports::Signer;
use dvn_hsm::{
    AliyunKmsSigner,
    testing::{Stand, Trouble},
};
use dvn_testkit::{
    aliyun_kms::Fault,
    devnet::{ChainSpec, Devnet},
    toolchain::Toolchain,
};
use futures::{StreamExt, stream};

use crate::{
    aliyun::{self, address, service},
    aws,
    child::{World, block_on, plain, with_shim},
    gcp,
    local::LocalStand,
    stand::TokenStand,
};

/// So many signatures of each device.
const SIGNATURES: u64 = 1_000;

/// More at once than any device signs.
const AT_ONCE: usize = 8;

/// A DVN contract of which any one signer is a quorum.
struct Contract(Devnet);

impl Contract {
    async fn deploy(toolchain: &Toolchain, signers: impl IntoIterator<Item = Address>) -> Self {
        let devnet = Devnet::builder().chain(ChainSpec::conflux()).signers(signers, 1);
        Self(devnet.start(toolchain).await.unwrap())
    }

    /// Signs the digests of so many hashes and has the contract look at each signature.
    async fn accepts(&self, signer: &dyn Signer, numbers: Range<u64>) -> usize {
        let hashes = numbers.map(|number| keccak256([b"hash".as_slice(), &number.to_be_bytes()].concat()));
        let signed = stream::iter(hashes).map(|hash| sign(signer, hash)).buffered(AT_ONCE).collect::<Vec<_>>().await;
        let verdicts = self.0.chain("conflux").unwrap().verify_each(&signed).await.unwrap();
        assert_eq!(verdicts.len(), signed.len());
        verdicts.iter().filter(|verdict| **verdict == (true, 0)).count()
    }
}

/// The contract puts the prefix of EIP-191 before the hash by itself.
async fn sign(signer: &dyn Signer, hash: B256) -> (B256, Bytes) {
    let signature = signer.sign_digest(eip191_hash_message(hash)).await.unwrap();
    (hash, Bytes::from(signature.as_bytes()))
}

/// A new device is one line here.
fn devices(world: &World) -> Vec<(&'static str, Box<dyn Stand + '_>)> {
    vec![
        ("local", Box::new(LocalStand)),
        ("pkcs11", Box::new(TokenStand::new(world))),
        ("aws_kms", Box::new(aws::stand::stand())),
        ("gcp_kms", Box::new(gcp::stand::stand())),
        ("aliyun_kms", Box::new(aliyun::stand::stand())),
    ]
}

#[test]
fn the_contract_accepts_a_thousand_signatures_of_each_device() {
    let test = "contract::the_contract_accepts_a_thousand_signatures_of_each_device";
    let Some(toolchain) = Toolchain::for_test(test) else { return };
    plain(test, |world| {
        block_on(async {
            let devices = devices(world);
            // The services' stand-ins hold one key.
            let addresses: BTreeSet<_> = devices.iter().map(|(_, stand)| stand.address()).collect();
            let contract = Contract::deploy(&toolchain, addresses).await;
            for (name, stand) in &devices {
                let signer = stand.open().await.unwrap();
                let accepted = contract.accepts(signer.as_ref(), 0..SIGNATURES).await;
                assert_eq!(accepted, 1_000, "{name}");
            }
        });
    });
}

#[test]
fn t34_a_thousand_high_s_of_a_token_come_out_as_the_contract_accepts_them() {
    let test = "contract::t34_a_thousand_high_s_of_a_token_come_out_as_the_contract_accepts_them";
    let Some(toolchain) = Toolchain::for_test(test) else { return };
    with_shim(test, |world| {
        block_on(async {
            let stand = TokenStand::new(world);
            let contract = Contract::deploy(&toolchain, [stand.address()]).await;
            let signer = stand.open().await.unwrap();
            assert!(stand.trouble(Trouble::HighS));
            assert_eq!(contract.accepts(signer.as_ref(), 0..SIGNATURES).await, 1_000);
        });
    });
}

/// In DER a number has 33 bytes where its first bit is set, and fewer than 32 where it begins with zeros.
#[tokio::test(flavor = "multi_thread")]
async fn t34_der_of_every_length_comes_out_as_the_contract_accepts_it() {
    let test = "contract::t34_der_of_every_length_comes_out_as_the_contract_accepts_it";
    let Some(toolchain) = Toolchain::for_test(test) else { return };
    let (kms, config) = service();
    let contract = Contract::deploy(&toolchain, [address()]).await;
    let signer = AliyunKmsSigner::open(config).await.unwrap();
    for (fault, numbers) in [(Fault::HighS, 0..600), (Fault::Short, 600..SIGNATURES)] {
        let expected = numbers.clone().count();
        kms.fail(fault.clone());
        assert_eq!(contract.accepts(&signer, numbers).await, expected, "{fault:?}");
        kms.heal();
    }
}
