//! Creation code of the contracts: LayerZero's from the installed artifacts, ours compiled from `contracts/`.

use std::{collections::HashMap, fs, io, path::PathBuf};

use alloy_primitives::Bytes;
use serde::Deserialize;

use crate::toolchain::Toolchain;

mod solc;

/// Where each LayerZero contract lies in its package.
const LAYERZERO: [(&str, &str, &str); 11] = [
    ("EndpointV2", "lz-evm-protocol-v2", ""),
    ("EndpointV2View", "lz-evm-protocol-v2", ""),
    ("SendUln302", "lz-evm-messagelib-v2", "uln/uln302"),
    ("ReceiveUln302", "lz-evm-messagelib-v2", "uln/uln302"),
    ("ReceiveUln302View", "lz-evm-messagelib-v2", "uln/uln302"),
    ("Treasury", "lz-evm-messagelib-v2", ""),
    ("PriceFeed", "lz-evm-messagelib-v2", ""),
    ("DVN", "lz-evm-messagelib-v2", "uln/dvn"),
    ("DVNFeeLib", "lz-evm-messagelib-v2", "uln/dvn"),
    ("Executor", "lz-evm-messagelib-v2", ""),
    ("ExecutorFeeLib", "lz-evm-messagelib-v2", ""),
];

/// The creation code of every contract of a development network, by the contract's name.
#[derive(Debug, Clone)]
pub struct Contracts {
    creation: HashMap<String, Bytes>,
}

impl Contracts {
    /// Reads the installed artifacts, and compiles our own contracts unless the same sources were compiled before.
    ///
    /// Blocks: about two seconds for the first compilation, milliseconds afterwards.
    ///
    /// # Errors
    /// When an artifact is missing or unreadable, and when the compiler cannot be run or complains.
    pub fn load(toolchain: &Toolchain) -> Result<Self, ContractsError> {
        let mut creation = solc::compile(toolchain)?;
        for (name, package, folder) in LAYERZERO {
            let path = toolchain.artifacts(package).join(folder).join(format!("{name}.sol/{name}.json"));
            creation.insert(name.to_owned(), read_artifact(path)?);
        }
        Ok(Self { creation })
    }

    /// The creation code of the contract `name`, to which the encoded constructor arguments are appended.
    ///
    /// # Errors
    /// When there is no contract of that name.
    pub fn creation_code(&self, name: &str) -> Result<&Bytes, ContractsError> {
        self.creation.get(name).ok_or_else(|| ContractsError::Unknown { name: name.to_owned() })
    }
}

/// Why contracts could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractsError {
    /// No such contract.
    #[error("there is no contract named {name}")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file, or what the compiler printed, is not the JSON that it should be.
    #[error("{what} is not what was expected")]
    Json {
        /// Which one.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The compiler found errors, or could not be run at all.
    #[error("the Solidity compiler failed: {output}")]
    Compiler {
        /// What it said.
        output: String,
    },
}

#[derive(Deserialize)]
struct Artifact {
    bytecode: Bytes,
}

fn read_artifact(path: PathBuf) -> Result<Bytes, ContractsError> {
    let text = fs::read(&path).map_err(|source| ContractsError::Io { path: path.clone(), source })?;
    let artifact: Artifact = serde_json::from_slice(&text)
        .map_err(|source| ContractsError::Json { what: path.display().to_string(), source })?;
    Ok(artifact.bytecode)
}
