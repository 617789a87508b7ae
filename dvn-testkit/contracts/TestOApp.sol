// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {IEndpoint, MessagingFee, MessagingParams, MessagingReceipt, Origin} from "./Interfaces.sol";

/// The smallest application that sends and receives: it trusts every peer and keeps what it was given.
contract TestOApp {
    /// Calls made to `target` around genuine sends, in one transaction.
    struct Decoys {
        address target;
        bytes[] first;
        bytes[] between;
        bytes[] last;
    }

    event Received(uint32 srcEid, bytes32 sender, uint64 nonce, bytes32 guid, bytes message);

    error OnlyEndpoint();
    error DecoyFailed();
    error RefundFailed();

    IEndpoint public immutable endpoint;
    uint256 public delivered;
    bytes public lastMessage;

    constructor(IEndpoint endpoint_, address delegate) {
        endpoint = endpoint_;
        endpoint_.setDelegate(delegate);
    }

    // The endpoint gives back what a send did not use.
    receive() external payable {}

    function quote(uint32 dstEid, bytes32 receiver, bytes[] calldata messages, bytes calldata options)
        external
        view
        returns (uint256 total)
    {
        for (uint256 i = 0; i < messages.length; i++) {
            total += _quote(_params(dstEid, receiver, messages[i], options));
        }
    }

    function send(uint32 dstEid, bytes32 receiver, bytes calldata message, bytes calldata options)
        external
        payable
        returns (MessagingReceipt memory receipt)
    {
        receipt = _send(_params(dstEid, receiver, message, options));
        _refund();
    }

    function sendMany(uint32 dstEid, bytes32 receiver, bytes[] calldata messages, bytes calldata options)
        external
        payable
    {
        for (uint256 i = 0; i < messages.length; i++) {
            _send(_params(dstEid, receiver, messages[i], options));
        }
        _refund();
    }

    function sendManyWithDecoys(
        uint32 dstEid,
        bytes32 receiver,
        bytes[] calldata messages,
        bytes calldata options,
        Decoys calldata decoys
    ) external payable {
        _run(decoys.target, decoys.first);
        for (uint256 i = 0; i < messages.length; i++) {
            if (i > 0) _run(decoys.target, decoys.between);
            _send(_params(dstEid, receiver, messages[i], options));
        }
        _run(decoys.target, decoys.last);
        _refund();
    }

    function allowInitializePath(Origin calldata) external pure returns (bool) {
        return true;
    }

    // 0 tells the executor that delivery is unordered.
    function nextNonce(uint32, bytes32) external pure returns (uint64) {
        return 0;
    }

    function lzReceive(Origin calldata origin, bytes32 guid, bytes calldata message, address, bytes calldata)
        external
        payable
    {
        if (msg.sender != address(endpoint)) revert OnlyEndpoint();
        delivered += 1;
        lastMessage = message;
        emit Received(origin.srcEid, origin.sender, origin.nonce, guid, message);
    }

    function _params(uint32 dstEid, bytes32 receiver, bytes calldata message, bytes calldata options)
        private
        pure
        returns (MessagingParams memory)
    {
        return MessagingParams(dstEid, receiver, message, options, false);
    }

    function _quote(MessagingParams memory params) private view returns (uint256) {
        return endpoint.quote(params, address(this)).nativeFee;
    }

    function _send(MessagingParams memory params) private returns (MessagingReceipt memory) {
        return endpoint.send{value: _quote(params)}(params, address(this));
    }

    function _run(address target, bytes[] calldata calls) private {
        for (uint256 i = 0; i < calls.length; i++) {
            (bool ok,) = target.call(calls[i]);
            if (!ok) revert DecoyFailed();
        }
    }

    function _refund() private {
        (bool ok,) = msg.sender.call{value: address(this).balance}("");
        if (!ok) revert RefundFailed();
    }
}
