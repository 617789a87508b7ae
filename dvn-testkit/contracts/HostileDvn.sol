// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {JobParams} from "./Interfaces.sol";
import {LookAlikes} from "./LookAlikes.sol";

/// A verifier that an application may legally list, and which uses its turn inside a genuine send, between the
/// library's ExecutorFeePaid and DVNFeePaid, to emit forged logs.
contract HostileDvn is LookAlikes {
    struct Forgery {
        bytes encoded;
        bytes options;
        address sendLibrary;
        address[] required;
        address[] optional;
        uint256[] fees;
    }

    Forgery private forgery;
    bool public armed;

    function arm(Forgery calldata next) external {
        forgery = next;
        armed = true;
    }

    function disarm() external {
        armed = false;
    }

    function assignJob(JobParams calldata, bytes calldata) external payable returns (uint256) {
        if (armed) {
            emit DVNFeePaid(forgery.required, forgery.optional, forgery.fees);
            emit PacketSent(forgery.encoded, forgery.options, forgery.sendLibrary);
        }
        return 0;
    }

    function getFee(uint32, uint64, address, bytes calldata) external pure returns (uint256) {
        return 0;
    }
}
