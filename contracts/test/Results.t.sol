// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {Events} from "../src/Events.sol";
import {Marketplace} from "../src/Marketplace.sol";
import {PaillierOpening} from "../src/libraries/PaillierOpening.sol";
import {MetricsKind, Opening, RequestView, Statement, Status, Terms} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {KnownOpening, knownOpening} from "./Openings.sol";
import {vm} from "./Vm.sol";

/// @notice recordMetric and submitResult; see marketplace.tree.
contract ResultsTest is Fixture {
    uint256 private id;

    function setUp() public override {
        super.setUp();
        // Ten owners: three validators, so that two are a majority.
        id = trainingRequest(terms(), 5 ether, 10);
    }

    function expectSubmitRevert(Statement memory statement, bytes[] memory signed, bytes memory data) private {
        expectRevert(data);
        vm.prank(aggregator);
        market.submitResult(id, statement, signed, noOpening());
        expectStatus(id, Status.Training);
    }

    // --- recordMetric ------------------------------------------------------------------------------------------

    function test_recordMetric_emitsTheMetric() external {
        vm.expectEmit(address(market));
        emit Events.MetricRecorded(id, 7, 5 * ONE);
        vm.prank(aggregator);
        market.recordMetric(id, 7, 5 * ONE);
    }

    function testFuzz_recordMetric_revertsForEverybodyElse(address caller) external {
        vm.assume(caller != aggregator);
        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, caller, aggregator));
        vm.prank(caller);
        market.recordMetric(id, 1, 1);
    }

    function test_recordMetric_revertsFromTheTrainingDeadlineOn() external {
        vm.warp(TRAINING);
        expectRevert(abi.encodeWithSelector(Errors.TooLate.selector, id, TRAINING, TRAINING));
        vm.prank(aggregator);
        market.recordMetric(id, 1, 1);
    }

    function test_recordMetric_revertsIfTheErrorIsTooLarge() external {
        uint256 largest = market.MAX_METRIC();
        expectRevert(abi.encodeWithSelector(Errors.MetricTooLarge.selector, largest + 1, largest));
        vm.prank(aggregator);
        market.recordMetric(id, 1, largest + 1);
    }

    function test_recordMetric_revertsAfterTheResult() external {
        submit(id, statementFor(id));
        expectRevert(abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status.Submitted, Status.Training));
        vm.prank(aggregator);
        market.recordMetric(id, 1, 1);
    }

    // --- submitResult, signatures ------------------------------------------------------------------------------

    function test_submitResult_storesWhatWasSigned() external {
        Statement memory statement = statementFor(id);
        bytes[] memory signed = signatures(id, statement, 2);
        vm.expectEmit(address(market));
        emit Events.ResultSubmitted(id, market.digestOf(statement), statement, block.timestamp + WINDOW);
        vm.prank(aggregator);
        market.submitResult(id, statement, signed, noOpening());

        RequestView memory request = market.getRequest(id);
        eq(request.statementDigest, market.digestOf(statement), "digest");
        eq(request.initialMse, statement.initialMse, "initial");
        eq(request.finalMse, statement.finalMse, "final");
        eq(keccak256(abi.encode(request.gains)), keccak256(abi.encode(statement.gains)), "gains");
        eq(request.challengeEnd, block.timestamp + WINDOW, "window");
        expectStatus(id, Status.Submitted);
    }

    function testFuzz_submitResult_revertsForEverybodyElse(address caller) external {
        vm.assume(caller != aggregator);
        Statement memory statement = statementFor(id);
        bytes[] memory signed = signatures(id, statement);
        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, caller, aggregator));
        vm.prank(caller);
        market.submitResult(id, statement, signed, noOpening());
    }

    function test_submitResult_revertsWithoutAMajority() external {
        Statement memory statement = statementFor(id);
        for (uint256 signers = 0; signers < 2; ++signers) {
            expectSubmitRevert(
                statement,
                signatures(id, statement, signers),
                abi.encodeWithSelector(Errors.NoMajority.selector, signers, 3)
            );
        }
    }

    function test_submitResult_halfOfTheValidatorsIsNoMajority() external {
        id = trainingRequest(terms(), 5 ether, 14);
        Statement memory statement = statementFor(id);
        expectSubmitRevert(statement, signatures(id, statement, 2), abi.encodeWithSelector(Errors.NoMajority.selector, 2, 4));
    }

    function test_submitResult_revertsIfSignaturesDoNotMatchTheValidators() external {
        Statement memory statement = statementFor(id);
        bytes[] memory signed = new bytes[](2);
        expectSubmitRevert(statement, signed, abi.encodeWithSelector(Errors.WrongSignatureCount.selector, 2, 3));

        // One validator cannot sign for another.
        address[] memory validators = market.getRequest(id).validators;
        signed = signatures(id, statement, 1);
        signed[1] = signed[0];
        expectSubmitRevert(statement, signed, abi.encodeWithSelector(Errors.InvalidSignature.selector, validators[1]));
        signed[1] = "not a signature";
        expectSubmitRevert(statement, signed, abi.encodeWithSelector(Errors.InvalidSignature.selector, validators[1]));
    }

    function test_submitResult_revertsIfAnyFieldWasChangedAfterSigning() external {
        for (uint256 field = 0; field < 9; ++field) {
            Statement memory statement = statementFor(id);
            bytes[] memory signed = signatures(id, statement);
            if (field == 0) statement.round += 1;
            if (field == 1) statement.weightsHash = keccak256("other weights");
            if (field == 2) statement.metricHash = keccak256("other metric");
            if (field == 3) statement.scale += 1;
            if (field == 4) statement.rows += 1;
            if (field == 5) statement.initialMse += 1;
            if (field == 6) statement.finalMse += 1;
            if (field == 7) (statement.gains[0], statement.gains[1]) = (0, 2 * int256(ONE));
            if (field == 8) statement.transcriptHash = keccak256("other transcript");
            address first = market.getRequest(id).validators[0];
            expectSubmitRevert(statement, signed, abi.encodeWithSelector(Errors.InvalidSignature.selector, first));
        }
    }

    function test_submitResult_revertsIfSignedForAnotherContract() external {
        Statement memory statement = statementFor(id);
        Marketplace other = deployArtifact();
        address[] memory validators = market.getRequest(id).validators;
        bytes[] memory signed = new bytes[](3);
        for (uint256 i = 0; i < 3; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[validators[i]], other.digestOf(statement));
            signed[i] = abi.encodePacked(r, s, v);
        }
        expectSubmitRevert(statement, signed, abi.encodeWithSelector(Errors.InvalidSignature.selector, validators[0]));
    }

    function test_submitResult_revertsIfSignedForAnotherRequest() external {
        uint256 other = trainingRequest(terms(), 5 ether, 10);
        Statement memory statement = statementFor(other);
        bytes[] memory signed = signatures(other, statement);
        expectSubmitRevert(statement, signed, abi.encodeWithSelector(Errors.StatementOfOtherRequest.selector, id, other));
    }

    // --- submitResult, the statement ---------------------------------------------------------------------------

    function test_submitResult_revertsIfTheStatementLacksSomething() external {
        Statement memory statement = statementFor(id);
        bytes[] memory none = new bytes[](3);
        statement.modulusHash = keccak256("other modulus");
        expectSubmitRevert(
            statement,
            none,
            abi.encodeWithSelector(Errors.HashMismatch.selector, "modulusHash", keccak256("other modulus"), MODULUS_HASH)
        );
        statement = statementFor(id);
        statement.weightsHash = 0;
        expectSubmitRevert(statement, none, abi.encodeWithSelector(Errors.ZeroValue.selector, "weightsHash"));
        statement = statementFor(id);
        statement.metricHash = 0;
        expectSubmitRevert(statement, none, abi.encodeWithSelector(Errors.ZeroValue.selector, "metricHash"));
        statement = statementFor(id);
        statement.transcriptHash = 0;
        expectSubmitRevert(statement, none, abi.encodeWithSelector(Errors.ZeroValue.selector, "transcriptHash"));
        statement = statementFor(id);
        statement.rows = 0;
        expectSubmitRevert(statement, none, abi.encodeWithSelector(Errors.ZeroValue.selector, "rows"));
        statement = statementFor(id);
        statement.gains = new int256[](6);
        expectSubmitRevert(statement, none, abi.encodeWithSelector(Errors.WrongGainCount.selector, 6, 7));
    }

    function test_submitResult_revertsIfANumberIsTooLarge() external {
        uint256 largest = market.MAX_METRIC();
        bytes[] memory none = new bytes[](3);
        bytes memory data = abi.encodeWithSelector(Errors.MetricTooLarge.selector, largest + 1, largest);
        Statement memory statement = statementFor(id);
        statement.initialMse = largest + 1;
        expectSubmitRevert(statement, none, data);
        statement = statementFor(id);
        statement.finalMse = largest + 1;
        expectSubmitRevert(statement, none, data);
        statement = statementFor(id);
        statement.gains[6] = int256(largest + 1);
        expectSubmitRevert(statement, none, data);
        statement.gains[6] = -int256(largest + 1);
        expectSubmitRevert(statement, none, data);
        statement.gains[6] = type(int256).min;
        expectSubmitRevert(
            statement, none, abi.encodeWithSelector(Errors.MetricTooLarge.selector, uint256(1) << 255, largest)
        );
    }

    function test_submitResult_revertsFromTheTrainingDeadlineOn() external {
        Statement memory statement = statementFor(id);
        bytes[] memory signed = signatures(id, statement);
        vm.warp(TRAINING);
        expectSubmitRevert(statement, signed, abi.encodeWithSelector(Errors.TooLate.selector, id, TRAINING, TRAINING));
    }

    function test_submitResult_withNoiseMetricsTakesNoOpening() external {
        Statement memory statement = statementFor(id);
        bytes[] memory signed = signatures(id, statement);
        Opening memory opening;
        opening.randomness = hex"01";
        expectRevert(abi.encodeWithSelector(Errors.UnexpectedOpening.selector, MetricsKind.Noise));
        vm.prank(aggregator);
        market.submitResult(id, statement, signed, opening);
    }
}

/// @notice submitResult with openings, at once and deferred.
contract OpeningResultsTest is Fixture {
    function trainingWith(KnownOpening memory known, MetricsKind kind) private returns (uint256 id, Statement memory statement) {
        Terms memory asked = terms();
        asked.metricsKind = kind;
        asked.modulusHash = keccak256(known.opening.modulus);
        id = trainingRequest(asked, 5 ether, 5);
        statement = statementFor(id);
        statement.metricHash = keccak256(known.opening.ciphertext);
        statement.scale = known.scale;
        statement.rows = known.rows;
        statement.finalMse = known.finalMse;
    }

    function send(uint256 id, Statement memory statement, Opening memory opening, bytes memory refusal) private {
        bytes[] memory signed = signatures(id, statement);
        if (refusal.length > 0) expectRevert(refusal);
        vm.prank(aggregator);
        market.submitResult(id, statement, signed, opening);
        expectStatus(id, refusal.length > 0 ? Status.Training : Status.Submitted);
    }

    function test_submitResult_acceptsAnHonestOpeningAtBothSizes() external {
        for (uint256 i = 0; i < 5; ++i) {
            KnownOpening memory known = knownOpening(i);
            (uint256 id, Statement memory statement) = trainingWith(known, MetricsKind.Verifiable);
            send(id, statement, known.opening, "");
            eq(market.getRequest(id).finalMse, known.finalMse, "final");
        }
    }

    function test_submitResult_revertsIfTheRandomnessIsWrong() external {
        for (uint256 i = 0; i < 5; i += 3) {
            KnownOpening memory known = knownOpening(i);
            (uint256 id, Statement memory statement) = trainingWith(known, MetricsKind.Verifiable);
            known.opening.randomness[100] ^= 0x01;
            send(id, statement, known.opening, abi.encodeWithSelector(Errors.OpeningDoesNotHold.selector));
        }
    }

    function test_submitResult_revertsIfThePlaintextIsWrongThoughFinalFollowsIt() external {
        for (uint256 i = 0; i < 5; i += 3) {
            KnownOpening memory known = knownOpening(i);
            (uint256 id, Statement memory statement) = trainingWith(known, MetricsKind.Verifiable);
            // Half a unit less of squared error: the statement and the plaintext agree, the ciphertext does not.
            uint256 length = known.opening.plaintext.length;
            known.opening.plaintext[length - 1 - known.scale / 8] ^= 0x04;
            statement.finalMse = mseOf(known);
            send(id, statement, known.opening, abi.encodeWithSelector(Errors.OpeningDoesNotHold.selector));
        }
    }

    function test_submitResult_revertsIfFinalIsNotWhatWasOpened() external {
        KnownOpening memory known = knownOpening(0);
        (uint256 id, Statement memory statement) = trainingWith(known, MetricsKind.Verifiable);
        statement.finalMse -= 1;
        bytes memory refusal = abi.encodeWithSelector(Errors.FinalMismatch.selector, known.finalMse - 1, known.finalMse);
        send(id, statement, known.opening, refusal);
    }

    function test_submitResult_revertsIfAnotherModulusOrCiphertextIsOpened() external {
        KnownOpening memory known = knownOpening(0);
        KnownOpening memory other = knownOpening(1);
        (uint256 id, Statement memory statement) = trainingWith(known, MetricsKind.Verifiable);
        bytes32 required = keccak256(other.opening.modulus);
        bytes memory refusal = abi.encodeWithSelector(Errors.HashMismatch.selector, "modulusHash", statement.modulusHash, required);
        send(id, statement, other.opening, refusal);
        statement.metricHash = keccak256("other metric");
        required = keccak256(known.opening.ciphertext);
        refusal = abi.encodeWithSelector(Errors.HashMismatch.selector, "metricHash", statement.metricHash, required);
        send(id, statement, known.opening, refusal);
    }

    function test_submitResult_revertsWithoutAnOpening() external {
        (uint256 id, Statement memory statement) = trainingWith(knownOpening(0), MetricsKind.Verifiable);
        send(id, statement, noOpening(), abi.encodeWithSelector(Errors.OpeningLength.selector, "modulus", 0, 256));
    }

    function test_submitResult_deferredChecksEverythingButTheExponentiation() external {
        KnownOpening memory known = knownOpening(0);
        (uint256 id, Statement memory statement) = trainingWith(known, MetricsKind.VerifiableDeferred);
        statement.finalMse += 1;
        bytes memory refusal = abi.encodeWithSelector(Errors.FinalMismatch.selector, known.finalMse + 1, known.finalMse);
        send(id, statement, known.opening, refusal);
        statement.finalMse -= 1;
        known.opening.randomness[100] ^= 0x01;
        send(id, statement, known.opening, "");
    }

    // --- refuteOpening -----------------------------------------------------------------------------------------

    function deferred(uint256 which, bool honest) private returns (uint256 id, Opening memory opening) {
        KnownOpening memory known = knownOpening(which);
        Statement memory statement;
        (id, statement) = trainingWith(known, MetricsKind.VerifiableDeferred);
        if (!honest) known.opening.randomness[100] ^= 0x01;
        opening = known.opening;
        send(id, statement, opening, "");
    }

    function test_refuteOpening_failsTheRequestIfTheOpeningIsFalse() external {
        (uint256 id, Opening memory opening) = deferred(0, false);
        address owner_ = owner(2);
        vm.prank(owner_);
        market.refuteOpening(id, opening, "", 8);
        expectStatus(id, Status.Failed);
        eq(market.creditWei(buyer), 5 ether, "refund");
    }

    function test_refuteOpening_isRefusedIfTheOpeningHolds() external {
        (uint256 id, Opening memory opening) = deferred(0, true);
        address owner_ = owner(2);
        expectRevert(abi.encodeWithSelector(Errors.OpeningHolds.selector, id));
        vm.prank(owner_);
        market.refuteOpening(id, opening, "", 8);
        vm.warp(market.getRequest(id).challengeEnd);
        market.finalize(id);
        expectStatus(id, Status.Settled);
    }

    function test_refuteOpening_inStepsOfSeveralCallsEachContinuesItsOwn() external {
        (uint256 id, Opening memory opening) = deferred(3, false);
        address first = owner(2);
        address second = owner(3);
        StepComputer computer = new StepComputer();
        bytes memory power = "";
        for (uint256 done = 0; done < 12; done += 4) {
            vm.prank(first);
            market.refuteOpening(id, opening, power, 4);
            if (done + 4 < 12) eq(market.refutationSteps(id, first), done + 4, "steps done");
            power = computer.advance(opening, power, done, 4);
            if (done == 0) {
                // Another refuter neither profits from nor disturbs these steps.
                eq(market.refutationSteps(id, second), 0, "steps of another");
                vm.prank(second);
                market.refuteOpening(id, opening, "", 1);
            }
        }
        expectStatus(id, Status.Failed);
    }

    function test_refuteOpening_revertsIfPowerOrStepsAreNotTheNext() external {
        (uint256 id, Opening memory opening) = deferred(0, false);
        address first = owner(2);
        expectRevert(abi.encodeWithSelector(Errors.WrongStepCount.selector, 0, 8));
        vm.prank(first);
        market.refuteOpening(id, opening, "", 0);
        expectRevert(abi.encodeWithSelector(Errors.WrongStepCount.selector, 9, 8));
        vm.prank(first);
        market.refuteOpening(id, opening, "", 9);
        vm.prank(first);
        market.refuteOpening(id, opening, "", 2);
        bytes memory right = (new StepComputer()).advance(opening, "", 0, 2);
        bytes memory wrong = bytes.concat(right);
        wrong[511] ^= 0x01;
        expectRevert(abi.encodeWithSelector(Errors.HashMismatch.selector, "power", keccak256(wrong), keccak256(right)));
        vm.prank(first);
        market.refuteOpening(id, opening, wrong, 6);
        expectRevert(abi.encodeWithSelector(Errors.WrongStepCount.selector, 7, 6));
        vm.prank(first);
        market.refuteOpening(id, opening, right, 7);
    }

    function test_refuteOpening_revertsIfTheOpeningIsNotTheSubmittedOne() external {
        (uint256 id, Opening memory opening) = deferred(0, true);
        bytes32 submitted = keccak256(abi.encode(opening));
        opening.randomness[7] ^= 0x01;
        address first = owner(2);
        expectRevert(
            abi.encodeWithSelector(Errors.HashMismatch.selector, "opening", keccak256(abi.encode(opening)), submitted)
        );
        vm.prank(first);
        market.refuteOpening(id, opening, "", 8);
    }

    function test_refuteOpening_revertsForStrangersAfterTheWindowAndForOtherKinds() external {
        (uint256 id, Opening memory opening) = deferred(0, false);
        expectRevert(abi.encodeWithSelector(Errors.NotParticipant.selector, id, stranger));
        vm.prank(stranger);
        market.refuteOpening(id, opening, "", 8);
        uint256 end = market.getRequest(id).challengeEnd;
        vm.warp(end);
        expectRevert(abi.encodeWithSelector(Errors.TooLate.selector, id, end, end));
        vm.prank(buyer);
        market.refuteOpening(id, opening, "", 8);

        vm.warp(NOW);
        id = submittedRequest();
        expectRevert(abi.encodeWithSelector(Errors.OpeningNotDeferred.selector, MetricsKind.Noise));
        vm.prank(buyer);
        market.refuteOpening(id, opening, "", 8);
    }

    function test_confirm_cannotShortenTheWindowOfADeferredOpening() external {
        (uint256 id,) = deferred(0, false);
        uint256 end = market.getRequest(id).challengeEnd;
        expectRevert(abi.encodeWithSelector(Errors.WindowCannotBeShortened.selector, id, end));
        confirm(id);
    }

    function mseOf(KnownOpening memory known) private returns (uint256) {
        return (new StepComputer()).meanSquaredError(known);
    }
}

/// @notice What a refuter computes off chain.
contract StepComputer {
    function advance(Opening memory opening, bytes memory power, uint256 done, uint256 steps) external view returns (bytes memory) {
        return PaillierOpening.advance(opening, power, done, steps);
    }

    function meanSquaredError(KnownOpening memory known) external pure returns (uint256) {
        return PaillierOpening.meanSquaredError(known.opening.plaintext, known.scale, known.rows);
    }
}
