// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {PaillierOpening} from "../src/libraries/PaillierOpening.sol";
import {MetricsKind, Opening, Statement, Status, Terms} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {KnownOpening, knownOpening} from "./Openings.sol";
import {vm} from "./Vm.sol";

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
