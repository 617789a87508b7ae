// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {LookAlikes} from "./LookAlikes.sol";

/// Emits what a real assignment emits, from an address that may not assign anything.
contract Decoy is LookAlikes {
    function packetSent(bytes calldata encoded, bytes calldata options, address sendLibrary) external {
        emit PacketSent(encoded, options, sendLibrary);
    }

    function dvnFeePaid(address[] calldata required, address[] calldata optional, uint256[] calldata fees) external {
        emit DVNFeePaid(required, optional, fees);
    }
}
