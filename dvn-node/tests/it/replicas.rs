//! Two processes of one member on one PostgreSQL and one Redis, while everything that they need is taken away in turn: themselves,
//! the queue, the database, the network. What happened is read from the chain alone. `cargo xtask soak --replicas` does it with
//! 2,000 packets.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use dvn_testkit::{
    cut::Cut,
    devnet::SentPacket,
    node::{NodeDatabase, NodeProcess, NodeRedis},
    postgres::{self, Postgres},
    redis::Redis,
};

use crate::setup::{Net, Node, PATIENCE, text};

const REPLICAS: usize = 2;
const DATABASE: &str = "dvn";
/// Sent in one transaction.
const TOGETHER: usize = 20;
/// How long each trouble lasts.
const TROUBLE: Duration = Duration::from_secs(4);
/// How long nothing may come through once there is no trouble any more.
const SETTLING: Duration = Duration::from_secs(90);

/// The servers, and the wires of each replica to them.
struct Shared {
    postgres: Postgres,
    redis: Redis,
    wires: Vec<(Cut, Cut)>,
}

impl Shared {
    async fn start() -> Option<Self> {
        let postgres = Postgres::is_there("replicas").then(|| Postgres::start().unwrap())?;
        let redis = Redis::for_test("replicas")?;
        postgres.create_database(DATABASE).unwrap();
        let mut wires = Vec::new();
        for _ in 0..REPLICAS {
            let to_postgres = Cut::start(SocketAddr::from(([127, 0, 0, 1], postgres.port()))).await.unwrap();
            let to_redis = Cut::start(redis.address()).await.unwrap();
            wires.push((to_postgres, to_redis));
        }
        Some(Self { postgres, redis, wires })
    }

    fn node(&self, net: &Net, index: usize) -> Node {
        let (to_postgres, to_redis): (SocketAddr, SocketAddr) =
            (self.wires[index].0.address(), self.wires[index].1.address());
        let database = NodeDatabase {
            address: to_postgres,
            database: DATABASE.to_owned(),
            user: postgres::USER.to_owned(),
            password: self.postgres.password().to_owned(),
        };
        let redis = NodeRedis { address: to_redis, password: self.redis.password().to_owned() };
        Node::with(net, |config| {
            config.name = format!("replica-{index}");
            config.postgres = Some(database);
            config.redis = Some(redis);
        })
    }
}

/// The replicas, and the processes of those that run.
struct Pair {
    nodes: Vec<Node>,
    running: Vec<Option<NodeProcess>>,
}

impl Pair {
    async fn start(net: &Net, shared: &Shared) -> Self {
        let nodes: Vec<Node> = (0..REPLICAS).map(|index| shared.node(net, index)).collect();
        for (index, words) in [
            &["journal", "init", "--key-is-new", "--reason", "the first replica"] as &[&str],
            &["journal", "mirror", "--replica", "--reason", "the second replica"],
        ]
        .into_iter()
        .enumerate()
        {
            let done = nodes[index].command(words);
            assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
        }
        let mut pair = Self { nodes, running: Vec::new() };
        for index in 0..REPLICAS {
            pair.running.push(None);
            pair.start_one(index).await;
        }
        pair
    }

    async fn start_one(&mut self, index: usize) {
        let mut process = self.nodes[index].spawn().await;
        if let Err(error) = process.until_ready(PATIENCE).await {
            panic!("{error}\n{}", self.nodes[index].log());
        }
        self.running[index] = Some(process);
    }

    async fn kill(&mut self, index: usize) {
        self.running[index].take().unwrap().kill().await.unwrap();
    }
}

/// Everything that is taken away, one after the other.
async fn trouble(kind: usize, pair: &mut Pair, shared: &Shared) -> &'static str {
    let index = kind / TROUBLES % REPLICAS;
    let (to_postgres, to_redis) = &shared.wires[index];
    match kind % TROUBLES {
        0 => {
            pair.kill(index).await;
            tokio::time::sleep(TROUBLE).await;
            pair.start_one(index).await;
            "a replica was killed"
        }
        1 => {
            shared.redis.flush_all().unwrap();
            "Redis was flushed"
        }
        2 => {
            shared.redis.kill().unwrap();
            tokio::time::sleep(TROUBLE).await;
            shared.redis.start_again().unwrap();
            "Redis was killed and started again"
        }
        3 => {
            shared.postgres.restart().unwrap();
            "PostgreSQL was restarted"
        }
        4 => {
            shared.postgres.pause().unwrap();
            tokio::time::sleep(TROUBLE).await;
            shared.postgres.resume().unwrap();
            "PostgreSQL was paused"
        }
        5 => {
            to_postgres.cut().await;
            tokio::time::sleep(TROUBLE).await;
            to_postgres.heal().await;
            "a replica was cut off from PostgreSQL"
        }
        6 => {
            to_postgres.silence().await;
            tokio::time::sleep(TROUBLE).await;
            to_postgres.heal().await;
            "a replica heard nothing from PostgreSQL"
        }
        7 => {
            to_redis.silence().await;
            tokio::time::sleep(TROUBLE).await;
            to_redis.heal().await;
            "a replica heard nothing from Redis"
        }
        8 => {
            shared.postgres.stop_immediately().unwrap();
            shared.postgres.start_again().unwrap();
            "PostgreSQL crashed"
        }
        _ => {
            shared.redis.pause().unwrap();
            tokio::time::sleep(TROUBLE).await;
            shared.redis.resume().unwrap();
            "Redis was paused"
        }
    }
}

const TROUBLES: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_lose_nothing_and_repeat_nothing_whatever_is_taken_away() {
    let packets: usize = std::env::var("DVN_REPLICA_PACKETS").map_or(200, |number| number.parse().unwrap());
    let Some(net) = Net::pair("replicas").await else { return };
    let Some(shared) = Shared::start().await else { return };
    let mut pair = Pair::start(&net, &shared).await;
    let begun = Instant::now();
    let sending = async {
        let mut sent: Vec<SentPacket> = Vec::new();
        while sent.len() < packets {
            sent.extend(net.send("ethereum", TOGETHER).await);
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        sent
    };
    tokio::pin!(sending);
    let (mut kind, mut sent) = (0, None);
    // Every trouble once at least, however few packets there are.
    while sent.is_none() || kind < TROUBLES {
        let troubling = async {
            let what = trouble(kind, &mut pair, &shared).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            println!("{:>5.1} s: {what}", begun.elapsed().as_secs_f64());
        };
        if sent.is_some() {
            troubling.await;
        } else {
            // Packets are sent all the while.
            let both = async {
                tokio::pin!(troubling);
                tokio::select! {
                    () = &mut troubling => None,
                    done = &mut sending => {
                        troubling.await;
                        Some(done)
                    }
                }
            };
            sent = both.await;
        }
        kind += 1;
    }
    let sent = sent.unwrap();
    println!("{:>5.1} s: all are sent, {} are attested", begun.elapsed().as_secs_f64(), net.verified().await.len());
    settle(&net, &pair, &sent).await;
    // Whatever is in flight has had its second chance by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    net.assert_exactly(&sent).await;
    println!("{} packets, {kind} troubles, {:.0} s: each executed once", sent.len(), begun.elapsed().as_secs_f64());
    for process in pair.running.into_iter().flatten() {
        assert!(process.stop().await.unwrap().success());
    }
    for node in &pair.nodes {
        node.assert_no_secrets();
    }
}

/// Waits while packets still come through.
async fn settle(net: &Net, pair: &Pair, sent: &[SentPacket]) {
    let (mut least, mut since) = (usize::MAX, Instant::now());
    loop {
        let verified = net.verified().await;
        let missing = sent.iter().filter(|packet| !verified.contains_key(packet.header.as_ref())).count();
        if missing == 0 {
            return;
        }
        if missing < least {
            (least, since) = (missing, Instant::now());
        }
        if since.elapsed() > SETTLING {
            let told = told(pair);
            panic!("{missing} of {} packets are not attested, and none came for {SETTLING:?}\n{told}", sent.len());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What the replicas say of it.
fn told(pair: &Pair) -> String {
    let status = pair.nodes[0].command(&["status"]);
    let mut told = text(&status.stdout);
    for node in &pair.nodes {
        let log = node.log();
        let lines: Vec<&str> = log.lines().collect();
        told.push_str(&lines[lines.len().saturating_sub(40)..].join("\n"));
        told.push('\n');
    }
    told
}
