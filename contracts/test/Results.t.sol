// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {Events} from "../src/Events.sol";
import {Marketplace} from "../src/Marketplace.sol";
import {MetricsKind, Opening, RequestView, Statement, Status} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
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
