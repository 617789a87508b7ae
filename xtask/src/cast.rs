//! The nodes, their devices, their seats and the chains between which they stand.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::Bytes;
use dvn_testkit::{
    aliyun_kms::{self, AliyunKms},
    aws_kms::{self, AwsKms},
    devnet::{ChainSpec, Devnet, Mining, SentPacket},
    keys,
    node::{NodeConfig, NodeKeys, NodePeer, NodeProcess, NodeQuorum, NodeSeat, NodeSeats, fetch, free_port},
    proxy::FaultProxy,
    softhsm::{SoftHsm, TOKEN_LABEL},
    tls::Authority,
};

use crate::{
    Failure,
    command::{self, cargo, say, target},
    setup,
    stage::{DESTINATION, SOURCES, failure},
};

/// How many nodes there are.
pub(crate) const NODES: usize = 3;
const QUORUM: usize = 2;
const PIN: &str = "demo-pin-271828";

/// Everything that is needed to start each node.
pub(crate) struct Cast {
    devnet: Devnet,
    folder: PathBuf,
    binary: PathBuf,
    nodes: Vec<Member>,
    /// What the devices and seats are, which live as long as this.
    _aws: AwsKms,
    _aliyun: AliyunKms,
    _proxies: Vec<FaultProxy>,
}

struct Member {
    name: String,
    device: &'static str,
    config: NodeConfig,
    file: PathBuf,
    log: PathBuf,
}

impl Cast {
    /// Builds the node, installs what is missing, starts chains, devices and seats, and writes every configuration.
    pub(crate) async fn set(name: &str) -> Result<Self, Failure> {
        say("building dvn-node");
        command::run(cargo().args(["build", "--quiet", "--locked", "--package", "dvn-node"]))?;
        say("preparing the local nodes and contracts");
        let toolchain = setup::toolchain()?;
        let folder = target().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|error| failure(&error))?;
        say(&format!("starting three chains whose DVN contract asks for {QUORUM} of {NODES} signatures"));
        let [signers, submitters] =
            [keys::signer, keys::submitter].map(|key| (0..NODES).map(move |at| key(at).address()));
        let devnet = Devnet::builder()
            .chain(ChainSpec::ethereum().with_confirmations(2))
            .chain(ChainSpec::arbitrum().with_confirmations(2))
            .chain(ChainSpec::conflux())
            .signers(signers, u64::try_from(QUORUM).unwrap_or(u64::MAX))
            .submitters(submitters)
            .mining(Mining::Interval(Duration::from_secs(1)))
            .start(&toolchain)
            .await
            .map_err(|error| failure(&error))?;
        let aws = AwsKms::start().map_err(|error| failure(&error))?;
        let aliyun = AliyunKms::start().map_err(|error| failure(&error))?;
        let devices = [token(&folder)?, in_aws(&aws), in_aliyun(&aliyun)];
        let mut proxies = Vec::new();
        let nodes = members(&devnet, &folder, devices, &mut proxies).await?;
        let binary = target().join("debug").join("dvn-node");
        Ok(Self { devnet, folder, binary, nodes, _aws: aws, _aliyun: aliyun, _proxies: proxies })
    }

    /// Starts a node and waits until it is ready.
    pub(crate) async fn start(&self, index: usize) -> Result<NodeProcess, Failure> {
        let member = self.nodes.get(index).ok_or_else(|| Failure::new("no such node"))?;
        let environment = member.config.environment();
        let spawned = NodeProcess::spawn(&self.binary, &member.file, &environment, member.config.port, &member.log);
        let mut node = spawned.await.map_err(|error| failure(&error))?;
        node.until_ready(Duration::from_secs(60)).await.map_err(|error| failure(&error))?;
        say(&format!("{} is ready, its key in {}: http://{}/", member.name, member.device, node.http()));
        Ok(node)
    }

    /// What the nodes that run measure.
    pub(crate) async fn metrics(&self) -> Vec<String> {
        let mut metrics = Vec::new();
        for member in &self.nodes {
            let answer = fetch(&format!("127.0.0.1:{}", member.config.port), "metrics").await;
            metrics.extend(answer.map(|(_, text)| text));
        }
        metrics
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        self.nodes.get(index).map_or("", |member| &member.name)
    }

    pub(crate) fn device(&self, index: usize) -> &'static str {
        self.nodes.get(index).map_or("", |member| member.device)
    }

    pub(crate) fn log(&self, index: usize) -> PathBuf {
        self.nodes.get(index).map(|member| member.log.clone()).unwrap_or_default()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) const fn devnet(&self) -> &Devnet {
        &self.devnet
    }

    /// Sends so many packets, each in a transaction of its own, from both sources in turn.
    pub(crate) async fn send(&self, count: usize) -> Result<Vec<SentPacket>, Failure> {
        let to = self.devnet.chain(DESTINATION).map_err(|error| failure(&error))?;
        let mut packets = Vec::new();
        for (number, source) in SOURCES.iter().cycle().take(count).enumerate() {
            let from = self.devnet.chain(source).map_err(|error| failure(&error))?;
            let message = format!("{source} says {number}").into_bytes();
            let sent = self.devnet.send(from, to, &[message]).await.map_err(|error| failure(&error))?;
            packets.extend(sent.packets);
        }
        Ok(packets)
    }

    /// Sends so many packets from each source, those of one source in one transaction.
    pub(crate) async fn send_together(&self, count: usize) -> Result<Vec<SentPacket>, Failure> {
        let to = self.devnet.chain(DESTINATION).map_err(|error| failure(&error))?;
        let mut packets = Vec::new();
        for source in SOURCES {
            let from = self.devnet.chain(source).map_err(|error| failure(&error))?;
            let messages: Vec<_> = (0..count).map(|number| format!("{source} says {number}").into_bytes()).collect();
            packets.extend(self.devnet.send(from, to, &messages).await.map_err(|error| failure(&error))?.packets);
        }
        Ok(packets)
    }

    /// How often the destination says that our DVN verified each header.
    pub(crate) async fn executed(&self) -> Result<Vec<(Bytes, usize)>, Failure> {
        let chain = self.devnet.chain(DESTINATION).map_err(|error| failure(&error))?;
        let logs = chain.payload_verified_logs().await.map_err(|error| failure(&error))?;
        let mut counts = BTreeMap::<Bytes, usize>::new();
        for log in logs {
            let count = counts.entry(log.header).or_default();
            *count = count.saturating_add(1);
        }
        Ok(counts.into_iter().collect())
    }
}

type Device = (&'static str, Vec<String>, Vec<(String, String)>);

fn token(folder: &Path) -> Result<Device, Failure> {
    if !setup::soft_hsm() {
        return Err(Failure::new("three devices need SoftHSM, which could not be installed"));
    }
    let [label, _] = NodeKeys::LABELS;
    let token = SoftHsm::create(&folder.join("hsm"), PIN, &[(label, &keys::signer(0))]);
    let token = token.map_err(|error| failure(&error))?;
    let library = token.path().display();
    let block = vec![
        "provider: pkcs11".to_owned(),
        format!(
            "pkcs11: {{ library: \"{library}\", token_label: {TOKEN_LABEL}, key_label: {label}, pin_env: HSM_PIN }}"
        ),
    ];
    let mut environment = token.environment();
    environment.push(("HSM_PIN".to_owned(), PIN.to_owned()));
    Ok(("a SoftHSM token", block, environment))
}

fn in_aws(kms: &AwsKms) -> Device {
    let (key, url) = (kms.create_key(keys::signer(1).secret().0), kms.url());
    let block = vec![
        "provider: aws-kms".to_owned(),
        format!("aws-kms: {{ region: {}, key_id: \"{}\", endpoint: \"{url}\", {} }}", aws_kms::REGION, key.id, AWS),
    ];
    let environment = [("AWS_ID", aws_kms::ACCESS_KEY_ID), ("AWS_SECRET", aws_kms::SECRET_ACCESS_KEY)];
    ("AWS KMS (stand-in)", block, environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

const AWS: &str = "access_key_id_env: AWS_ID, secret_access_key_env: AWS_SECRET";
const ALIYUN: &str = "access_key_id_env: ALIYUN_ID, access_key_secret_env: ALIYUN_SECRET";

fn in_aliyun(kms: &AliyunKms) -> Device {
    let (key, url) = (kms.create_key(keys::signer(2).secret().0), kms.url());
    let block = vec![
        "provider: aliyun".to_owned(),
        format!("aliyun: {{ region: cn-hangzhou, key_id: \"{}\", endpoint: \"{url}\", {ALIYUN} }}", key.id),
    ];
    let environment = [("ALIYUN_ID", aliyun_kms::ACCESS_KEY_ID), ("ALIYUN_SECRET", aliyun_kms::ACCESS_KEY_SECRET)];
    ("Aliyun KMS (stand-in)", block, environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

/// Each with certificates, ports and seats of its own.
async fn members(
    devnet: &Devnet,
    folder: &Path,
    devices: [Device; NODES],
    proxies: &mut Vec<FaultProxy>,
) -> Result<Vec<Member>, Failure> {
    let authority = Authority::new().map_err(|error| failure(&error))?;
    let ports = (0..NODES).map(|_| free_port()).collect::<Result<Vec<_>, _>>().map_err(|error| failure(&error))?;
    let name = |index: usize| format!("dvn-node-{}", index.saturating_add(1));
    let peers: Vec<NodePeer> = ports
        .iter()
        .enumerate()
        .map(|(index, port)| NodePeer { name: name(index), port: *port, address: keys::signer(index).address() })
        .collect();
    let mut members = Vec::new();
    for (index, (device, block, environment)) in devices.into_iter().enumerate() {
        let own = name(index);
        let home = folder.join(&own);
        std::fs::create_dir_all(&home).map_err(|error| failure(&error))?;
        let mut config = NodeConfig::new(home.join("data"), free_port().map_err(|error| failure(&error))?);
        config.keys = NodeKeys::Device { block, environment, sender: Box::new(keys::submitter(index)) };
        config.quorum = Some(NodeQuorum {
            quorum: QUORUM,
            port: ports.get(index).copied().unwrap_or_default(),
            tls: authority.issue(&own, &home).map_err(|error| failure(&error))?,
            peers: peers.iter().filter(|peer| peer.name != own).cloned().collect(),
        });
        config.name.clone_from(&own);
        for chain in devnet.chains() {
            let proxy = FaultProxy::start(chain.url().clone()).await.map_err(|error| failure(&error))?;
            let seat = NodeSeat { url: proxy.url().clone(), operator: own.clone(), client: "anvil".to_owned() };
            config
                .seats
                .insert(chain.name().to_owned(), NodeSeats { threshold: 1, seats: vec![seat], audit: Vec::new() });
            proxies.push(proxy);
        }
        let file = home.join("config.yaml");
        let text = config.for_devnet(devnet, &[DESTINATION]).map_err(|error| failure(&error))?;
        std::fs::write(&file, text).map_err(|error| failure(&error))?;
        members.push(Member { name: own, device, config, file, log: home.join("node.log") });
    }
    Ok(members)
}
