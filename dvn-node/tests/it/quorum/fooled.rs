//! Two of three nodes are lied to by all their voting seats, so that a forged packet gets its quorum. One of the two has an audit
//! seat; the third was never asked.

use dvn_testkit::{
    devnet::PacketFields,
    node::{NodeSeat, NodeSeats},
    proxy::{Client, Fault, FaultProxy, ForgedBranch, Rule},
};

use super::{Trio, send};
use crate::setup::{PATIENCE, URL_SECRET};

impl Trio {
    /// Lets a node see the source through a seat of its own alone, and perhaps audit it with the true one.
    async fn see_through(&mut self, index: usize, audits: bool) -> FaultProxy {
        let url = self.net.chain("ethereum").url().clone();
        let proxy = FaultProxy::start(url.clone()).await.unwrap();
        let seat = |url, operator: &str| NodeSeat { url, operator: operator.to_owned(), client: "geth".to_owned() };
        let audit = if audits { vec![seat(url, "third")] } else { Vec::new() };
        let seats = NodeSeats { threshold: 1, seats: vec![seat(proxy.url().clone(), "self")], audit };
        let node = &mut self.nodes[index];
        node.config.seats.insert("ethereum".to_owned(), seats);
        node.text = node.config.for_devnet(&self.net.devnet, &["conflux"]).unwrap();
        proxy
    }

    fn says(&self, index: usize, words: &str) -> bool {
        self.nodes[index].log().contains(words)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_packet_that_two_of_three_signed_is_taken_back_by_one_of_them_and_the_third() {
    let Some(mut trio) = Trio::set("two of three are lied to").await else { return };
    let liars = [trio.see_through(0, true).await, trio.see_through(1, false).await];
    let processes = trio.start().await;
    let genuine = send(&trio.net, 2).await;
    trio.net.until_exactly(&genuine).await;

    let source = trio.net.chain("ethereum");
    let last = &genuine[1].fields;
    let fields = PacketFields { nonce: last.nonce + 1, message: b"nobody sent this".to_vec().into(), ..last.clone() };
    let branch = ForgedBranch::at(source.rpc().block_number().await.unwrap() + 3).packet(source, &fields);
    for liar in &liars {
        liar.add(Rule::new(Fault::Forge(branch.clone())).from(Client::query(URL_SECRET)));
    }
    let mut forged = genuine[1].clone();
    (forged.guid, forged.header, forged.payload_hash) = (fields.guid(), fields.header(), fields.payload_hash());
    forged.fields = fields;

    let conflux = trio.net.chain("conflux");
    let taken_back = async {
        loop {
            let logs = conflux.payload_verified_logs().await.unwrap();
            let of_packet = logs.iter().filter(|log| log.payload_hash == forged.payload_hash);
            let stated: Vec<u64> = of_packet.map(|log| log.confirmations).collect();
            if stated.contains(&0) {
                return stated;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let stated = tokio::time::timeout(PATIENCE, taken_back).await;
    let stated = stated.unwrap_or_else(|_| panic!("it stands\n{}", trio.nodes[0].log()));
    assert_eq!(stated[0], 2, "it was attested by a quorum before");
    assert_eq!(trio.net.devnet.hash_lookup(&forged, conflux.addresses().dvn).await.unwrap(), Some(0));
    assert!(trio.net.devnet.commit(&forged).await.is_err(), "the receive library refuses to commit");
    assert!(trio.says(2, "a peer's retraction is cosigned"), "{}", trio.nodes[2].log());
    for packet in &genuine {
        assert_eq!(trio.net.devnet.hash_lookup(packet, conflux.addresses().dvn).await.unwrap(), Some(2));
    }
    for process in processes {
        assert!(process.stop().await.unwrap().success());
    }
}
