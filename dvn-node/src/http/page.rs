//! The status page: one self-contained document without scripts.

use std::fmt::{self, Write};

use super::{ChainStatus, JobCount, PacketLine, PeerStatus, Phase, Role, Snapshot};
use crate::time::Stamp;

/// The whole page.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut page = String::with_capacity(8 << 10);
    // Writing to a string cannot fail.
    let _ = write(&mut page, snapshot);
    page
}

fn write(page: &mut String, it: &Snapshot) -> fmt::Result {
    let name = Text(&it.name);
    write!(page, "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>")?;
    write!(page, "<meta name=viewport content=\"width=device-width\"><title>{name}</title><style>{STYLE}</style>")?;
    header(page, it)?;
    write!(page, "<h2>Chains</h2>")?;
    chains(page, &it.chains)?;
    if !it.peers.is_empty() {
        write!(page, "<h2>Peers</h2>")?;
        peers(page, &it.peers)?;
    }
    write!(page, "<h2>Jobs</h2>")?;
    jobs(page, &it.jobs)?;
    write!(page, "<h2>Recent packets</h2>")?;
    packets(page, &it.packets)?;
    if let Some(journal) = &it.journal {
        write!(page, "<p class=quiet>journal <code>{}</code>, {} rows</p>", Text(&journal.id), journal.rows)?;
    }
    write!(page, "<footer>dvn-node {} · up since {} · ", it.version, Stamp(it.since))?;
    write!(
        page,
        "<a href=/status.json>status.json</a> · <a href=/metrics>metrics</a> · <a href=/ready>ready</a></footer>"
    )
}

fn header(page: &mut String, it: &Snapshot) -> fmt::Result {
    let readiness = it.readiness();
    let class = match (it.phase, readiness.ready) {
        (Phase::Failed, _) => "bad",
        (_, true) => "good",
        (_, false) => "warn",
    };
    let region = it.region.as_deref().unwrap_or_default();
    write!(page, "<header><h1>{}</h1><span class=quiet>{} {}</span>", Text(&it.name), Text(region), it.environment)?;
    write!(page, "<b class={class}>{}</b></header>", if readiness.ready { "ready" } else { it.phase.name() })?;
    for reason in it.detail.iter().chain(&readiness.reasons) {
        write!(page, "<p class={class}>{}</p>", Text(reason))?;
    }
    Ok(())
}

fn chains(page: &mut String, chains: &[ChainStatus]) -> fmt::Result {
    table(
        page,
        &["chain", "eid", "role", "latest", "final", "read through", "behind", "state"],
        chains,
        |page, chain| {
            let role = match chain.role {
                Role::Source => "source",
                Role::Target => "target",
                Role::Both => "both",
            };
            write!(page, "<td>{}<td class=n>{}<td>{role}", Text(&chain.name), chain.eid)?;
            for number in [chain.latest, chain.settled, chain.cursor, chain.lag()] {
                write!(page, "<td class=n>{}", Number(number))?;
            }
            match (&chain.halted, &chain.error) {
                (Some(reason), _) => write!(page, "<td class=bad>halted: {}", Text(reason)),
                (None, Some(error)) => write!(page, "<td class=warn>{}", Text(error)),
                (None, None) if chain.works() => match chain.backfill {
                    Some(backfill) => write!(page, "<td class=good>ok, {backfill}"),
                    None => write!(page, "<td class=good>ok"),
                },
                (None, None) => write!(page, "<td class=warn>no head yet"),
            }
        },
    )
}

fn peers(page: &mut String, peers: &[PeerStatus]) -> fmt::Result {
    table(page, &["peer", "address", "state"], peers, |page, peer| {
        write!(page, "<td>{}<td><code>{}</code>", Text(&peer.name), Text(&peer.address))?;
        match (&peer.alarm, &peer.error) {
            (Some(alarm), _) => write!(page, "<td class=bad>{}", Text(alarm)),
            (None, Some(error)) => write!(page, "<td class=warn>{}", Text(error)),
            (None, None) => write!(page, "<td class=good>ok"),
        }
    })
}

fn jobs(page: &mut String, jobs: &[JobCount]) -> fmt::Result {
    table(page, &["from", "to", "state", "reason", "jobs"], jobs, |page, it| {
        let reason = it.reason.unwrap_or_default();
        write!(
            page,
            "<td class=n>{}<td class=n>{}<td>{}<td>{reason}<td class=n>{}",
            it.src_eid, it.dst_eid, it.state, it.count
        )
    })
}

fn packets(page: &mut String, packets: &[PacketLine]) -> fmt::Result {
    table(page, &["time", "from", "to", "nonce", "state", "guid"], packets, |page, it| {
        write!(page, "<td>{}<td class=n>{}<td class=n>{}", Stamp(it.at), it.src_eid, it.dst_eid)?;
        write!(page, "<td class=n>{}<td>{}<td><code>{}</code>", it.nonce, it.state, Text(&it.guid))
    })
}

fn table<T>(
    page: &mut String,
    columns: &[&str],
    rows: &[T],
    row: impl Fn(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    if rows.is_empty() {
        return write!(page, "<p class=quiet>none</p>");
    }
    write!(page, "<div><table><thead><tr>")?;
    columns.iter().try_for_each(|column| write!(page, "<th>{column}"))?;
    write!(page, "<tbody>")?;
    for it in rows {
        write!(page, "<tr>")?;
        row(page, it)?;
    }
    write!(page, "</table></div>")
}

/// Text from outside, fit to stand between tags and in quoted attributes.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

struct Number(Option<u64>);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => fmt::Display::fmt(&number, f),
            None => f.write_str("–"),
        }
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--warn:#9a6700;--bad:#cf222e}\
@media(prefers-color-scheme:dark){:root{--good:#3fb950;--warn:#d29922;--bad:#f85149}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1rem}\
header{display:flex;gap:1rem;align-items:baseline;border-bottom:1px solid var(--line)}\
h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:2rem 0 .4rem}header b{margin-left:auto}\
div{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}\
th{font-weight:600;font-size:.8rem;opacity:.7}.n{font-variant-numeric:tabular-nums}\
code{font-size:.8rem;word-break:break-all}.quiet,footer{opacity:.6}footer{margin-top:2.5rem;font-size:.8rem}\
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}p{margin:.4rem 0}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(Text("<b a=\"'&\">").to_string(), "&lt;b a=&quot;&#39;&amp;&quot;&gt;");
    }
}
