// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Errors} from "../Errors.sol";
import {Events} from "../Events.sol";

/// @notice What each account may withdraw. Money leaves the contract here and nowhere else, pulled by its owner.
abstract contract Ledger is Events, ReentrancyGuard {
    mapping(address account => uint256 amountWei) private _creditWei;

    /// @notice Wei that an account may withdraw.
    function creditWei(address account) external view returns (uint256) {
        return _creditWei[account];
    }

    /// @notice Sends the caller all of its credit.
    /// @return amountWei What was sent.
    function withdraw() external nonReentrant returns (uint256 amountWei) {
        return _withdraw(payable(msg.sender));
    }

    /// @notice Sends all of the caller's credit to another address: the way out for a contract that cannot receive.
    /// @param recipient Who receives the wei.
    /// @return amountWei What was sent.
    function withdrawTo(address payable recipient) external nonReentrant returns (uint256 amountWei) {
        if (recipient == address(0)) revert Errors.ZeroValue("recipient");
        return _withdraw(recipient);
    }

    function _withdraw(address payable recipient) private returns (uint256 amountWei) {
        amountWei = _creditWei[msg.sender];
        if (amountWei == 0) revert Errors.NothingToWithdraw(msg.sender);
        _creditWei[msg.sender] = 0;
        emit Withdrawn(msg.sender, recipient, amountWei);
        (bool taken,) = recipient.call{value: amountWei}("");
        if (!taken) revert Errors.TransferFailed(recipient, amountWei);
    }

    function _credit(uint256 id, address account, uint256 amountWei) internal {
        if (amountWei == 0) return;
        _creditWei[account] += amountWei;
        emit Credited(id, account, amountWei);
    }
}
