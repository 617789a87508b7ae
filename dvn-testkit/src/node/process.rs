use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
};

/// How many log lines may wait for a slow reader before the node is made to wait.
const EVENTS: usize = 10_000;

/// Why a node process is not as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The program or its log file.
    #[error("the node could not be run")]
    Io(#[from] io::Error),
    /// It did not become ready.
    #[error("the node is not ready after {0:?}")]
    NotReady(Duration),
    /// It ended by itself.
    #[error("the node ended with {0}")]
    Ended(ExitStatus),
    /// A line did not come.
    #[error("the node did not say so within {0:?}")]
    Silent(Duration),
}

/// One line of the node's JSON log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeEvent {
    /// When this process read it.
    pub at: Instant,
    /// The line's fields, among them `message`.
    pub fields: Value,
}

impl NodeEvent {
    /// A field as text, without quotes; empty where it is missing.
    #[must_use]
    pub fn text(&self, field: &str) -> String {
        match self.fields.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    /// Whether the line says that a packet came to this state.
    #[must_use]
    pub fn is_move_to(&self, state: &str) -> bool {
        self.text("to") == state
    }
}

/// A running node. Dropping it kills it with SIGKILL.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    events: mpsc::Receiver<NodeEvent>,
    readers: Vec<JoinHandle<()>>,
    log: PathBuf,
    http: SocketAddr,
}

impl NodeProcess {
    /// Starts `binary --config config run`, after `journal init --key-is-new` where its `data_dir` holds no store yet;
    /// one that is kept in a database of its own has to be begun by the caller.
    /// Everything that either prints is appended to `log`. Whatever keeps the first from its work keeps the second from
    /// starting, so that the node itself says what it is.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub async fn spawn(
        binary: &Path,
        config: &Path,
        environment: &[(String, String)],
        port: u16,
        log: &Path,
    ) -> Result<Self, NodeError> {
        if is_new(&tokio::fs::read_to_string(config).await?) {
            begin(binary, config, environment, log).await?;
        }
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(config)
            .arg("run")
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (sender, events) = mpsc::channel(EVENTS);
        let mut readers = Vec::new();
        if let Some(output) = child.stdout.take() {
            readers.push(tokio::spawn(copy(output, appended(log).await?, sender.clone())));
        }
        if let Some(output) = child.stderr.take() {
            readers.push(tokio::spawn(copy(output, appended(log).await?, sender)));
        }
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { child, events, readers, log: log.to_owned(), http })
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where its status page is.
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Waits until `/ready` answers 200.
    ///
    /// # Errors
    /// [`NodeError::Ended`] or [`NodeError::NotReady`].
    pub async fn until_ready(&mut self, patience: Duration) -> Result<(), NodeError> {
        let deadline = Instant::now().checked_add(patience);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(NodeError::Ended(status));
            }
            if self.fetch("ready").await.is_some_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if deadline.is_none_or(|deadline| Instant::now() > deadline) {
                return Err(NodeError::NotReady(patience));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Gets a page of the node's HTTP listener: status and body, or nothing where it does not answer.
    pub async fn fetch(&self, path: &str) -> Option<(u16, String)> {
        fetch(&self.http.to_string(), path).await
    }

    /// The next log line; nothing once the node has ended and everything is read.
    ///
    /// # Cancel safety
    /// No line is lost when the future is dropped.
    pub async fn next_event(&mut self) -> Option<NodeEvent> {
        self.events.recv().await
    }

    /// Reads log lines until one is `wanted`.
    ///
    /// # Errors
    /// [`NodeError::Silent`] where none comes in time.
    pub async fn until_event(
        &mut self,
        patience: Duration,
        wanted: impl Fn(&NodeEvent) -> bool,
    ) -> Result<NodeEvent, NodeError> {
        let search = async {
            while let Some(event) = self.events.recv().await {
                if wanted(&event) {
                    return Some(event);
                }
            }
            None
        };
        tokio::time::timeout(patience, search).await.ok().flatten().ok_or(NodeError::Silent(patience))
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub async fn kill(mut self) -> Result<(), NodeError> {
        self.child.kill().await?;
        self.drain().await;
        Ok(())
    }

    /// Asks it with SIGTERM to stop and waits for its end.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub async fn stop(mut self) -> Result<ExitStatus, NodeError> {
        if let Some(id) = self.child.id() {
            Command::new("kill").arg("-TERM").arg(id.to_string()).status().await?;
        }
        self.wait().await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub async fn wait(&mut self) -> Result<ExitStatus, NodeError> {
        let status = self.child.wait().await?;
        self.drain().await;
        Ok(status)
    }

    /// Everything that it, and those before it with the same log, printed.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub async fn log(&self) -> Result<String, NodeError> {
        Ok(tokio::fs::read_to_string(&self.log).await?)
    }

    async fn drain(&mut self) {
        // Nobody may be reading the lines, and the copies must not wait for a place in the queue then.
        self.events.close();
        for reader in self.readers.drain(..) {
            let _ = reader.await;
        }
    }
}

/// Whether the folder that a configuration names holds no store, and should.
fn is_new(config: &str) -> bool {
    if config.lines().any(|line| line.starts_with("postgres:")) {
        return false;
    }
    let data_dir = config.lines().find_map(|line| line.trim().strip_prefix("data_dir:"));
    let data_dir = data_dir.map_or("./data", |text| text.trim().trim_matches(['"', '\'']));
    !Path::new(data_dir).join("dvn.db").exists()
}

/// What an operator does once, whose key is new.
async fn begin(binary: &Path, config: &Path, environment: &[(String, String)], log: &Path) -> io::Result<()> {
    let begun = Command::new(binary)
        .arg("--config")
        .arg(config)
        .args(["journal", "init", "--key-is-new", "--reason", "the first start of a local node"])
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .output()
        .await?;
    let mut log = appended(log).await?;
    log.write_all(&[begun.stdout, begun.stderr].concat()).await?;
    log.flush().await
}

/// A port that was free a moment ago.
///
/// # Errors
/// When the loopback address cannot be bound.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn appended(log: &Path) -> io::Result<tokio::fs::File> {
    tokio::fs::OpenOptions::new().create(true).append(true).open(log).await
}

/// Copies every line to the log, and those that are JSON to the readers of events.
async fn copy(output: impl tokio::io::AsyncRead + Unpin, mut log: tokio::fs::File, events: mpsc::Sender<NodeEvent>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let at = Instant::now();
        let _ = log.write_all(format!("{line}\n").as_bytes()).await;
        let Ok(parsed) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let _ = events.send(NodeEvent { at, fields: parsed }).await;
    }
    let _ = log.flush().await;
}

/// Asks a node's HTTP listener at `host:port`; nothing where it does not answer.
pub async fn fetch(address: &str, path: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().ok()?;
    let answer = client.get(format!("http://{address}/{path}")).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}
