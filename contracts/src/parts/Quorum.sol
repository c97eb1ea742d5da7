// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Errors} from "../Errors.sol";
import {Payouts} from "../libraries/Payouts.sol";
import {RoleDeal} from "../libraries/RoleDeal.sol";
import {Answer, FailureReason, MetricsKind, Request, Role, Status, Terms} from "../Types.sol";
import {RequestBook} from "./RequestBook.sol";

/// @notice From a buyer's request to dealt roles: OPEN, CLOSED, TRAINING.
abstract contract Quorum is RequestBook {
    /// @notice Most data owners of one request, validators included.
    uint256 public constant MAX_OWNERS = 64;
    /// @notice Blocks between closing and the block whose hash deals the roles.
    uint256 public constant DEAL_DELAY_BLOCKS = 5;
    /// @notice Blocks for which the chain remembers a hash.
    uint256 public constant BLOCKHASH_BLOCKS = 256;
    /// @notice Longest time for acceptances, and again for training, in seconds.
    uint256 public constant MAX_PHASE_SECONDS = 365 days;
    /// @notice Shortest challenge window, in seconds.
    uint256 public constant MIN_CHALLENGE_SECONDS = 1 hours;
    /// @notice Longest challenge window, in seconds.
    uint256 public constant MAX_CHALLENGE_SECONDS = 30 days;

    /// @notice Posts a request and locks the wei sent with it as its escrow. The caller must be a listed buyer.
    /// @param terms What is asked; see `Terms` for units and limits.
    /// @param requirements JSON that tells owners which data fit; goes into the event, its hash is stored.
    /// @return id The new request.
    function createRequest(Terms calldata terms, string calldata requirements) external payable returns (uint256 id) {
        _requireMember(Role.ModelBuyer, msg.sender);
        _requireMember(Role.FederatedAggregator, terms.aggregator);
        if (terms.aggregator == msg.sender) revert Errors.ConflictingParts(msg.sender);
        _checkTerms(terms);
        if (bytes(requirements).length == 0) revert Errors.ZeroValue("requirements");

        id = ++requestCount;
        Request storage request = _requests[id];
        request.aggregator = terms.aggregator;
        request.status = Status.Open;
        request.metricsKind = terms.metricsKind;
        request.trainingDeadline = terms.trainingDeadline;
        request.buyer = msg.sender;
        request.acceptanceDeadline = terms.acceptanceDeadline;
        request.challengeWindow = terms.challengeWindow;
        request.escrowWei = SafeCast.toUint128(msg.value);
        request.minimumRewardWei = terms.minimumRewardWei;
        request.trainersBps = terms.trainersBps;
        request.validatorsBps = terms.validatorsBps;
        request.aggregatorBps = terms.aggregatorBps;
        request.minOwners = terms.minOwners;
        request.maxOwners = terms.maxOwners;
        request.modelKind = terms.modelKind;
        request.requirementsHash = keccak256(bytes(requirements));
        request.modulusHash = terms.modulusHash;
        request.keyProofHash = terms.keyProofHash;
        request.initialModelHash = terms.initialModelHash;
        _nameValidators(request, terms);
        emit RequestCreated(id, msg.sender, terms.aggregator, msg.value, requirements);
    }

    /// @notice The named aggregator agrees to the work. Owners can accept only afterwards.
    /// @param id A request that is OPEN, before its acceptance deadline.
    function takeOn(uint256 id) external {
        Request storage request = _at(id, Status.Open);
        _onlyBy(id, request.aggregator);
        _onlyBefore(id, request.acceptanceDeadline);
        if (request.takenOn) revert Errors.AlreadyTakenOn(id);
        request.takenOn = true;
        emit TakenOn(id, msg.sender);
    }

    /// @notice A listed data owner offers a data set. Named validators have their places kept for them.
    /// @param id A request that is OPEN and taken on, before its acceptance deadline.
    /// @param datasetCommitment A hiding hash of the data set; not zero.
    function accept(uint256 id, bytes32 datasetCommitment) external {
        Request storage request = _answerable(id);
        if (!request.takenOn) revert Errors.NotTakenOn(id, request.aggregator);
        if (datasetCommitment == 0) revert Errors.ZeroValue("datasetCommitment");
        if (msg.sender == request.buyer || msg.sender == request.aggregator) revert Errors.ConflictingParts(msg.sender);

        uint256 taken = request.owners.length;
        if (request.answers[msg.sender] == Answer.NamedValidator) {
            request.validatorBits |= uint64(1) << uint64(taken);
        } else {
            uint256 kept = request.namedValidators.length - _countValidators(request);
            if (taken + kept >= request.maxOwners) revert Errors.NoPlaceLeft(id, request.maxOwners);
        }
        request.answers[msg.sender] = Answer.Accepted;
        request.owners.push(msg.sender);
        emit Accepted(id, msg.sender, datasetCommitment);
    }

    /// @notice A listed data owner tells that it will not take part; it cannot accept afterwards.
    /// @param id A request that is OPEN, before its acceptance deadline.
    function decline(uint256 id) external {
        Request storage request = _answerable(id);
        request.answers[msg.sender] = Answer.Declined;
        emit Declined(id, msg.sender);
    }

    /// @notice Ends the acceptances. Without the quorum (fewest owners, and every named validator) the request fails
    /// with a full refund; else the block that will deal the roles is fixed.
    /// @param id A request that is OPEN, at its acceptance deadline or with all places taken.
    function close(uint256 id) external {
        Request storage request = _at(id, Status.Open);
        uint256 owners = request.owners.length;
        if (owners < request.maxOwners && block.timestamp < request.acceptanceDeadline) {
            revert Errors.PlacesLeft(id, owners, request.maxOwners);
        }
        if (owners < request.minOwners || _countValidators(request) < request.namedValidators.length) {
            _fail(id, request, FailureReason.QuorumMissed);
            return;
        }
        request.status = Status.Closed;
        emit Closed(id, owners);
        if (request.namedValidators.length == 0) _fixDealBlock(id, request);
    }

    /// @notice Deals the roles and starts the training. After the deal block's hash was forgotten, the call fixes a
    /// new block ahead instead. With named validators nothing is dealt and the call works at once.
    /// @param id A request that is CLOSED, after its deal block and before its training deadline.
    function start(uint256 id) external {
        Request storage request = _at(id, Status.Closed);
        _onlyBefore(id, request.trainingDeadline);
        if (request.namedValidators.length == 0) {
            uint256 dealBlock = request.dealBlock;
            if (block.number <= dealBlock) revert Errors.DealBlockAhead(id, block.number, dealBlock);
            if (block.number > dealBlock + BLOCKHASH_BLOCKS) {
                _fixDealBlock(id, request);
                return;
            }
            bytes32 seed = keccak256(abi.encode(blockhash(dealBlock), address(this), id));
            request.validatorBits = RoleDeal.deal(seed, request.owners.length);
        }
        request.rolesDealt = true;
        request.status = Status.Training;
        (address[] memory trainers, address[] memory validators) = _rolesOf(request);
        emit RolesDealt(id, trainers, validators);
    }

    /// @notice The buyer takes its request back, with the whole escrow.
    /// @param id A request that is OPEN.
    function cancel(uint256 id) external {
        Request storage request = _at(id, Status.Open);
        _onlyBy(id, request.buyer);
        request.status = Status.Cancelled;
        _credit(id, msg.sender, request.escrowWei);
        emit Cancelled(id, request.escrowWei);
    }

    /// @dev An open request the caller, a listed data owner, has not answered yet.
    function _answerable(uint256 id) private view returns (Request storage request) {
        request = _at(id, Status.Open);
        _requireMember(Role.DataOwner, msg.sender);
        _onlyBefore(id, request.acceptanceDeadline);
        Answer answer = request.answers[msg.sender];
        if (answer == Answer.Accepted || answer == Answer.Declined) {
            revert Errors.AlreadyAnswered(id, msg.sender, answer);
        }
    }

    function _fixDealBlock(uint256 id, Request storage request) private {
        uint256 dealBlock = block.number + DEAL_DELAY_BLOCKS;
        request.dealBlock = SafeCast.toUint64(dealBlock);
        emit DealBlockFixed(id, dealBlock);
    }

    function _nameValidators(Request storage request, Terms calldata terms) private {
        uint256 count = terms.validators.length;
        if (count >= terms.minOwners) revert Errors.TooManyValidators(count, terms.minOwners);
        for (uint256 i = 0; i < count; ++i) {
            address validator = terms.validators[i];
            if (validator == address(0)) revert Errors.ZeroValue("validator");
            if (
                validator == msg.sender || validator == terms.aggregator
                    || request.answers[validator] == Answer.NamedValidator
            ) revert Errors.ConflictingParts(validator);
            request.answers[validator] = Answer.NamedValidator;
        }
        request.namedValidators = terms.validators;
    }

    function _checkTerms(Terms calldata terms) private view {
        if (msg.value == 0) revert Errors.ZeroEscrow();
        if (terms.minOwners < 2 || terms.maxOwners < terms.minOwners || terms.maxOwners > MAX_OWNERS) {
            revert Errors.OwnerLimits(terms.minOwners, terms.maxOwners);
        }
        uint256 shares = uint256(terms.trainersBps) + terms.validatorsBps + terms.aggregatorBps;
        if (shares != Payouts.BPS) {
            revert Errors.SharesDoNotSum(terms.trainersBps, terms.validatorsBps, terms.aggregatorBps);
        }
        uint256 neededWei = uint256(terms.minimumRewardWei) * terms.maxOwners;
        if (msg.value < neededWei) revert Errors.EscrowBelowMinimumRewards(msg.value, neededWei);

        _checkDuration("acceptance", block.timestamp, terms.acceptanceDeadline, 1, MAX_PHASE_SECONDS);
        _checkDuration("training", terms.acceptanceDeadline, terms.trainingDeadline, 1, MAX_PHASE_SECONDS);
        _checkDuration("challenge", 0, terms.challengeWindow, MIN_CHALLENGE_SECONDS, MAX_CHALLENGE_SECONDS);

        if (terms.modelKind == 0) revert Errors.ZeroValue("modelKind");
        if (terms.modulusHash == 0) revert Errors.ZeroValue("modulusHash");
        if (terms.initialModelHash == 0) revert Errors.ZeroValue("initialModelHash");
        if (terms.keyProofHash == 0 && terms.metricsKind != MetricsKind.Noise) revert Errors.ZeroValue("keyProofHash");
    }

    function _checkDuration(string memory field, uint256 from, uint256 to, uint256 smallest, uint256 largest)
        private
        pure
    {
        uint256 duration = to > from ? to - from : 0;
        if (duration < smallest || duration > largest) {
            revert Errors.DurationOutOfRange(field, duration, smallest, largest);
        }
    }
}
