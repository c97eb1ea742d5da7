// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../Errors.sol";
import {Answer, FailureReason, Request, RequestView, Status, Terms} from "../Types.sol";
import {Ledger} from "./Ledger.sol";
import {Registry} from "./Registry.sol";

/// @notice The requests themselves, how they are read, and how they fail.
abstract contract RequestBook is Registry, Ledger {
    /// @notice Requests made so far; ids run from 1 to this number.
    uint256 public requestCount;

    mapping(uint256 id => Request request) internal _requests;

    /// @notice Everything stored about a request.
    /// @param id The request.
    function getRequest(uint256 id) external view returns (RequestView memory seen) {
        Request storage request = _existing(id);
        seen.status = request.status;
        seen.buyer = request.buyer;
        seen.escrowWei = request.escrowWei;
        seen.lockedWei = request.status < Status.Settled ? request.escrowWei : 0;
        seen.terms = _termsOf(request);
        seen.requirementsHash = request.requirementsHash;
        seen.takenOn = request.takenOn;
        seen.owners = request.owners;
        (seen.trainers, seen.validators) = _rolesOf(request);
        seen.dealBlock = request.dealBlock;
        seen.challengeEnd = request.challengeEnd;
        seen.statementDigest = request.statementDigest;
        seen.initialMse = request.initialMse;
        seen.finalMse = request.finalMse;
        seen.gains = request.gains;
    }

    /// @notice Where a request stands.
    /// @param id The request.
    function statusOf(uint256 id) external view returns (Status) {
        return _existing(id).status;
    }

    /// @notice What an account has answered to a request.
    /// @param id The request.
    /// @param account The account asked about.
    function answerOf(uint256 id, address account) external view returns (Answer) {
        return _existing(id).answers[account];
    }

    function _existing(uint256 id) internal view returns (Request storage request) {
        request = _requests[id];
        if (request.status == Status.None) revert Errors.UnknownRequest(id);
    }

    /// @dev The request, refused unless it stands at `required`.
    function _at(uint256 id, Status required) internal view returns (Request storage request) {
        request = _existing(id);
        if (request.status != required) revert Errors.WrongStatus(id, request.status, required);
    }

    function _onlyBy(uint256 id, address required) internal view {
        if (msg.sender != required) revert Errors.NotAuthorized(id, msg.sender, required);
    }

    function _onlyBefore(uint256 id, uint256 deadline) internal view {
        if (block.timestamp >= deadline) revert Errors.TooLate(id, block.timestamp, deadline);
    }

    function _onlyFrom(uint256 id, uint256 opensAt) internal view {
        if (block.timestamp < opensAt) revert Errors.TooEarly(id, block.timestamp, opensAt);
    }

    /// @dev Trainers and validators, each in the order of acceptance; both empty before roles are dealt.
    function _rolesOf(Request storage request)
        internal
        view
        returns (address[] memory trainers, address[] memory validators)
    {
        if (!request.rolesDealt) return (trainers, validators);
        uint256 bits = request.validatorBits;
        address[] memory owners = request.owners;
        uint256 validatorCount = _countValidators(request);
        trainers = new address[](owners.length - validatorCount);
        validators = new address[](validatorCount);
        uint256 seen = 0;
        for (uint256 i = 0; i < owners.length; ++i) {
            if ((bits >> i) & 1 == 1) validators[seen++] = owners[i];
            else trainers[i - seen] = owners[i];
        }
    }

    /// @dev How many owners validate; while OPEN, how many named validators have accepted.
    function _countValidators(Request storage request) internal view returns (uint256 count) {
        for (uint256 bits = request.validatorBits; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }

    /// @dev Ends a request without a result. Owners that were dealt a role get the minimum reward, the buyer the rest.
    function _fail(uint256 id, Request storage request, FailureReason reason) internal {
        request.status = Status.Failed;
        uint256 refundWei = request.escrowWei;
        if (request.rolesDealt) {
            uint256 minimumWei = request.minimumRewardWei;
            address[] memory owners = request.owners;
            for (uint256 i = 0; i < owners.length; ++i) {
                _credit(id, owners[i], minimumWei);
            }
            refundWei -= minimumWei * owners.length;
        }
        _credit(id, request.buyer, refundWei);
        emit Failed(id, reason, refundWei);
    }

    function _termsOf(Request storage request) private view returns (Terms memory terms) {
        terms.aggregator = request.aggregator;
        terms.modelKind = request.modelKind;
        terms.metricsKind = request.metricsKind;
        terms.minOwners = request.minOwners;
        terms.maxOwners = request.maxOwners;
        terms.trainersBps = request.trainersBps;
        terms.validatorsBps = request.validatorsBps;
        terms.aggregatorBps = request.aggregatorBps;
        terms.acceptanceDeadline = request.acceptanceDeadline;
        terms.trainingDeadline = request.trainingDeadline;
        terms.challengeWindow = request.challengeWindow;
        terms.minimumRewardWei = request.minimumRewardWei;
        terms.modulusHash = request.modulusHash;
        terms.keyProofHash = request.keyProofHash;
        terms.initialModelHash = request.initialModelHash;
        terms.validators = request.namedValidators;
    }
}
