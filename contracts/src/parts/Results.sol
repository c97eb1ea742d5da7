// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Errors} from "../Errors.sol";
import {PaillierOpening} from "../libraries/PaillierOpening.sol";
import {Statements} from "../libraries/Statements.sol";
import {MetricsKind, Opening, Request, Statement, Status} from "../Types.sol";
import {RequestBook} from "./RequestBook.sol";

/// @notice Metrics and the signed result: TRAINING, SUBMITTED.
abstract contract Results is RequestBook, EIP712 {
    /// @notice Largest error, and largest gain either way, that the contract computes with (18 decimals).
    uint256 public constant MAX_METRIC = type(uint192).max;

    /// @notice Records the mean squared error after a round. It goes into an event and nowhere else.
    /// @param id A request in TRAINING, before its training deadline; only its aggregator may call.
    /// @param round The round.
    /// @param mse The error, 18 decimals.
    function recordMetric(uint256 id, uint256 round, uint256 mse) external {
        _inTraining(id);
        if (mse > MAX_METRIC) revert Errors.MetricTooLarge(mse, MAX_METRIC);
        emit MetricRecorded(id, round, mse);
    }

    /// @notice Submits the result that the validators signed; the challenge window starts.
    /// @param id A request in TRAINING, before its training deadline; only its aggregator may call.
    /// @param statement What was signed (EIP-712).
    /// @param signatures One for each of the request's validators in their order; empty where one did not sign.
    /// @param opening The opening of the metric's ciphertext; all empty for `Noise`.
    function submitResult(
        uint256 id,
        Statement calldata statement,
        bytes[] calldata signatures,
        Opening calldata opening
    ) external {
        Request storage request = _inTraining(id);
        _checkStatement(id, request, statement);
        bytes32 digest = digestOf(statement);
        _checkSignatures(request, digest, signatures);

        request.openingHash = _checkOpening(request.metricsKind, statement, opening);
        request.status = Status.Submitted;
        request.challengeEnd = SafeCast.toUint64(block.timestamp + request.challengeWindow);
        request.statementDigest = digest;
        request.initialMse = statement.initialMse;
        request.finalMse = statement.finalMse;
        request.gains = statement.gains;
        emit ResultSubmitted(id, digest, statement, request.challengeEnd);
    }

    /// @notice The EIP-712 digest that validators sign.
    /// @param statement The statement.
    function digestOf(Statement calldata statement) public view returns (bytes32) {
        return _hashTypedDataV4(Statements.hash(statement));
    }

    function _inTraining(uint256 id) private view returns (Request storage request) {
        request = _at(id, Status.Training);
        _onlyBy(id, request.aggregator);
        _onlyBefore(id, request.trainingDeadline);
    }

    function _checkStatement(uint256 id, Request storage request, Statement calldata statement) private view {
        if (statement.request != id) revert Errors.StatementOfOtherRequest(id, statement.request);
        if (statement.modulusHash != request.modulusHash) {
            revert Errors.HashMismatch("modulusHash", statement.modulusHash, request.modulusHash);
        }
        if (statement.weightsHash == 0) revert Errors.ZeroValue("weightsHash");
        if (statement.metricHash == 0) revert Errors.ZeroValue("metricHash");
        if (statement.transcriptHash == 0) revert Errors.ZeroValue("transcriptHash");
        if (statement.rows == 0) revert Errors.ZeroValue("rows");
        if (statement.initialMse > MAX_METRIC) revert Errors.MetricTooLarge(statement.initialMse, MAX_METRIC);
        if (statement.finalMse > MAX_METRIC) revert Errors.MetricTooLarge(statement.finalMse, MAX_METRIC);

        uint256 trainers = request.owners.length - _countValidators(request);
        if (statement.gains.length != trainers) revert Errors.WrongGainCount(statement.gains.length, trainers);
        for (uint256 i = 0; i < trainers; ++i) {
            uint256 size = SignedMath.abs(statement.gains[i]);
            if (size > MAX_METRIC) revert Errors.MetricTooLarge(size, MAX_METRIC);
        }
    }

    /// @dev Refuses unless more than half of the validators signed; a signature that does not hold is refused too.
    function _checkSignatures(Request storage request, bytes32 digest, bytes[] calldata signatures) internal view {
        (, address[] memory validators) = _rolesOf(request);
        if (signatures.length != validators.length) {
            revert Errors.WrongSignatureCount(signatures.length, validators.length);
        }
        uint256 signed = 0;
        for (uint256 i = 0; i < validators.length; ++i) {
            if (signatures[i].length == 0) continue;
            if (!SignatureChecker.isValidSignatureNow(validators[i], digest, signatures[i])) {
                revert Errors.InvalidSignature(validators[i]);
            }
            ++signed;
        }
        if (2 * signed <= validators.length) revert Errors.NoMajority(signed, validators.length);
    }

    /// @dev Binds the opening to the statement and checks it, or defers its exponentiation and returns its hash.
    function _checkOpening(MetricsKind kind, Statement calldata statement, Opening calldata sent)
        private
        view
        returns (bytes32 deferredHash)
    {
        if (kind == MetricsKind.Noise) {
            uint256 length = sent.modulus.length + sent.ciphertext.length + sent.plaintext.length + sent.randomness.length;
            if (length != 0) revert Errors.UnexpectedOpening(kind);
            return 0;
        }
        Opening memory opening = sent;
        PaillierOpening.checkForm(opening);
        _checkHash("modulusHash", statement.modulusHash, keccak256(opening.modulus));
        _checkHash("metricHash", statement.metricHash, keccak256(opening.ciphertext));
        uint256 opened = PaillierOpening.meanSquaredError(opening.plaintext, statement.scale, statement.rows);
        if (statement.finalMse != opened) revert Errors.FinalMismatch(statement.finalMse, opened);
        if (kind == MetricsKind.VerifiableDeferred) return _hashOf(opening);
        if (!PaillierOpening.holds(opening)) revert Errors.OpeningDoesNotHold();
    }

    function _hashOf(Opening memory opening) internal pure returns (bytes32) {
        return keccak256(abi.encode(opening));
    }

    function _checkHash(string memory field, bytes32 actual, bytes32 required) internal pure {
        if (actual != required) revert Errors.HashMismatch(field, actual, required);
    }
}
