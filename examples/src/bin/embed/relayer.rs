//! The relayer that runs already. It calls what it is told to call, from its own wallet, and knows nothing of DVNs.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use dvn_testkit::{
    devnet::{Devnet, DevnetError},
    keys::{self, Key},
    rpc::Receipt,
};
use tokio::sync::mpsc;

/// How many orders wait before the relayer takes no more for the moment.
const CAPACITY: usize = 16;

/// A call to make.
#[derive(Debug)]
pub(crate) struct Order {
    /// Names it in reports.
    pub(crate) number: u64,
    /// Whom to call.
    pub(crate) to: Address,
    /// With what.
    pub(crate) input: Bytes,
}

/// What became of an order.
#[derive(Debug)]
pub(crate) struct Report {
    /// Which one.
    pub(crate) number: u64,
    /// The mined transaction, or nothing where the order failed and may be given again.
    pub(crate) receipt: Option<Receipt>,
}

/// The relayer as its customers see it.
#[derive(Debug)]
pub(crate) struct Relayer {
    /// Who pays gas.
    pub(crate) wallet: Address,
    /// Takes orders.
    pub(crate) orders: mpsc::Sender<Order>,
    /// Tells what became of them.
    pub(crate) reports: mpsc::Receiver<Report>,
}

/// Starts the relayer, which ends when nobody gives orders any more.
pub(crate) fn start(devnet: Arc<Devnet>, chain: &'static str) -> Relayer {
    let wallet = keys::submitter(0);
    let address = wallet.address();
    let (orders, mut taken) = mpsc::channel::<Order>(CAPACITY);
    let (tell, reports) = mpsc::channel(CAPACITY);
    tokio::spawn(async move {
        while let Some(order) = taken.recv().await {
            let receipt = match relay(&devnet, chain, &wallet, &order).await {
                Ok((hash, receipt)) => {
                    println!("relayer: order {} is mined in transaction {hash}", order.number);
                    Some(receipt)
                }
                Err(error) => {
                    println!("relayer: order {} failed: {error}", order.number);
                    None
                }
            };
            if tell.send(Report { number: order.number, receipt }).await.is_err() {
                break;
            }
        }
    });
    Relayer { wallet: address, orders, reports }
}

async fn relay(devnet: &Devnet, chain: &str, wallet: &Key, order: &Order) -> Result<(B256, Receipt), DevnetError> {
    let chain = devnet.chain(chain)?;
    let hash = chain.submit(wallet, order.to, U256::ZERO, order.input.clone()).await?;
    Ok((hash, chain.rpc().wait_for_receipt(hash).await?))
}
