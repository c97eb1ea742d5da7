// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {Events} from "../src/Events.sol";
import {FailureReason, Opening, RequestView, Statement, Status, Terms} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

/// @notice refute, confirm, finalize, expire, withdraw, and every call at every wrong status; see marketplace.tree.
contract SettlementTest is Fixture {
    function test_finalize_paysTheCheckValue() external {
        Terms memory asked = terms();
        uint256 id = trainingRequest(asked, 5 ether, 3);
        submit(id, statementFor(id));
        confirm(id);
        vm.prank(stranger);
        market.finalize(id);
        RequestView memory request = market.getRequest(id);
        eq(market.creditWei(request.validators[0]), 1 ether, "validator");
        eq(market.creditWei(aggregator), 0.5 ether, "aggregator");
        eq(market.creditWei(request.trainers[0]), 0.875 ether, "trainer");
        eq(market.creditWei(request.trainers[1]), 0.875 ether, "trainer");
        eq(market.creditWei(buyer), 1.75 ether, "refund");
        eq(request.lockedWei, 0, "nothing locked");
    }

    function test_finalize_waitsForTheWindowWithoutConfirmation() external {
        uint256 id = submittedRequest();
        uint256 end = market.getRequest(id).challengeEnd;
        eq(end, block.timestamp + WINDOW, "window");
        vm.warp(end - 1);
        expectRevert(abi.encodeWithSelector(Errors.TooEarly.selector, id, end - 1, end));
        market.finalize(id);
        vm.warp(end);
        market.finalize(id);
        expectStatus(id, Status.Settled);
    }

    function test_finalize_creditsOnce() external {
        uint256 id = settledRequest();
        uint256 before = market.creditWei(aggregator);
        expectRevert(abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status.Settled, Status.Submitted));
        market.finalize(id);
        eq(market.creditWei(aggregator), before, "credited once");
    }

    function test_confirm_isForTheBuyerWithinTheWindow() external {
        uint256 id = submittedRequest();
        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, aggregator, buyer));
        vm.prank(aggregator);
        market.confirm(id);
        confirm(id);
        expectRevert(abi.encodeWithSelector(Errors.TooLate.selector, id, block.timestamp, block.timestamp));
        confirm(id);
    }

    // --- refute ------------------------------------------------------------------------------------------------

    function refuteBy(address caller, uint256 id, Statement memory other, bytes[] memory signed, bytes memory refusal) private {
        if (refusal.length > 0) expectRevert(refusal);
        vm.prank(caller);
        market.refute(id, other, signed);
        expectStatus(id, refusal.length > 0 ? Status.Submitted : Status.Failed);
    }

    function test_refute_failsTheRequestIfAMajoritySignedAnotherStatement() external {
        Terms memory asked = terms();
        asked.minimumRewardWei = 0.1 ether;
        uint256 id = trainingRequest(asked, 5 ether, 10);
        submit(id, statementFor(id));
        Statement memory other = statementFor(id);
        other.finalMse = 400 * ONE;
        address trainer = market.getRequest(id).trainers[0];
        vm.expectEmit(address(market));
        emit Events.Failed(id, FailureReason.OtherStatementSigned, 4 ether);
        refuteBy(trainer, id, other, signatures(id, other, 2), "");
        for (uint256 i = 0; i < 10; ++i) {
            eq(market.creditWei(owner(i)), 0.1 ether, "minimum reward");
        }
        eq(market.creditWei(buyer), 4 ether, "the rest");
        eq(market.creditWei(aggregator), 0, "the aggregator gets nothing");
    }

    function test_refute_withoutEvidenceHasNoEffect() external {
        uint256 id = trainingRequest(terms(), 5 ether, 10);
        Statement memory statement = statementFor(id);
        submit(id, statement);
        bytes32 digest = market.digestOf(statement);
        refuteBy(buyer, id, statement, signatures(id, statement), abi.encodeWithSelector(Errors.SameStatement.selector, digest));

        Statement memory other = statementFor(id);
        other.round += 1;
        refuteBy(buyer, id, other, signatures(id, other, 1), abi.encodeWithSelector(Errors.NoMajority.selector, 1, 3));
        address first = market.getRequest(id).validators[0];
        refuteBy(buyer, id, other, signatures(id, statement), abi.encodeWithSelector(Errors.InvalidSignature.selector, first));
        bytes[] memory signed = signatures(id, other);
        refuteBy(stranger, id, other, signed, abi.encodeWithSelector(Errors.NotParticipant.selector, id, stranger));
        other.request = id + 1;
        refuteBy(buyer, id, other, signed, abi.encodeWithSelector(Errors.StatementOfOtherRequest.selector, id, id + 1));
    }

    function test_refute_revertsFromTheEndOfTheWindowOn() external {
        uint256 id = submittedRequest();
        Statement memory other = statementFor(id);
        other.round += 1;
        bytes[] memory signed = signatures(id, other);
        confirm(id);
        refuteBy(
            buyer, id, other, signed, abi.encodeWithSelector(Errors.TooLate.selector, id, block.timestamp, block.timestamp)
        );
    }

    // --- expire ------------------------------------------------------------------------------------------------

    function test_expire_inTrainingPaysMinimumRewardsAndRefundsTheRest() external {
        Terms memory asked = terms();
        asked.minimumRewardWei = 0.2 ether;
        uint256 id = trainingRequest(asked, 5 ether, 5);
        expectRevert(abi.encodeWithSelector(Errors.TooEarly.selector, id, block.timestamp, TRAINING));
        market.expire(id);
        vm.warp(TRAINING);
        vm.prank(stranger);
        market.expire(id);
        for (uint256 i = 0; i < 5; ++i) {
            eq(market.creditWei(owner(i)), 0.2 ether, "minimum reward");
        }
        eq(market.creditWei(buyer), 4 ether, "the rest");
        expectStatus(id, Status.Failed);
    }

    function test_expire_beforeRolesWereDealtRefundsEverything() external {
        Terms memory asked = terms();
        asked.minimumRewardWei = 0.2 ether;
        uint256 id = closedRequest(asked, 5 ether, 5);
        vm.warp(TRAINING);
        market.expire(id);
        eq(market.creditWei(buyer), 5 ether, "full refund");
        eq(market.getRequest(id).trainers.length, 0, "no roles");
    }

    // --- withdraw ----------------------------------------------------------------------------------------------

    function test_withdraw_sendsTheCreditOnce() external {
        settledRequest();
        vm.prank(aggregator);
        eq(market.withdraw(), 0.5 ether, "sent");
        eq(aggregator.balance, 0.5 ether, "received");
        expectRevert(abi.encodeWithSelector(Errors.NothingToWithdraw.selector, aggregator));
        vm.prank(aggregator);
        market.withdraw();
    }

    function test_withdrawTo_sendsElsewhereButNotNowhere() external {
        settledRequest();
        expectRevert(abi.encodeWithSelector(Errors.ZeroValue.selector, "recipient"));
        vm.prank(aggregator);
        market.withdrawTo(payable(address(0)));
        address payable elsewhere = payable(named("elsewhere"));
        vm.prank(aggregator);
        market.withdrawTo(elsewhere);
        eq(elsewhere.balance, 0.5 ether, "received");
    }

    // --- every call at every other status ----------------------------------------------------------------------

    /// @dev A request at the given status, all deadlines ahead.
    function requestAt(Status status) private returns (uint256 id) {
        if (status == Status.Open) return openRequest(terms(), 5 ether);
        if (status == Status.Closed) return closedRequest(terms(), 5 ether, 5);
        if (status == Status.Training) return trainingRequest();
        if (status == Status.Submitted) return submittedRequest();
        if (status == Status.Settled) return settledRequest();
        id = openRequest(terms(), 5 ether);
        if (status == Status.Cancelled) {
            vm.prank(buyer);
            market.cancel(id);
        } else {
            vm.warp(ACCEPTANCE);
            market.close(id);
            vm.warp(NOW);
        }
    }

    /// @dev The `which`-th call, its caller, and the status it needs.
    function callAt(uint256 which, uint256 id) private returns (bytes memory data, address caller, Status needed) {
        Statement memory statement;
        statement.request = id;
        bytes[] memory none = new bytes[](0);
        Opening memory opening;
        if (which == 0) return (abi.encodeCall(market.takeOn, (id)), aggregator, Status.Open);
        if (which == 1) return (abi.encodeCall(market.accept, (id, "data")), owner(70), Status.Open);
        if (which == 2) return (abi.encodeCall(market.decline, (id)), owner(70), Status.Open);
        if (which == 3) return (abi.encodeCall(market.close, (id)), stranger, Status.Open);
        if (which == 4) return (abi.encodeCall(market.cancel, (id)), buyer, Status.Open);
        if (which == 5) return (abi.encodeCall(market.start, (id)), stranger, Status.Closed);
        if (which == 6) return (abi.encodeCall(market.recordMetric, (id, 1, 1)), aggregator, Status.Training);
        if (which == 7) return (abi.encodeCall(market.submitResult, (id, statement, none, opening)), aggregator, Status.Training);
        if (which == 8) return (abi.encodeCall(market.expire, (id)), stranger, Status.Training);
        if (which == 9) return (abi.encodeCall(market.refute, (id, statement, none)), buyer, Status.Submitted);
        if (which == 10) return (abi.encodeCall(market.refuteOpening, (id, opening, "", 1)), buyer, Status.Submitted);
        if (which == 11) return (abi.encodeCall(market.confirm, (id)), buyer, Status.Submitted);
        return (abi.encodeCall(market.finalize, (id)), stranger, Status.Submitted);
    }

    function test_everyCall_revertsAtEveryOtherStatus() external {
        for (uint256 s = uint256(Status.Open); s <= uint256(Status.Failed); ++s) {
            uint256 id = requestAt(Status(s));
            for (uint256 which = 0; which <= 12; ++which) {
                (bytes memory data, address caller, Status needed) = callAt(which, id);
                if (Status(s) == needed || (which == 8 && Status(s) == Status.Closed)) continue;
                vm.prank(caller);
                (bool done, bytes memory said) = address(market).call(data);
                yes(!done, "refused");
                bytes memory expected = abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status(s), needed);
                eq(keccak256(said), keccak256(expected), "WrongStatus");
            }
            expectStatus(id, Status(s));
        }
    }

    function test_everyCall_revertsWithoutARequest() external {
        uint256[2] memory unknown = [uint256(0), type(uint256).max];
        for (uint256 u = 0; u < 2; ++u) {
            for (uint256 which = 0; which <= 12; ++which) {
                (bytes memory data, address caller,) = callAt(which, unknown[u]);
                vm.prank(caller);
                (bool done, bytes memory said) = address(market).call(data);
                yes(!done, "refused");
                eq(keccak256(said), keccak256(abi.encodeWithSelector(Errors.UnknownRequest.selector, unknown[u])), "UnknownRequest");
            }
            expectRevert(abi.encodeWithSelector(Errors.UnknownRequest.selector, unknown[u]));
            market.getRequest(unknown[u]);
        }
    }
}
