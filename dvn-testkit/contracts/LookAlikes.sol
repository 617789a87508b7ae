// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Events with the very topics of the endpoint and of a send library, to be emitted by a contract that is neither.
abstract contract LookAlikes {
    event PacketSent(bytes encodedPayload, bytes options, address sendLibrary);
    event DVNFeePaid(address[] requiredDVNs, address[] optionalDVNs, uint256[] fees);
}
