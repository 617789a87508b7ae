use std::io::{self, Write};

use crate::config::{Config, Device, Key, Network, Rpc, finality_name};

/// Says that a configuration is fine and what the node would do with it.
pub(super) fn write(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "ok: {} ({})", config.service.name, config.service.environment.name())?;
    for source in &config.sources {
        let (network, depth) = (&source.network, source.network.confirmations);
        writeln!(out, "  watches  {}; {}, at least {depth} deep", chain(network), finality_name(network.finality))?;
    }
    for target in &config.targets {
        let attests = target.signer.as_ref().unwrap_or(&config.hsm);
        writeln!(
            out,
            "  writes   {}; attests with {}, pays with {}",
            chain(&target.network),
            key(attests),
            target.senders.iter().map(key).collect::<Vec<_>>().join(" and ")
        )?;
    }
    writeln!(out, "  signs    {} of {}", config.signing.quorum, config.signing.total_signers)?;
    writeln!(out, "  keeps    SQLite in {}", config.service.data_dir.display())?;
    writeln!(out, "  mirrors  the journal's head in {}", config.signing.journal_mirror.display())?;
    writeln!(out, "  serves   http://{}", config.service.listen)?;
    config.warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))
}

fn chain(network: &Network) -> String {
    let Network { name, eid, chain_id, rpc, .. } = network;
    format!("{name} (eid {eid}, chain id {chain_id}) by {}", seats(rpc))
}

fn seats(rpc: &Rpc) -> String {
    format!("{} of {} seats", rpc.threshold.need(), rpc.threshold.seats())
}

fn key(key: &Key) -> String {
    match &key.device {
        Device::Pkcs11(token) => format!("`{}` in {}", token.key_label, token.library.display()),
        #[cfg(feature = "aws-kms")]
        Device::AwsKms(key) => format!("`{}` in AWS KMS, {}", key.key_id, key.region),
        #[cfg(feature = "aliyun")]
        Device::Aliyun(key) => format!("`{}` in Aliyun KMS, {}", key.key_id, key.region),
        #[cfg(feature = "gcp-kms")]
        Device::Gcp(key) => format!("`{}/{}` in Google Cloud KMS, {}", key.key_ring, key.key_name, key.location),
        Device::Local { .. } => "a key in memory".to_owned(),
    }
}
