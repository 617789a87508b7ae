//! Chains and nodes.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use dvn_testkit::{
    devnet::{Chain, ChainSpec, Devnet, Mining},
    keys,
    node::{NodeConfig, NodeKeys, NodePeer, NodeQuorum, NodeSeat, NodeSeats, free_port},
    tls::Authority,
    toolchain::Toolchain,
};
use futures::future::try_join_all;

use super::{LoadError, Options, authority, process::Running};

/// Sources take thousands of packets in one block; destinations have the local node's own limit, 30 million.
const SOURCE_GAS: u64 = 400_000_000;
/// How far behind the newest block the local nodes' finalized one is.
pub(super) const FINAL_BEHIND: u64 = 2;
/// No packet becomes so deep while it is held.
const UNREACHABLE: u64 = 100_000;
const READY: Duration = Duration::from_secs(60);

pub(super) struct Stage {
    pub(super) devnet: Devnet,
    pub(super) options: Options,
    members: Vec<Member>,
}

struct Member {
    config: NodeConfig,
    file: PathBuf,
    log: PathBuf,
}

impl Stage {
    pub(super) async fn set(
        options: &Options,
        toolchain: &Toolchain,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Self, LoadError> {
        let _ = fs::remove_dir_all(&options.folder);
        fs::create_dir_all(&options.folder)?;
        say(&format!("starting {} chains", options.sources.saturating_add(options.destinations)));
        let nodes = options.node_count();
        let [signers, submitters] =
            [keys::signer, keys::submitter].map(|key| (0..nodes).map(move |at| key(at).address()));
        let mut builder = Devnet::builder()
            .signers(signers, u64::try_from(options.quorum).unwrap_or(u64::MAX))
            .submitters(submitters)
            .mining(Mining::Interval(Duration::from_secs(options.block_time)));
        for (number, eid) in (1..=options.sources).zip(30_501_u32..) {
            let mut spec = ChainSpec::new(format!("source-{number}"), 700_000_u64.saturating_add(eid.into()), eid);
            spec.anvil.block_gas_limit = SOURCE_GAS;
            builder = builder.chain(spec);
        }
        for (number, eid) in (1..=options.destinations).zip(30_601_u32..) {
            let id = 700_000_u64.saturating_add(eid.into());
            builder = builder.chain(ChainSpec::new(format!("destination-{number}"), id, eid));
        }
        let devnet = builder.start(toolchain).await?;
        let mut stage = Self { devnet, options: options.clone(), members: Vec::new() };
        stage.members = stage.members()?;
        Ok(stage)
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &Chain> {
        self.devnet.chains().iter().take(self.options.sources)
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = &Chain> {
        self.devnet.chains().iter().skip(self.options.sources)
    }

    /// Every chain's height.
    pub(super) async fn heights(&self) -> Result<BTreeMap<String, u64>, LoadError> {
        let heights = self.devnet.chains().iter().map(|chain| async move {
            Ok::<_, LoadError>((chain.name().to_owned(), chain.rpc().block_number().await?))
        });
        Ok(try_join_all(heights).await?.into_iter().collect())
    }

    /// The height at which a source tells that a packet of this block may be signed: the contracts ask for the chain's
    /// confirmations, the node waits for the finalized block.
    pub(super) fn signable_at(source: &Chain, block: u64) -> u64 {
        block.saturating_add(source.confirmations().max(FINAL_BEHIND))
    }

    pub(super) async fn start_nodes(&self) -> Result<Vec<Running>, LoadError> {
        let mut nodes = Vec::new();
        for member in &self.members {
            let Member { config, file, log } = member;
            nodes.push(Running::spawn(&self.options.node, config, file, log).await?);
        }
        try_join_all(nodes.iter().map(|node| node.until_ready(READY))).await?;
        Ok(nodes)
    }

    fn members(&self) -> Result<Vec<Member>, LoadError> {
        let count = self.options.node_count();
        let authority = authority()?;
        let ports = (0..count).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let peers = ports.iter().enumerate().map(|(index, port)| NodePeer {
            name: name(index),
            port: *port,
            address: keys::signer(index).address(),
        });
        let peers: Vec<_> = peers.collect();
        (0..count).map(|index| self.member(index, &peers, &authority)).collect()
    }

    fn member(&self, index: usize, peers: &[NodePeer], authority: &Authority) -> Result<Member, LoadError> {
        let own = name(index);
        let home = self.options.folder.join(&own);
        fs::create_dir_all(&home)?;
        let mut config = NodeConfig::new(home.join("data"), free_port()?);
        config.keys =
            NodeKeys::Local { signer: Box::new(keys::signer(index)), sender: Box::new(keys::submitter(index)) };
        config.block_time_ms = self.options.block_time.saturating_mul(1_000);
        config.pushes_heads = !self.options.polled;
        config.class = Some(self.options.class.clone());
        config.batch_items = Some(self.options.batch);
        // A load begins at the head; what was there before is the deployment.
        config.start_block = None;
        if self.options.hold.is_some() {
            config.confirmations = UNREACHABLE;
        }
        if let Some(me) = peers.iter().find(|peer| peer.name == own).filter(|_| peers.len() > 1) {
            config.quorum = Some(NodeQuorum {
                quorum: self.options.quorum,
                port: me.port,
                tls: authority.issue(&own, &home)?,
                peers: peers.iter().filter(|peer| peer.name != own).cloned().collect(),
            });
        }
        config.name.clone_from(&own);
        for chain in self.devnet.chains() {
            config.seats.insert(chain.name().to_owned(), self.seats(chain));
        }
        let (sources, targets): (Vec<_>, Vec<_>) = (self.sources().collect(), self.destinations().collect());
        let file = home.join("config.yaml");
        fs::write(&file, config.render(&sources, &targets))?;
        Ok(Member { config, file, log: home.join("node.log") })
    }

    /// All at one node, which takes any query for its own: their answers agree, and their calls are told together.
    fn seats(&self, chain: &Chain) -> NodeSeats {
        let seat = |number: usize| {
            let mut url = chain.url().clone();
            url.set_query(Some(&format!("seat={number}")));
            NodeSeat { url, operator: "self".to_owned(), client: "anvil".to_owned() }
        };
        let seats: Vec<_> = (1..=self.options.seats).map(seat).collect();
        NodeSeats { threshold: seats.len(), seats, audit: Vec::new() }
    }
}

fn name(index: usize) -> String {
    format!("dvn-node-{}", index.saturating_add(1))
}
