//! The contract functions and events that this crate uses, and no others: those that both deployed generations of the
//! DVN contract have.

use alloy::{
    primitives::{B256, b256},
    sol,
};

/// `keccak256("ADMIN_ROLE")` of `Worker.sol`: who may call `DVN.execute`.
pub(crate) const ADMIN_ROLE: B256 = b256!("a49807205ce4d355092ef5a8a18f56e8913cf4a201fbe287825b095693c21775");

sol! {
    /// `EndpointV2.sol`.
    #[derive(Debug)]
    interface Endpoint {
        event PacketSent(bytes encodedPayload, bytes options, address sendLibrary);

        function eid() external view returns (uint32);
        function outboundNonce(address sender, uint32 dstEid, bytes32 receiver) external view returns (uint64);
        function getReceiveLibrary(address receiver, uint32 srcEid) external view returns (address lib, bool isDefault);
        function inboundPayloadHash(address receiver, uint32 srcEid, bytes32 sender, uint64 nonce)
            external view returns (bytes32);
        function lazyInboundNonce(address receiver, uint32 srcEid, bytes32 sender) external view returns (uint64);
    }

    /// `UlnBase.sol`.
    #[derive(Debug)]
    struct UlnConfig {
        uint64 confirmations;
        uint8 requiredDVNCount;
        uint8 optionalDVNCount;
        uint8 optionalDVNThreshold;
        address[] requiredDVNs;
        address[] optionalDVNs;
    }

    /// What `SendUln302.sol` and `ReceiveUln302.sol` share.
    #[derive(Debug)]
    interface Uln {
        function getUlnConfig(address oapp, uint32 remoteEid) external view returns (UlnConfig);
    }

    /// `SendUln302.sol`.
    #[derive(Debug)]
    interface SendUln {
        event DVNFeePaid(address[] requiredDVNs, address[] optionalDVNs, uint256[] fees);
    }

    /// `SendUln301.sol`, of the endpoint's first version: recognised and never attested.
    #[derive(Debug)]
    interface LegacySendUln {
        event PacketSent(bytes encodedPayload, bytes options, uint256 nativeFee, uint256 lzTokenFee);
    }

    /// `ReceiveUln302.sol`.
    #[derive(Debug)]
    interface ReceiveUln {
        event PayloadVerified(address dvn, bytes header, uint256 confirmations, bytes32 proofHash);

        function hashLookup(bytes32 headerHash, bytes32 payloadHash, address dvn)
            external view returns (bool submitted, uint64 confirmations);
    }

    /// One instruction of `DVN.sol`.
    #[derive(Debug)]
    struct ExecuteParam {
        uint32 vid;
        address target;
        bytes callData;
        uint256 expiration;
        bytes signatures;
    }

    /// `DVN.sol`.
    #[derive(Debug)]
    interface Dvn {
        event VerifySignaturesFailed(uint256 idx);
        event ExecuteFailed(uint256 index, bytes data);
        event UpdateSigner(address signer, bool active);
        event UpdateQuorum(uint64 quorum);
        event RoleGranted(bytes32 indexed role, address indexed account, address indexed sender);
        event RoleRevoked(bytes32 indexed role, address indexed account, address indexed sender);

        function vid() external view returns (uint32);
        function quorum() external view returns (uint64);
        function signers(address signer) external view returns (bool);
        function hasRole(bytes32 role, address account) external view returns (bool);
        function verifySignatures(bytes32 hash, bytes signatures) external view returns (bool valid, uint8 error);
        function execute(ExecuteParam[] params) external;
    }
}

#[cfg(test)]
mod tests {
    use alloy::sol_types::{SolCall, SolEvent};

    use super::*;

    #[test]
    fn topics_and_selectors_are_those_of_the_deployed_contracts() {
        let topics = [
            (Endpoint::PacketSent::SIGNATURE_HASH, "1ab700d4ced0c005b164c0f789fd09fcbb0156d4c2041b8a3bfbcd961cd1567f"),
            (SendUln::DVNFeePaid::SIGNATURE_HASH, "07ea52d82345d6e838192107d8fd7123d9c2ec8e916cd0aad13fd2b60db24644"),
            (
                LegacySendUln::PacketSent::SIGNATURE_HASH,
                "3dc6f2ede34d1db05729bbb76e5efd17ec1bc83f98f665e7fba0596dca438b96",
            ),
            (
                ReceiveUln::PayloadVerified::SIGNATURE_HASH,
                "2cb0eed7538baeae4c6fde038c0fd0384d27de0dd55a228c65847bda6aa1ab56",
            ),
            (
                Dvn::VerifySignaturesFailed::SIGNATURE_HASH,
                "d6d90193101048cc1b6edcdc2348f5acf7a4a4a97d3e7b668b74cb7602ab3ebc",
            ),
            (Dvn::ExecuteFailed::SIGNATURE_HASH, "dc8cdd96296241bbefda4a8e18ad2e0985a8da6495b34d409cfc4c886ee3b0cf"),
            (Dvn::UpdateSigner::SIGNATURE_HASH, "863d338cad74814b108a06288ad5e0e80d56495e0332238b1d2cdcfa0ca8e5ce"),
            (Dvn::UpdateQuorum::SIGNATURE_HASH, "b600f3cf7f38a4b49bb0c75f722ef69f7e3e39ef3bb4aa8207fd86e724a23249"),
            (Dvn::RoleGranted::SIGNATURE_HASH, "2f8788117e7eff1d82e926ec794901d17c78024a50270940304540a733656f0d"),
            (Dvn::RoleRevoked::SIGNATURE_HASH, "f6391f5c32d9c69d2a47ea670b442974b53935d1edc7fd64eb21e047a839171b"),
        ];
        for (topic, expected) in topics {
            assert_eq!(format!("{topic:x}"), expected);
        }
        let selectors = [
            (Dvn::executeCall::SELECTOR, 0xb143_044b_u32),
            (Dvn::vidCall::SELECTOR, 0xcf34_c768),
            (Dvn::quorumCall::SELECTOR, 0x1703_a018),
            (Dvn::signersCall::SELECTOR, 0x736c_0d5b),
            (Dvn::verifySignaturesCall::SELECTOR, 0xc7a8_23e0),
            (Uln::getUlnConfigCall::SELECTOR, 0x43ea_4fa9),
            (ReceiveUln::hashLookupCall::SELECTOR, 0x3c78_2a52),
            (Endpoint::eidCall::SELECTOR, 0x416e_cebf),
            (Endpoint::outboundNonceCall::SELECTOR, 0x9c6d_7340),
            (Endpoint::getReceiveLibraryCall::SELECTOR, 0x402f_8468),
            (Endpoint::inboundPayloadHashCall::SELECTOR, 0xc9fc_7bcd),
            (Endpoint::lazyInboundNonceCall::SELECTOR, 0x5b17_bb70),
        ];
        for (selector, expected) in selectors {
            assert_eq!(selector, expected.to_be_bytes());
        }
    }
}
