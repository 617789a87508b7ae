//! Compiles `contracts/*.sol` with the pinned compiler, once for each state of the sources.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
};

use alloy_primitives::{Bytes, keccak256};
use serde::Deserialize;
use serde_json::json;

use super::ContractsError;
use crate::toolchain::Toolchain;

const SOURCES: [(&str, &str); 5] = [
    ("Interfaces.sol", include_str!("../../contracts/Interfaces.sol")),
    ("LookAlikes.sol", include_str!("../../contracts/LookAlikes.sol")),
    ("Decoy.sol", include_str!("../../contracts/Decoy.sol")),
    ("HostileDvn.sol", include_str!("../../contracts/HostileDvn.sol")),
    ("TestOApp.sol", include_str!("../../contracts/TestOApp.sol")),
];

const SCRIPT: &str = include_str!("../../contracts/compile.js");

pub(super) fn compile(toolchain: &Toolchain) -> Result<HashMap<String, Bytes>, ContractsError> {
    let input = standard_input();
    let cached = toolchain.cache().join(format!("solc-{:x}.json", keccak256(&input)));
    if let Ok(found) = fs::read(&cached) {
        return creation_codes(&found);
    }
    let output = run(&toolchain.npm(), input)?;
    let codes = creation_codes(&output)?;
    store(&cached, &output)?;
    Ok(codes)
}

/// London is the oldest rule set that the LayerZero artifacts run on; our contracts run wherever they do.
fn standard_input() -> Vec<u8> {
    let sources: serde_json::Map<_, _> =
        SOURCES.iter().map(|(name, content)| ((*name).to_owned(), json!({ "content": content }))).collect();
    json!({
        "language": "Solidity",
        "sources": sources,
        "settings": {
            "evmVersion": "london",
            "optimizer": { "enabled": true, "runs": 200 },
            "outputSelection": { "*": { "*": ["evm.bytecode.object"] } },
        },
    })
    .to_string()
    .into_bytes()
}

fn run(npm: &Path, input: Vec<u8>) -> Result<Vec<u8>, ContractsError> {
    let failed = |e: std::io::Error| ContractsError::Compiler { output: format!("node cannot be run: {e}") };
    let mut child = Command::new("node")
        .args(["-e", SCRIPT])
        .current_dir(npm)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    feed(&mut child, &input).map_err(failed)?;
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(ContractsError::Compiler { output: String::from_utf8_lossy(&output.stderr).into_owned() });
    }
    Ok(output.stdout)
}

/// The script reads all of its input before it prints anything, so this cannot block on a full pipe.
/// Taking the handle closes it, which is how the script knows the end.
fn feed(child: &mut Child, input: &[u8]) -> std::io::Result<()> {
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input))
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    errors: Vec<Diagnostic>,
    #[serde(default)]
    contracts: HashMap<String, HashMap<String, Contract>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Diagnostic {
    severity: String,
    formatted_message: String,
}

#[derive(Deserialize)]
struct Contract {
    evm: Evm,
}

#[derive(Deserialize)]
struct Evm {
    bytecode: Bytecode,
}

#[derive(Deserialize)]
struct Bytecode {
    object: Bytes,
}

fn creation_codes(output: &[u8]) -> Result<HashMap<String, Bytes>, ContractsError> {
    let output: Output = serde_json::from_slice(output)
        .map_err(|source| ContractsError::Json { what: "the compiler's output".to_owned(), source })?;
    let errors: Vec<_> =
        output.errors.into_iter().filter(|d| d.severity == "error").map(|d| d.formatted_message).collect();
    if !errors.is_empty() {
        return Err(ContractsError::Compiler { output: errors.join("\n") });
    }
    let contracts = output.contracts.into_values().flatten();
    Ok(contracts.map(|(name, contract)| (name, contract.evm.bytecode.object)).collect())
}

/// Renames a finished file into place, so that a racing process never reads half of one.
fn store(path: &Path, output: &[u8]) -> Result<(), ContractsError> {
    let io = |source| ContractsError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    file.write_all(output).map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_of_the_compiler_is_an_error() {
        let output = br#"{"errors":[{"severity":"error","formattedMessage":"line 3: no"}]}"#;
        assert!(matches!(creation_codes(output), Err(ContractsError::Compiler { output }) if output == "line 3: no"));
    }

    #[test]
    fn a_warning_is_not() {
        let output = br#"{"errors":[{"severity":"warning","formattedMessage":"hm"}],
            "contracts":{"A.sol":{"A":{"evm":{"bytecode":{"object":"6001"}}}}}}"#;
        assert_eq!(creation_codes(output).unwrap()["A"], Bytes::from_static(&[0x60, 0x01]));
    }
}
