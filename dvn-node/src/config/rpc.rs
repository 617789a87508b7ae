use std::{
    collections::BTreeSet,
    fmt,
    num::{NonZeroU32, NonZeroU64},
};

use dvn_chain::SeatLimits;
use dvn_core::quorum::{Quotas, Threshold};
use secrecy::{ExposeSecret, SecretString};

use super::{
    reader::{Field, Given, Place, Reader, Section},
    scalar,
    secret_url::SecretUrl,
};

/// Who is asked about a chain and how many must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rpc {
    /// Of the voting seats; by default `n − ⌊(n − 1) / 3⌋`, the least that is safe while fewer than a third lie.
    pub threshold: Threshold,
    /// Who must be among those who agree: part of the threshold.
    pub quotas: Quotas,
    /// The seats that vote, in the file's order.
    pub seats: Vec<Seat>,
    /// Seats for a second look after the fact; they never vote.
    pub audit: Vec<Seat>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// Where it answers JSON-RPC over HTTP.
    pub url: SecretUrl,
    /// Where it pushes new heads; a source chain's seats alone are followed.
    pub ws: Option<SecretUrl>,
    /// Who runs it; `self` for the DVN's operator.
    pub operator: String,
    /// Its client family, such as geth.
    pub client: Option<String>,
    /// Sent with every request.
    pub headers: Headers,
    /// How much it may be asked.
    pub limits: SeatLimits,
}

/// HTTP headers, whose values are secret.
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, SecretString)>);

impl Headers {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Reads `Name: value`, one a line.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "must hold HTTP headers as `Name: value`, one a line".to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let visible = |c: char| c == ' ' || c.is_ascii_graphic();
            if name.is_empty() || !name.chars().all(token) || !value.chars().all(visible) {
                return Err(wrong());
            }
            Ok((name.to_owned(), SecretString::from(value.trim())))
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(header).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        let exposed = |headers: &Self| -> Vec<_> {
            headers.0.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
        };
        exposed(self) == exposed(other)
    }
}

impl Eq for Headers {}

/// The operator of a chain's short form, and of every seat that the DVN's operator runs.
const OWN: &str = "self";
const HTTP: &[&str] = &["http", "https"];
const WS: &[&str] = &["ws", "wss"];

/// Reads `rpc`, or its short form `rpc_url`, from a chain's section.
pub(super) fn read(chain: &mut Section<'_>) -> Given<Rpc> {
    let short_place = chain.place_at(if chain.has("rpc_url") { "rpc_url" } else { "rpc_url_env" });
    let short = chain.secret_url("rpc_url", HTTP);
    let alone = chain.parsed("dangerous_single_seat", scalar::flag).unwrap_or_default();
    let long = chain.given_section("rpc").map(|section| (section.place.clone(), read_long(section)));
    let reader = chain.reader;
    match (short, long) {
        (Given::Absent, None) => Given::Absent,
        (Given::Absent, Some((place, rpc))) => Given::parsed(rpc).checked(reader, &place, alone),
        (Given::Broken, None) => Given::Broken,
        (Given::Is(url), None) => Given::parsed(single(url)).checked(reader, &short_place, alone),
        (_, Some(_)) => {
            reader.problem(&short_place, "`rpc` is given as well: keep one of the two");
            Given::Broken
        }
    }
}

impl Given<Rpc> {
    /// One seat is whatever that seat says.
    fn checked(self, reader: &Reader<'_>, place: &Place, alone: bool) -> Self {
        if matches!(&self, Self::Is(rpc) if rpc.seats.len() == 1) && !alone && !reader.is_dev() {
            let message = "one seat alone decides what is true on this chain: list several under `rpc.seats`, \
                           or accept the risk with `dangerous_single_seat: true` beside it";
            reader.problem(place, message);
        }
        self
    }
}

fn single(url: SecretUrl) -> Option<Rpc> {
    let seat = Seat {
        url,
        ws: None,
        operator: OWN.to_owned(),
        client: None,
        headers: Headers::default(),
        limits: SeatLimits::default(),
    };
    let threshold = Threshold::try_new(1, 1).ok()?;
    Some(Rpc { threshold, quotas: Quotas::default(), seats: vec![seat], audit: Vec::new() })
}

fn read_long(mut section: Section<'_>) -> Option<Rpc> {
    let reader = section.reader;
    let listed = section.required("seats", "list the endpoints that are asked").map(|field| field.items());
    let broken_before = listed.is_none();
    let read: Vec<_> =
        listed.unwrap_or_default().into_iter().map(|field| (field.place.clone(), read_seat(&field))).collect();
    let whole = !broken_before && read.iter().all(|(_, seat)| seat.is_some());
    let read: Vec<_> = read.into_iter().filter_map(|(place, seat)| Some((place, seat?))).collect();
    check_neighbours(reader, &read);
    let (audit, voting): (Vec<_>, Vec<_>) = read.into_iter().map(|(_, seat)| seat).partition(|(_, audits)| *audits);
    let plain = |seats: Vec<(Seat, bool)>| seats.into_iter().map(|(seat, _)| seat).collect::<Vec<_>>();
    let (seats, audit) = (plain(voting), plain(audit));

    let threshold = read_threshold(&mut section, whole.then_some(seats.len()));
    let quotas = read_quotas(section.given_section("quotas"), &seats);
    section.finish();
    Some(Rpc { threshold: threshold?, quotas: quotas?, seats, audit })
}

/// A seat, and whether it audits instead of voting.
fn read_seat(field: &Field<'_>) -> Option<(Seat, bool)> {
    const ROLES: &[(&str, bool)] = &[("vote", false), ("audit", true)];
    let mut section = field.section();
    let url = section.secret_url("url", HTTP);
    if matches!(url, Given::Absent) {
        section.problem_at("url", "missing: where it answers, or `url_env` with the name of the variable that says it");
    }
    let ws = section.secret_url("ws", WS);
    let operator = match section.parsed("operator", scalar::name) {
        None if section.reader.is_dev() && !section.has("operator") => Some(OWN.to_owned()),
        None if !section.has("operator") => {
            section.problem_at("operator", "missing: who runs it, `self` for your own");
            None
        }
        operator => operator,
    };
    let client = section.parsed("client", scalar::name);
    let headers = section.optional("headers_env");
    let headers = headers.map_or(Some(Headers::default()), |field| field.variable_parsed(Headers::parse));
    let audits = section.optional("role").map_or(Some(false), |field| field.parsed(scalar::choice(ROLES)));
    if audits == Some(true) && !matches!(ws, Given::Absent) {
        let message = "has no effect: a seat that audits is not followed, so it need not push heads";
        section.reader.warning(&section.place_at("ws"), message);
    }
    let limits = read_limits(&mut section);
    section.finish();
    Some((
        Seat { url: url.ok()?, ws: ws.ok(), operator: operator?, client, headers: headers?, limits: limits? },
        audits?,
    ))
}

/// What the seat's contract allows.
fn read_limits(section: &mut Section<'_>) -> Option<SeatLimits> {
    let mut number = |key: &str, most: u64| {
        section.optional(key).map_or(Some(None), |field| field.parsed(scalar::number(1..=most)).map(Some))
    };
    let rate = number("rate", 100_000)?.and_then(|it| NonZeroU32::new(u32::try_from(it).ok()?));
    let burst = number("burst", 100_000)?.and_then(|it| NonZeroU32::new(u32::try_from(it).ok()?));
    let daily_budget = number("daily_budget", u64::MAX)?.and_then(NonZeroU64::new);
    if burst.is_some() && rate.is_none() {
        section.problem_at("burst", "is nothing without `rate`: say how many calls a second the seat may be asked");
    }
    Some(SeatLimits { rate, burst, daily_budget })
}

/// Two seats at one endpoint are one; two operators at one host are one.
fn check_neighbours(reader: &Reader<'_>, seats: &[(Place, (Seat, bool))]) {
    for (index, (place, (seat, _))) in seats.iter().enumerate() {
        for (before, (other, _)) in seats.iter().take(index) {
            if seat.url == other.url {
                reader.problem(
                    &place.below("url"),
                    format!("the same endpoint as {}: one endpoint has one vote", before.path),
                );
            } else if seat.url.host() == other.url.host() && seat.operator != other.operator {
                let (ours, theirs) = (&seat.operator, &other.operator);
                let message = format!(
                    "{ours} and {theirs} ({}) share the host of {}: one host has one operator",
                    before.path, seat.url
                );
                reader.problem_unless_dev(&place.below("operator"), message);
            }
        }
    }
}

/// The threshold; `seats` is absent where some seat could not be read, since counts would mislead then.
fn read_threshold(section: &mut Section<'_>, seats: Option<usize>) -> Option<Threshold> {
    let field = section.optional("threshold");
    let given = field.as_ref().map_or(Some(None), |field| field.parsed(scalar::number(1..=1000)).map(Some))?;
    let seats = seats?;
    let safe = Threshold::safe(seats);
    let need = given.unwrap_or(safe);
    if let Some(field) = field.filter(|_| need < safe) {
        let message = format!(
            "{need} of {seats} seats is less than {safe}, the least that is safe while fewer than a third of them lie"
        );
        section.reader.problem_unless_dev(&field.place, message);
    }
    let key = if given.is_some() && seats > 0 { "threshold" } else { "seats" };
    Threshold::try_new(seats, need).map_err(|error| section.problem_at(key, error.to_string())).ok()
}

fn read_quotas(section: Option<Section<'_>>, seats: &[Seat]) -> Option<Quotas> {
    let Some(mut section) = section else {
        return Some(Quotas::default());
    };
    let listed = listed(seats);
    let mut quota = |key: &str, have: usize| {
        let field = section.optional(key)?;
        let asked = field.parsed(scalar::number(0..=1000))?;
        if asked > have {
            field.problem(format!("{asked} are asked for, but the seats have only {have}"));
        }
        Some(asked)
    };
    let quotas = Quotas {
        operators: quota("operators", listed.operators).unwrap_or_default(),
        clients: quota("clients", listed.clients).unwrap_or_default(),
        own: quota("self", listed.own).unwrap_or_default(),
        third_party: quota("third_party", listed.third_party).unwrap_or_default(),
    };
    section.finish();
    Some(quotas)
}

/// What all seats together have. A seat of an unknown client may be of any, so it counts for none.
fn listed(seats: &[Seat]) -> Quotas {
    let operators: BTreeSet<&str> = seats.iter().map(|seat| seat.operator.as_str()).collect();
    let clients: BTreeSet<&str> = seats.iter().filter_map(|seat| seat.client.as_deref()).collect();
    let own = seats.iter().filter(|seat| seat.operator == OWN).count();
    let third_party = seats.len().saturating_sub(own);
    Quotas { operators: operators.len(), clients: clients.len(), own, third_party }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(operator: &str, client: Option<&str>) -> Seat {
        Seat {
            url: SecretUrl::parse("http://localhost", HTTP).unwrap(),
            ws: None,
            operator: operator.to_owned(),
            client: client.map(str::to_owned),
            headers: Headers::default(),
            limits: SeatLimits::default(),
        }
    }

    #[test]
    fn the_seats_are_counted_by_what_quotas_ask_for() {
        let seats =
            [seat("self", Some("geth")), seat("self", Some("reth")), seat("acme", Some("geth")), seat("other", None)];
        assert_eq!(listed(&seats), Quotas { operators: 3, clients: 2, own: 2, third_party: 2 });
    }

    #[test]
    fn headers_are_read_and_never_printed() {
        let headers = Headers::parse("Authorization: Bearer s3cret\nx-key: a:b\n").unwrap();
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (name, value.expose_secret())).collect();
        assert_eq!(pairs, [("Authorization", "Bearer s3cret"), ("x-key", "a:b")]);
        assert_eq!(format!("{headers:?}"), r#"["Authorization", "x-key"]"#);
        for wrong in ["s3cret", "bad name: s3cret", ": s3cret", "x: s3cr\u{7}et"] {
            assert!(!Headers::parse(wrong).unwrap_err().contains("s3cr"));
        }
    }
}
