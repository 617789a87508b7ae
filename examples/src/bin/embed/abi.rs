//! The two sides of `DVN.execute`: what is called, and what shows that it worked.

use alloy_primitives::{Bytes, U256};
use alloy_sol_types::{SolCall, sol};
use dvn_core::ports::SignedAttestation;

sol! {
    struct ExecuteParam {
        uint32 vid;
        address target;
        bytes callData;
        uint256 expiration;
        bytes signatures;
    }

    function execute(ExecuteParam[] params) external;

    #[derive(Debug)]
    event PayloadVerified(address dvn, bytes header, uint256 confirmations, bytes32 proofHash);
}

/// One call of `DVN.execute` that carries all of these.
pub(crate) fn execute(batch: &[SignedAttestation]) -> Bytes {
    let param = |SignedAttestation { attestation, signatures, .. }: &SignedAttestation| ExecuteParam {
        vid: attestation.vid.0,
        target: attestation.target,
        callData: attestation.call_data(),
        expiration: U256::from(attestation.expiration.0),
        signatures: signatures.to_bytes(),
    };
    executeCall { params: batch.iter().map(param).collect() }.abi_encode().into()
}
