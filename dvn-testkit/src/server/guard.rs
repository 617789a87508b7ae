//! Ends a server when this process ends without having done so: killed, aborted, or with the server in a static.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Reads the ids of what is to be killed, the latest line counting, and acts at the end of its input, which comes with
/// the end of whoever holds the other side. What a terminal sends to everybody is not for it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
ids=''
while read -r line; do ids=$line; done
if [ -n "$ids" ]; then
    kill -KILL $ids 2>/dev/null
    sleep 1
fi
rm -rf "$1"
"#;

/// The watcher of one server.
#[derive(Debug)]
pub(super) struct Guard {
    watcher: Child,
}

impl Guard {
    /// A watcher that knows of no process yet. `folder` is removed when it acts.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "guard"]).arg(folder);
        let watcher = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { watcher })
    }

    /// From now on these are killed when this process ends.
    pub(super) fn watch(&mut self, processes: &[u32]) -> io::Result<()> {
        let ids = processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        match &mut self.watcher.stdin {
            Some(input) => writeln!(input, "{ids}"),
            None => Err(io::Error::other("the watcher has no input")),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}
