//! Sends through the test application, honestly or among look-alikes.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;

use super::{Chain, DevnetError, PacketFields, SentPackets};
use crate::{
    bindings::{DecoyContract, HostileForgery, OApp, OAppDecoys},
    keys,
};

/// Gas that the executor is paid to spend on delivery.
const DELIVERY_GAS: u128 = 200_000;

/// Options of type 3 with one entry: worker 1 (the executor), 17 bytes, kind 1 (gas of `lzReceive`).
const OPTIONS_PREFIX: [u8; 6] = [0x00, 0x03, 0x01, 0x00, 0x11, 0x01];

/// Messages to send in one transaction.
#[derive(Debug, Clone)]
pub struct SendRequest<'a> {
    source: &'a Chain,
    destination: &'a Chain,
    messages: Vec<Bytes>,
    oapp: Address,
    receiver: Address,
    decoys: Option<Decoys>,
}

impl<'a> SendRequest<'a> {
    /// From the application of `source` to that of `destination`.
    pub fn new(source: &'a Chain, destination: &'a Chain, messages: &[Vec<u8>]) -> Self {
        Self {
            source,
            destination,
            messages: messages.iter().map(|message| Bytes::copy_from_slice(message)).collect(),
            oapp: source.addresses().oapp,
            receiver: destination.addresses().oapp,
            decoys: None,
        }
    }

    /// Sends from another application of the source, see [`Chain::deploy_oapp`].
    #[must_use]
    pub const fn from_oapp(mut self, oapp: Address) -> Self {
        self.oapp = oapp;
        self
    }

    /// Sends to another address of the destination.
    #[must_use]
    pub const fn to(mut self, receiver: Address) -> Self {
        self.receiver = receiver;
        self
    }

    /// Emits look-alikes in the same transaction.
    #[must_use]
    pub fn with_decoys(mut self, decoys: Decoys) -> Self {
        self.decoys = Some(decoys);
        self
    }

    /// Sends and waits until the transaction is mined.
    ///
    /// # Errors
    /// When the endpoint refuses, the node cannot be reached, or the packets cannot be read from the receipt.
    pub async fn send(&self) -> Result<SentPackets, DevnetError> {
        let transaction = self.submit().await?;
        let receipt = self.source.rpc().wait_for_receipt(transaction).await?;
        if receipt.status.is_zero() {
            return Err(DevnetError::Reverted { chain: self.source.name().to_owned(), transaction });
        }
        SentPackets::from_receipt(self.source, receipt)
    }

    /// Sends and does not wait; [`SentPackets::from_receipt`] reads the result when there is one.
    ///
    /// # Errors
    /// When the endpoint refuses or the node cannot be reached.
    pub async fn submit(&self) -> Result<B256, DevnetError> {
        let quote = OApp::quoteCall {
            dstEid: self.destination.eid(),
            receiver: self.receiver.into_word(),
            messages: self.messages.clone(),
            options: options(),
        };
        let fee = self.source.rpc().call(self.oapp, &quote).await?;
        self.source.submit(&keys::deployer(), self.oapp, fee, self.input()).await
    }

    /// The plainest function of the application that does the work.
    fn input(&self) -> Bytes {
        let (to, receiver) = (self.destination.eid(), self.receiver.into_word());
        let messages = self.messages.clone();
        let encoded = match (&self.decoys, messages.as_slice()) {
            (Some(decoys), _) => {
                let decoys = decoys.bind(self.source.addresses().decoy);
                OApp::sendManyWithDecoysCall { dstEid: to, receiver, messages, options: options(), decoys }.abi_encode()
            }
            (None, [message]) => {
                OApp::sendCall { dstEid: to, receiver, message: message.clone(), options: options() }.abi_encode()
            }
            (None, _) => OApp::sendManyCall { dstEid: to, receiver, messages, options: options() }.abi_encode(),
        };
        encoded.into()
    }
}

/// An event that looks like one of LayerZero's and comes from the decoy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LookAlike {
    /// Looks like the endpoint's.
    PacketSent {
        /// Any bytes; a packet if it shall look genuine.
        encoded: Bytes,
        /// Executor options.
        options: Bytes,
        /// The library that allegedly sent it.
        send_library: Address,
    },
    /// Looks like the send library's.
    DvnFeePaid {
        /// DVNs that allegedly must verify.
        required: Vec<Address>,
        /// DVNs that allegedly may.
        optional: Vec<Address>,
        /// What they allegedly were paid.
        fees: Vec<U256>,
    },
}

/// Look-alikes around the genuine sends of one transaction.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nowhere else in a transaction to put one")]
pub struct Decoys {
    /// Before the first send.
    pub first: Vec<LookAlike>,
    /// Between two sends, each time.
    pub between: Vec<LookAlike>,
    /// After the last send.
    pub last: Vec<LookAlike>,
}

impl Decoys {
    /// The likeliest forgery, in all three places: our DVN paid, and then `packet` from the genuine library.
    pub fn everywhere(source: &Chain, packet: &PacketFields) -> Self {
        let forged = Forgery::of(source, packet);
        let pair = vec![
            LookAlike::DvnFeePaid { required: forged.required, optional: forged.optional, fees: forged.fees },
            LookAlike::PacketSent {
                encoded: forged.encoded,
                options: forged.options,
                send_library: forged.send_library,
            },
        ];
        Self { first: pair.clone(), between: pair.clone(), last: pair }
    }

    fn bind(&self, target: Address) -> OAppDecoys {
        let calls = |look_alikes: &[LookAlike]| look_alikes.iter().map(LookAlike::call).collect();
        OAppDecoys { target, first: calls(&self.first), between: calls(&self.between), last: calls(&self.last) }
    }
}

impl LookAlike {
    fn call(&self) -> Bytes {
        let encoded = match self.clone() {
            Self::PacketSent { encoded, options, send_library } => {
                DecoyContract::packetSentCall { encoded, options, sendLibrary: send_library }.abi_encode()
            }
            Self::DvnFeePaid { required, optional, fees } => {
                DecoyContract::dvnFeePaidCall { required, optional, fees }.abi_encode()
            }
        };
        encoded.into()
    }
}

/// What the hostile DVN emits in the middle of a send: `DVNFeePaid`, then `PacketSent`.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "these are the events' fields")]
pub struct Forgery {
    /// Any bytes; a packet if it shall look genuine.
    pub encoded: Bytes,
    /// Executor options.
    pub options: Bytes,
    /// The library that allegedly sent it.
    pub send_library: Address,
    /// DVNs that allegedly must verify.
    pub required: Vec<Address>,
    /// DVNs that allegedly may.
    pub optional: Vec<Address>,
    /// What they allegedly were paid.
    pub fees: Vec<U256>,
}

impl Forgery {
    /// Our DVN paid one gwei for `packet`, from the genuine send library of `source`.
    pub fn of(source: &Chain, packet: &PacketFields) -> Self {
        let at = source.addresses();
        Self {
            encoded: packet.encode(),
            options: options(),
            send_library: at.send_lib,
            required: vec![at.dvn],
            optional: Vec::new(),
            fees: vec![U256::from(1_000_000_000)],
        }
    }
}

impl From<Forgery> for HostileForgery {
    fn from(forgery: Forgery) -> Self {
        Self {
            encoded: forgery.encoded,
            options: forgery.options,
            sendLibrary: forgery.send_library,
            required: forgery.required,
            optional: forgery.optional,
            fees: forgery.fees,
        }
    }
}

fn options() -> Bytes {
    [OPTIONS_PREFIX.as_slice(), &DELIVERY_GAS.to_be_bytes()].concat().into()
}
