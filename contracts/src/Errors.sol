// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Role, Status, MetricsKind, Answer} from "./Types.sol";

/// @notice Every refusal of the marketplace, each with the values that caused it.
library Errors {
    // --- who ---------------------------------------------------------------------------------------------------

    /// @notice `caller` called what only `required` may call for this request.
    error NotAuthorized(uint256 id, address caller, address required);
    /// @notice `caller` is neither the buyer, the aggregator nor an owner of the request.
    error NotParticipant(uint256 id, address caller);
    /// @notice `account` is not registered in the role the call needs.
    error NotRegistered(address account, Role role);
    /// @notice `account` already holds the role.
    error AlreadyRegistered(address account, Role role);
    /// @notice `account` would hold two parts in one request.
    error ConflictingParts(address account);
    /// @notice `account` has accepted or declined before.
    error AlreadyAnswered(uint256 id, address account, Answer answer);

    // --- when --------------------------------------------------------------------------------------------------

    /// @notice No request has this id.
    error UnknownRequest(uint256 id);
    /// @notice The request stands at `actual`; the call needs `required`.
    error WrongStatus(uint256 id, Status actual, Status required);
    /// @notice The call is possible from `opensAt` (Unix time in seconds) on.
    error TooEarly(uint256 id, uint256 timestamp, uint256 opensAt);
    /// @notice The call was possible before `deadline` (Unix time in seconds).
    error TooLate(uint256 id, uint256 timestamp, uint256 deadline);
    /// @notice Roles are dealt from the block after `dealBlock` on.
    error DealBlockAhead(uint256 id, uint256 blockNumber, uint256 dealBlock);
    /// @notice The named aggregator has agreed already.
    error AlreadyTakenOn(uint256 id);
    /// @notice The named aggregator has not agreed to the work yet.
    error NotTakenOn(uint256 id, address aggregator);
    /// @notice All `maxOwners` places, or those not kept for named validators, are taken.
    error NoPlaceLeft(uint256 id, uint256 maxOwners);
    /// @notice Before the deadline a request closes only when all places are taken.
    error PlacesLeft(uint256 id, uint256 owners, uint256 maxOwners);
    /// @notice A deferred opening keeps its whole challenge window: the buyer cannot shorten the check on itself.
    error WindowCannotBeShortened(uint256 id, uint256 challengeEnd);

    // --- what --------------------------------------------------------------------------------------------------

    /// @notice The escrow is zero.
    error ZeroEscrow();
    /// @notice The escrow cannot pay the minimum reward to every owner the terms allow.
    error EscrowBelowMinimumRewards(uint256 escrowWei, uint256 neededWei);
    /// @notice A field that must not be zero is.
    error ZeroValue(string field);
    /// @notice Shares do not sum to 10000 basis points.
    error SharesDoNotSum(uint256 trainersBps, uint256 validatorsBps, uint256 aggregatorBps);
    /// @notice Owner limits outside 2 <= minOwners <= maxOwners <= 64.
    error OwnerLimits(uint256 minOwners, uint256 maxOwners);
    /// @notice Named validators leave no place for a trainer within the fewest owners.
    error TooManyValidators(uint256 validators, uint256 minOwners);
    /// @notice A duration is outside its limits, all in seconds.
    error DurationOutOfRange(string field, uint256 actual, uint256 smallest, uint256 largest);
    /// @notice Text is empty or longer than allowed, in bytes.
    error TextLength(string field, uint256 actual, uint256 largest);

    // --- results -----------------------------------------------------------------------------------------------

    /// @notice The statement speaks of another request.
    error StatementOfOtherRequest(uint256 id, uint256 stated);
    /// @notice A hash in the statement differs from the one it must equal.
    error HashMismatch(string field, bytes32 actual, bytes32 required);
    /// @notice One gain is needed for each trainer.
    error WrongGainCount(uint256 actual, uint256 trainers);
    /// @notice An error or gain, 18 decimals, exceeds the largest the contract computes with.
    error MetricTooLarge(uint256 actual, uint256 largest);
    /// @notice One signature, possibly empty, is needed for each validator.
    error WrongSignatureCount(uint256 actual, uint256 validators);
    /// @notice This validator did not sign the statement so.
    error InvalidSignature(address validator);
    /// @notice No majority of the validators signed.
    error NoMajority(uint256 signed, uint256 validators);
    /// @notice An opening was sent although the request's metrics have none.
    error UnexpectedOpening(MetricsKind metricsKind);
    /// @notice The request's metrics do not defer the opening's check.
    error OpeningNotDeferred(MetricsKind metricsKind);
    /// @notice A number of the opening has the wrong length in bytes.
    error OpeningLength(string field, uint256 actual, uint256 required);
    /// @notice A number of the opening is outside its range: n must be odd with its top bit set, m < n, 0 < r < n, c mod n > 0.
    error OpeningOutOfRange(string field);
    /// @notice The ciphertext does not open to this plaintext with this randomness.
    error OpeningDoesNotHold();
    /// @notice The modexp precompile failed with `gasLeft` left afterwards: the transaction's gas did not pay for it.
    error ExponentiationFailed(uint256 gasLeft);
    /// @notice The stated final error, 18 decimals, is not what the opening says.
    error FinalMismatch(uint256 stated, uint256 opened);

    // --- refutations and money ---------------------------------------------------------------------------------

    /// @notice The evidence is the submitted statement itself.
    error SameStatement(bytes32 digest);
    /// @notice The opening holds: there is nothing to refute.
    error OpeningHolds(uint256 id);
    /// @notice Steps must be between 1 and what is left.
    error WrongStepCount(uint256 actual, uint256 left);
    /// @notice `account` has no credit.
    error NothingToWithdraw(address account);
    /// @notice `recipient` did not take the wei.
    error TransferFailed(address recipient, uint256 amountWei);
}
