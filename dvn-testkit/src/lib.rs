//! Real LayerZero V2 contracts on local EVM nodes, for tests, demos and embedders' own tests.
//!
//! A [`Devnet`](devnet::Devnet) is any number of Anvil nodes, each with LayerZero's endpoint, libraries, workers and
//! views, one DVN contract that is ours and one that is not, and three small contracts of our own: an application that
//! sends and receives, a decoy that emits look-alikes of LayerZero's events, and a hostile DVN that emits them in the
//! middle of a genuine send. Every chain is wired to every other. Two chains are ready in about two seconds.
//!
//! ```no_run
//! use dvn_testkit::{devnet::{ChainSpec, Delivery, Devnet}, keys, toolchain::Toolchain};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let toolchain = Toolchain::install(|line| eprintln!("{line}"))?;
//! let signers = [keys::signer(0), keys::signer(1), keys::signer(2)];
//! let devnet = Devnet::builder()
//!     .chain(ChainSpec::ethereum().with_confirmations(2))
//!     .chain(ChainSpec::conflux())
//!     .signers(signers.iter().map(|key| key.address()), 2)
//!     .start(&toolchain)
//!     .await?;
//! let (ethereum, conflux) = (devnet.chain("ethereum")?, devnet.chain("conflux")?);
//!
//! let sent = devnet.send(ethereum, conflux, &[b"hello".to_vec()]).await?;
//! let packet = &sent.packets[0];
//!
//! // What a DVN does, with keys in memory. A node under test does it by itself.
//! let attestation = conflux.attestation(packet, 2).await?;
//! let signatures = attestation.sign(&signers[..2]);
//! conflux.execute(conflux.addresses().dvn, &keys::submitter(0), &[(attestation, signatures)]).await?;
//!
//! assert_eq!(devnet.deliver(packet).await?, Delivery::Delivered);
//! # Ok(())
//! # }
//! ```
//!
//! # What it needs
//!
//! Node.js with npm, once: [`Toolchain::install`](toolchain::Toolchain::install) puts Anvil, LayerZero's compiled
//! contracts and the Solidity compiler under the build folder, in pinned versions. In tests,
//! [`Toolchain::for_test`](toolchain::Toolchain::for_test) finds them or skips the test.
//!
//! # Nodes that fail and lie
//!
//! A [`FaultProxy`](proxy::FaultProxy) stands in front of any node, passes on what no rule is for, and remembers every
//! call. Its rules break the transport, change single answers, or serve a forged branch whose hashes, receipts and
//! proofs all fit, to everybody or to one client. `cargo run -p dvn-testkit --example fault_proxy` runs it alone; its
//! rules are then scripted over HTTP.
//!
//! ```no_run
//! use dvn_testkit::proxy::{Client, Fault, FaultProxy, ForgedBranch, Rule};
//!
//! # async fn example(node: url::Url) -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = FaultProxy::start(node).await?;
//! // One client gets no logs three times, and then old ones.
//! let dvn = Client::header("user-agent", "dvn");
//! proxy.add(Rule::new(Fault::Hang).method("eth_getLogs").from(dvn.clone()).times(3));
//! proxy.add(Rule::new(Fault::StaleHead { blocks: 20 }).from(dvn));
//! // Whoever comes with this query is on a branch that nobody mined.
//! let branch = ForgedBranch::at(1_000).log(Default::default(), [], b"hello".to_vec());
//! proxy.add(Rule::new(Fault::Forge(branch)).from(Client::query("victim")));
//!
//! // Point the program under test to `proxy.url()` or `proxy.ws_url()`. Then:
//! assert!(proxy.traffic().iter().any(|exchange| exchange.method == "eth_getLogs"));
//! # Ok(())
//! # }
//! ```
//!
//! # Devices that fail and lie
//!
//! [`Pkcs11Shim`](pkcs11_shim::Pkcs11Shim) stands in front of a PKCS#11 token, such as the [`SoftHsm`](softhsm::SoftHsm)
//! that is made here with known keys: it hangs, fails with any return value, mixes up keys and repeats nonces.
//!
//! [`AliyunKms`](aliyun_kms::AliyunKms) and [`AwsKms`](aws_kms::AwsKms) stand in for the key management services of
//! Alibaba Cloud and AWS: they check the signature of every request, sign with secp256k1 keys, and fail or lie when they
//! are told to.
#![cfg_attr(
    feature = "gcp_kms",
    doc = "[`GcpKms`](gcp_kms::GcpKms) does the same for Google Cloud's, over gRPC, with the feature `gcp_kms`."
)]
//!
//! # Databases that die
//!
//! [`Postgres`](postgres::Postgres) and [`Redis`](redis::Redis) are real servers of their own, on free ports and with
//! passwords, that can be frozen, killed and started again; [`Sentinel`](redis::Sentinel) and
//! [`Cluster`](redis::Cluster) are several of the latter. [`Cut`](cut::Cut) is a relay in front of any server, whose
//! network it cuts. Everything ends with its value, and with this process however that ends.
//!
//! # What it does not do
//!
//! It knows nothing of this project's other crates: hashes, packets and signatures are its own reading of the
//! contracts, so that a test compares two readings. It does not judge what a node attests, and it is not for
//! production: its keys are known to everybody, and LayerZero's artifacts are licensed for non-production use only.

mod bindings;
mod key_service;
mod transaction;

pub mod aliyun_kms;
pub mod anvil;
pub mod aws_kms;
pub mod contracts;
pub mod cut;
pub mod devnet;
#[cfg(feature = "gcp_kms")]
pub mod gcp_kms;
pub mod keys;
pub mod moto;
pub mod node;
pub mod pkcs11_shim;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod rpc;
pub mod server;
pub mod softhsm;
pub mod tls;
pub mod toolchain;
