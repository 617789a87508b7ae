//! A process with its children, as the system shows them.
//!
//! PostgreSQL's children lead sessions of their own, so that no signal to a group reaches them.

use std::{
    io,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use super::{PATIENCE, POLL};

/// All processes below this one, without it.
pub(super) fn below(process: u32) -> io::Result<Vec<u32>> {
    let known = parents()?;
    let mut found = vec![process];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(known.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next = next.saturating_add(1);
    }
    found.remove(0);
    Ok(found)
}

/// Sends a signal through the `kill` program, because a system call of our own would be unsafe code. That some of the
/// processes are gone already is no error.
pub(super) fn signal(signal: &str, processes: &[u32]) -> io::Result<()> {
    let processes = processes.iter().map(ToString::to_string);
    Command::new("kill").arg(signal).args(processes).stderr(Stdio::null()).status().map(drop)
}

/// Returns when none of the processes runs any more. Those whose parent never asks for their end count as gone.
pub(super) fn wait_gone(processes: &[u32]) -> io::Result<()> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let running = parents()?;
        if !processes.iter().any(|process| running.iter().any(|(known, _)| known == process)) {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "processes do not end"))
}

/// Every running process with its parent.
#[cfg(target_os = "linux")]
fn parents() -> io::Result<Vec<(u32, u32)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end at any time.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        all.extend(running_parent(&stat).map(|parent| (process, parent)));
    }
    Ok(all)
}

/// Every running process with its parent.
#[cfg(not(target_os = "linux"))]
fn parents() -> io::Result<Vec<(u32, u32)>> {
    let output = Command::new("ps").args(["-axo", "pid=,ppid=,stat="]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (process, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        (!words.next()?.starts_with('Z')).then_some((process, parent))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// State and parent follow the name, which stands in parentheses and may hold some itself (proc(5)).
#[cfg(target_os = "linux")]
fn running_parent(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_below_until_it_ends() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        assert!(below(std::process::id()).unwrap().contains(&child.id()));
        signal("-KILL", &[child.id()]).unwrap();
        wait_gone(&[child.id()]).unwrap();
        assert!(!below(std::process::id()).unwrap().contains(&child.id()));
        child.wait().unwrap();
    }

    #[test]
    fn the_ended_have_no_parent() {
        assert_eq!(running_parent("12 (a) Z (b) S 7 12"), Some(7));
        assert_eq!(running_parent("12 (redis) Z 7 12"), None);
        assert_eq!(running_parent(""), None);
    }
}
