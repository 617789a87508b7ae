//! The parts of the contracts' interfaces that the kit calls.

use alloy_sol_types::sol;

sol! {
    struct Origin { uint32 srcEid; bytes32 sender; uint64 nonce; }
    struct ConfigParam { uint32 eid; uint32 configType; bytes config; }

    interface Endpoint {
        constructor(uint32 eid, address owner);
        function registerLibrary(address lib) external;
        function setDefaultSendLibrary(uint32 eid, address lib) external;
        function setDefaultReceiveLibrary(uint32 eid, address lib, uint256 gracePeriod) external;
        function setConfig(address oapp, address lib, ConfigParam[] params) external;
        function lzReceive(Origin origin, address receiver, bytes32 guid, bytes message, bytes extraData) external payable;
        function inboundPayloadHash(address receiver, uint32 srcEid, bytes32 sender, uint64 nonce) external view returns (bytes32);
        event PacketSent(bytes encodedPayload, bytes options, address sendLibrary);
    }

    struct UlnConfig {
        uint64 confirmations;
        uint8 requiredDVNCount;
        uint8 optionalDVNCount;
        uint8 optionalDVNThreshold;
        address[] requiredDVNs;
        address[] optionalDVNs;
    }
    struct DefaultUlnConfig { uint32 eid; UlnConfig config; }
    struct ExecutorConfig { uint32 maxMessageSize; address executor; }
    struct DefaultExecutorConfig { uint32 eid; ExecutorConfig config; }

    interface SendUln {
        constructor(address endpoint, uint256 treasuryGasLimit, uint256 treasuryNativeFeeCap);
        function setTreasury(address treasury) external;
        function setDefaultExecutorConfigs(DefaultExecutorConfig[] params) external;
        function setDefaultUlnConfigs(DefaultUlnConfig[] params) external;
        function fees(address worker) external view returns (uint256);
        event ExecutorFeePaid(address executor, uint256 fee);
        event DVNFeePaid(address[] requiredDVNs, address[] optionalDVNs, uint256[] fees);
    }

    interface ReceiveUln {
        constructor(address endpoint);
        function setDefaultUlnConfigs(DefaultUlnConfig[] params) external;
        function verify(bytes header, bytes32 payloadHash, uint64 confirmations) external;
        function hashLookup(bytes32 headerHash, bytes32 payloadHash, address dvn) external view returns (bool submitted, uint64 confirmations);
        function commitVerification(bytes header, bytes32 payloadHash) external;
        event PayloadVerified(address dvn, bytes header, uint256 confirmations, bytes32 proofHash);
    }

    interface Treasury {
        function setNativeFeeBP(uint256 nativeBP) external;
    }

    struct Price { uint128 priceRatio; uint64 gasPriceInUnit; uint32 gasPerByte; }
    struct UpdatePrice { uint32 eid; Price price; }

    interface PriceFeed {
        function initialize(address priceUpdater) external;
        function setNativeTokenPriceUSD(uint128 price) external;
        function setPrice(UpdatePrice[] prices) external;
    }

    interface FeeLib {
        constructor(uint32 localEidV2, uint256 nativeDecimalsRate);
    }

    interface Worker {
        function setWorkerFeeLib(address feeLib) external;
    }

    struct DvnDstConfig { uint32 dstEid; uint64 gas; uint16 multiplierBps; uint128 floorMarginUSD; }
    struct Instruction { uint32 vid; address target; bytes callData; uint256 expiration; bytes signatures; }

    interface Dvn {
        constructor(uint32 localEidV2, uint32 vid, address[] messageLibs, address priceFeed, address[] signers, uint64 quorum, address[] admins);
        function setDstConfig(DvnDstConfig[] params) external;
        function execute(Instruction[] params) external;
        function setSigner(address signer, bool active) external;
        function setQuorum(uint64 quorum) external;
        function grantRole(bytes32 role, address account) external;
        function revokeRole(bytes32 role, address account) external;
        function hashCallData(uint32 vid, address target, bytes callData, uint256 expiration) external view returns (bytes32);
        function verifySignatures(bytes32 hash, bytes signatures) external view returns (bool valid, uint8 error);
    }

    struct ExecutorDstConfig {
        uint32 dstEid;
        uint64 lzReceiveBaseGas;
        uint64 lzComposeBaseGas;
        uint16 multiplierBps;
        uint128 floorMarginUSD;
        uint128 nativeCap;
    }

    interface ExecutorWorker {
        function initialize(address endpoint, address receiveUln301, address[] messageLibs, address priceFeed, address roleAdmin, address[] admins) external;
        function setDstConfig(ExecutorDstConfig[] params) external;
    }

    interface EndpointView {
        function initialize(address endpoint) external;
        function executable(Origin origin, address receiver) external view returns (uint8);
    }

    interface ReceiveView {
        function initialize(address endpoint, address receiveUln302) external;
        function verifiable(bytes header, bytes32 payloadHash) external view returns (uint8);
    }

    struct OAppDecoys { address target; bytes[] first; bytes[] between; bytes[] last; }

    interface OApp {
        constructor(address endpoint, address delegate);
        function quote(uint32 dstEid, bytes32 receiver, bytes[] messages, bytes options) external view returns (uint256);
        function send(uint32 dstEid, bytes32 receiver, bytes message, bytes options) external payable;
        function sendMany(uint32 dstEid, bytes32 receiver, bytes[] messages, bytes options) external payable;
        function sendManyWithDecoys(uint32 dstEid, bytes32 receiver, bytes[] messages, bytes options, OAppDecoys decoys) external payable;
        function delivered() external view returns (uint256);
        event Received(uint32 srcEid, bytes32 sender, uint64 nonce, bytes32 guid, bytes message);
    }

    interface DecoyContract {
        function packetSent(bytes encoded, bytes options, address sendLibrary) external;
        function dvnFeePaid(address[] required, address[] optional, uint256[] fees) external;
    }

    struct HostileForgery {
        bytes encoded;
        bytes options;
        address sendLibrary;
        address[] required;
        address[] optional;
        uint256[] fees;
    }

    interface Hostile {
        function arm(HostileForgery next) external;
        function disarm() external;
    }
}
