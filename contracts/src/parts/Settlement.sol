// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../Errors.sol";
import {PaillierOpening} from "../libraries/PaillierOpening.sol";
import {Payouts} from "../libraries/Payouts.sol";
import {Answer, FailureReason, MetricsKind, Opening, Request, Statement, Status} from "../Types.sol";
import {Results} from "./Results.sol";

/// @notice From a submitted result to everybody's credit: SUBMITTED, then SETTLED or FAILED.
abstract contract Settlement is Results {
    /// @notice How far a refuter's check of a deferred opening is.
    struct Progress {
        // Hash of the power computed so far.
        bytes32 powerHash;
        uint256 stepsDone;
    }

    mapping(uint256 id => mapping(address refuter => Progress progress)) private _progress;

    /// @notice Refutes a result by showing that a majority of the validators signed another statement for the same
    /// request as well. The request fails.
    /// @param id A request that is SUBMITTED, within its challenge window; only participants may call.
    /// @param other The other statement.
    /// @param signatures One for each validator in their order; empty where one did not sign.
    function refute(uint256 id, Statement calldata other, bytes[] calldata signatures) external {
        Request storage request = _refutable(id);
        if (other.request != id) revert Errors.StatementOfOtherRequest(id, other.request);
        bytes32 digest = digestOf(other);
        if (digest == request.statementDigest) revert Errors.SameStatement(digest);
        _checkSignatures(request, digest, signatures);
        _fail(id, request, FailureReason.OtherStatementSigned);
    }

    /// @notice Refutes a result by showing that its deferred opening does not hold. The check can be spread over
    /// several calls, each continuing the caller's own; when the last step shows a false opening the request fails,
    /// and when the opening holds the call is refused.
    /// @param id A request that is SUBMITTED, within its challenge window; only participants may call.
    /// @param opening The opening as it was submitted.
    /// @param power The power reached by the caller's earlier steps, big-endian, twice as long as the modulus; empty
    /// for the first call.
    /// @param steps Steps to do now, 256 bits of the exponent each: a modulus of 2048 bits needs 8, of 3072 bits 12.
    function refuteOpening(uint256 id, Opening calldata opening, bytes calldata power, uint256 steps) external {
        Request storage request = _refutable(id);
        if (request.metricsKind != MetricsKind.VerifiableDeferred) revert Errors.OpeningNotDeferred(request.metricsKind);
        Opening memory opened = opening;
        _checkHash("opening", _hashOf(opened), request.openingHash);

        Progress storage progress = _progress[id][msg.sender];
        uint256 done = progress.stepsDone;
        uint256 needed = PaillierOpening.stepCount(opened);
        if (steps == 0 || steps > needed - done) revert Errors.WrongStepCount(steps, needed - done);
        if (done > 0) _checkHash("power", keccak256(power), progress.powerHash);

        bytes memory reached = PaillierOpening.advance(opened, power, done, steps);
        if (done + steps < needed) {
            progress.powerHash = keccak256(reached);
            progress.stepsDone = done + steps;
            emit RefutationAdvanced(id, msg.sender, done + steps, needed);
            return;
        }
        if (PaillierOpening.holdsWith(opened, reached)) revert Errors.OpeningHolds(id);
        _fail(id, request, FailureReason.OpeningRefuted);
    }

    /// @notice The buyer ends the challenge window. Not for a deferred opening: its check is on the buyer itself.
    /// @param id A request that is SUBMITTED, within its challenge window.
    function confirm(uint256 id) external {
        Request storage request = _at(id, Status.Submitted);
        _onlyBy(id, request.buyer);
        if (request.metricsKind == MetricsKind.VerifiableDeferred) {
            revert Errors.WindowCannotBeShortened(id, request.challengeEnd);
        }
        _onlyBefore(id, request.challengeEnd);
        request.challengeEnd = uint64(block.timestamp);
        emit Confirmed(id);
    }

    /// @notice Credits everyone: trainers by their gains, validators, aggregator, and the buyer with what is left.
    /// @param id A request that is SUBMITTED, from the end of its challenge window on; anyone may call.
    function finalize(uint256 id) external {
        Request storage request = _at(id, Status.Submitted);
        _onlyFrom(id, request.challengeEnd);
        request.status = Status.Settled;

        (address[] memory trainers, address[] memory validators) = _rolesOf(request);
        Payouts.Output memory payouts = Payouts.split(
            Payouts.Input({
                escrowWei: request.escrowWei,
                minimumWei: request.minimumRewardWei,
                initialMse: request.initialMse,
                finalMse: request.finalMse,
                trainersBps: request.trainersBps,
                validatorsBps: request.validatorsBps,
                aggregatorBps: request.aggregatorBps,
                validators: validators.length,
                gains: request.gains
            })
        );
        for (uint256 i = 0; i < trainers.length; ++i) {
            _credit(id, trainers[i], payouts.trainersWei[i]);
        }
        for (uint256 i = 0; i < validators.length; ++i) {
            _credit(id, validators[i], payouts.validatorWei);
        }
        _credit(id, request.aggregator, payouts.aggregatorWei);
        _credit(id, request.buyer, payouts.refundWei);
        emit Settled(id, payouts.improvement, payouts.refundWei);
    }

    /// @notice Ends a request whose training deadline has passed. Owners with a role get the minimum reward, the buyer
    /// the rest; before roles were dealt the buyer gets everything.
    /// @param id A request that is CLOSED or in TRAINING, from its training deadline on; anyone may call.
    function expire(uint256 id) external {
        Request storage request = _existing(id);
        if (request.status != Status.Closed) request = _at(id, Status.Training);
        _onlyFrom(id, request.trainingDeadline);
        _fail(id, request, FailureReason.DeadlinePassed);
    }

    /// @notice How many steps of a deferred opening's check a refuter has done.
    /// @param id The request.
    /// @param refuter The account that refutes.
    function refutationSteps(uint256 id, address refuter) external view returns (uint256) {
        return _progress[id][refuter].stepsDone;
    }

    /// @dev A submitted request within its window, called by one of its participants.
    function _refutable(uint256 id) private view returns (Request storage request) {
        request = _at(id, Status.Submitted);
        bool isParticipant = msg.sender == request.buyer || msg.sender == request.aggregator
            || request.answers[msg.sender] == Answer.Accepted;
        if (!isParticipant) revert Errors.NotParticipant(id, msg.sender);
        _onlyBefore(id, request.challengeEnd);
    }
}
