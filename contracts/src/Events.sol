// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {FailureReason, Role, Statement} from "./Types.sol";

/// @notice What the marketplace tells the world. Amounts in wei, errors with 18 decimals.
interface Events {
    /// @notice An account offered itself in a role.
    event Registered(address indexed member, Role indexed role, string metadata);
    /// @notice An account no longer offers itself in a role.
    event Left(address indexed member, Role indexed role);
    /// @notice A buyer locked an escrow for a request; `requirements` is the JSON whose hash is stored.
    event RequestCreated(
        uint256 indexed id, address indexed buyer, address indexed aggregator, uint256 escrowWei, string requirements
    );
    /// @notice The named aggregator agreed to the work.
    event TakenOn(uint256 indexed id, address indexed aggregator);
    /// @notice A data owner accepted, committing to a data set.
    event Accepted(uint256 indexed id, address indexed owner, bytes32 datasetCommitment);
    /// @notice A data owner declined.
    event Declined(uint256 indexed id, address indexed owner);
    /// @notice Acceptances ended with the quorum reached.
    event Closed(uint256 indexed id, uint256 owners);
    /// @notice Roles will be dealt from this block's hash.
    event DealBlockFixed(uint256 indexed id, uint256 dealBlock);
    /// @notice Roles were dealt and training began.
    event RolesDealt(uint256 indexed id, address[] trainers, address[] validators);
    /// @notice The aggregator recorded the mean squared error after a round.
    event MetricRecorded(uint256 indexed id, uint256 indexed round, uint256 mse);
    /// @notice The aggregator submitted a result signed by a majority of the validators.
    event ResultSubmitted(uint256 indexed id, bytes32 indexed digest, Statement statement, uint256 challengeEnd);
    /// @notice Part of a deferred opening's check was done by `refuter`.
    event RefutationAdvanced(uint256 indexed id, address indexed refuter, uint256 stepsDone, uint256 stepsNeeded);
    /// @notice The buyer ended the challenge window.
    event Confirmed(uint256 indexed id);
    /// @notice Everyone was credited; `improvement` has 18 decimals.
    event Settled(uint256 indexed id, uint256 improvement, uint256 refundWei);
    /// @notice The buyer took the request back.
    event Cancelled(uint256 indexed id, uint256 refundWei);
    /// @notice The request ended without a result.
    event Failed(uint256 indexed id, FailureReason reason, uint256 refundWei);
    /// @notice `account` may withdraw `amountWei` more.
    event Credited(uint256 indexed id, address indexed account, uint256 amountWei);
    /// @notice `account` withdrew its credit to `recipient`.
    event Withdrawn(address indexed account, address indexed recipient, uint256 amountWei);
}
