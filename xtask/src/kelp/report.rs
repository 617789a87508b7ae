//! What came of it, for people, and whether it is what must come of it.

use alloy_primitives::B256;
use dvn_testkit::devnet::SentPacket;

use super::{
    naive::{Decision, Kind},
    stage::{Forged, Vote},
};
use crate::{Failure, command::say};

/// Millionths of a token, as an OFT's message counts.
const DECIMALS: u64 = 1_000_000;

/// Everything that was seen.
pub(super) struct Outcome {
    pub(super) genuine: SentPacket,
    pub(super) forged: Forged,
    /// What naive verifiers sign while nobody lies.
    pub(super) before: Vec<(Kind, Option<Decision>)>,
    /// What they sign under attack.
    pub(super) during: Vec<(Kind, Option<Decision>)>,
    /// Verifications of our DVN beside the genuine packet's.
    pub(super) signed: usize,
    /// Whether our node's log tells of a signature for the forged packet.
    pub(super) was_signed: bool,
    /// The evidence of the halt.
    pub(super) votes: Vec<Vote>,
}

impl Outcome {
    pub(super) fn print(&self) {
        say("what is signed under attack:\n");
        row(["verifier", "nonce", "tokens", "payload hash", ""]);
        for (kind, decision) in &self.during {
            let Some(Decision { signed, because }) = decision else {
                row([kind.name(), "-", "-", "-", "signs nothing"]);
                continue;
            };
            let verdict = if self.is_fooled(decision.as_ref()) { "FOOLED: " } else { "" };
            let (nonce, moved, payload) =
                (signed.nonce.to_string(), moved(&signed.message), short(signed.payload_hash));
            row([kind.name(), &nonce, &moved, &payload, &format!("{verdict}{because}")]);
        }
        let (truth, lies) = self.sides();
        let ours = format!("signed nothing, then halted: {truth} answers against {lies}");
        let ours = if self.is_safe() { ours.as_str() } else { "WRONG" };
        row(["this node: three of four, or nothing", "-", "-", "-", ours]);
        let last = (self.genuine.fields.nonce.to_string(), amount(&self.genuine));
        row(["(the chain itself)", &last.0, &last.1, &short(self.genuine.payload_hash), "the last packet there is"]);
        say("\nwhat the halt is based on (`dvn-node halt evidence ethereum`):\n");
        for Vote { seat, number, hash, is_true } in &self.votes {
            let side = if *is_true { "the chain's" } else { "nobody mined it" };
            say(&format!("  {seat:<11} says that final block {number} is {}  {side}", short(*hash)));
        }
    }

    /// An error unless the naive ones were right before and fooled in the attack, and ours signed nothing and halted.
    pub(super) fn judge(&self) -> Result<(), Failure> {
        let genuine = self.genuine.payload_hash;
        let were_right =
            self.before.iter().all(|(_, it)| it.as_ref().is_some_and(|it| it.signed.payload_hash == genuine));
        if !were_right {
            return Err(Failure::new("a verifier did not see the genuine packet before the attack"));
        }
        if !self.during.iter().all(|(_, it)| self.is_fooled(it.as_ref())) {
            return Err(Failure::new("a naive verifier was not fooled, so that this attack proves nothing"));
        }
        if !self.is_safe() {
            return Err(Failure::new("our node signed what nobody sent, or did not halt on both sides' answers"));
        }
        Ok(())
    }

    fn is_fooled(&self, decision: Option<&Decision>) -> bool {
        decision.is_some_and(|it| it.signed.payload_hash == self.forged.fields.payload_hash())
    }

    fn is_safe(&self) -> bool {
        let (truth, lies) = self.sides();
        self.signed == 0 && !self.was_signed && truth > 0 && lies > 0
    }

    /// How many answers of the evidence are the chain's, and how many are not.
    fn sides(&self) -> (usize, usize) {
        let (truth, lies) = self.votes.iter().partition::<Vec<_>, _>(|vote| vote.is_true);
        (truth.len(), lies.len())
    }
}

/// What a packet moves.
pub(super) fn amount(packet: &SentPacket) -> String {
    moved(&packet.fields.message)
}

fn moved(message: &[u8]) -> String {
    let amount = message.get(32..40).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    amount.map_or_else(|| "?".to_owned(), tokens)
}

/// Millionths of a token, in tokens.
pub(super) fn tokens(amount: u64) -> String {
    let whole = grouped(amount.checked_div(DECIMALS).unwrap_or_default());
    let fraction = format!("{:06}", amount.checked_rem(DECIMALS).unwrap_or_default());
    match fraction.trim_end_matches('0') {
        "" => whole,
        fraction => format!("{whole}.{fraction}"),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn short(hash: B256) -> String {
    hash.to_string().get(..18).unwrap_or_default().to_owned()
}

fn row([verifier, nonce, tokens, payload, verdict]: [&str; 5]) {
    say(format!("  {verifier:<36} {nonce:>5}  {tokens:>8}  {payload:<18}  {verdict}").trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_tokens() {
        for (amount, text) in [(6_000, "0.006"), (116_500_000_000, "116,500"), (1_500_000, "1.5"), (0, "0")] {
            assert_eq!(tokens(amount), text);
        }
    }
}
