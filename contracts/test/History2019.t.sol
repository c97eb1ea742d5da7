// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {MetricsKind, RequestView, Role, Statement, Status} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

/// @notice The holes of the 2019 contract, each with the test that shows it closed.
contract History2019Test is Fixture {
    /// 2019: anyone could give itself any role, and with it power over others' models.
    function test_2019_anyoneCouldGiveItselfAnyRole_aRoleGivesNoPowerOverOthersRequests() external {
        uint256 id = trainingRequest();
        vm.prank(stranger);
        market.register(Role.FederatedAggregator, "");
        vm.prank(stranger);
        market.register(Role.ModelBuyer, "");
        vm.prank(stranger);
        market.register(Role.DataOwner, "");

        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, stranger, aggregator));
        vm.prank(stranger);
        market.recordMetric(id, 1, 1);
        Statement memory statement = statementFor(id);
        bytes[] memory signed = signatures(id, statement);
        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, stranger, aggregator));
        vm.prank(stranger);
        market.submitResult(id, statement, signed, noOpening());
        expectRevert(abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status.Training, Status.Open));
        acceptBy(id, stranger);
    }

    /// 2019: any buyer could finish any model.
    function test_2019_anyBuyerCouldFinishAnyModel_onlyItsOwnBuyerConfirms() external {
        uint256 id = submittedRequest();
        address other = named("other buyer");
        vm.prank(other);
        market.register(Role.ModelBuyer, "");
        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, other, buyer));
        vm.prank(other);
        market.confirm(id);
        uint256 end = market.getRequest(id).challengeEnd;
        expectRevert(abi.encodeWithSelector(Errors.TooEarly.selector, id, block.timestamp, end));
        vm.prank(other);
        market.finalize(id);
    }

    /// 2019: a claim could be repeated.
    function test_2019_aClaimCouldBeRepeated_aCreditIsSentOnce() external {
        uint256 id = settledRequest();
        address trainer = market.getRequest(id).trainers[0];
        vm.prank(trainer);
        market.withdraw();
        uint256 balance = trainer.balance;
        expectRevert(abi.encodeWithSelector(Errors.NothingToWithdraw.selector, trainer));
        vm.prank(trainer);
        market.withdraw();
        eq(trainer.balance, balance, "nothing more");
    }

    /// 2019: the refund sent the whole contract balance, other buyers' escrow included.
    function test_2019_theRefundSentTheWholeBalance_aRefundIsOfItsOwnEscrow() external {
        uint256 untouched = openRequest(terms(), 7 ether);
        settledRequest();
        uint256 refund = market.creditWei(buyer);
        yes(refund < 5 ether, "less than its own escrow");
        vm.prank(buyer);
        market.withdraw();
        eq(market.getRequest(untouched).lockedWei, 7 ether, "the other escrow");
        yes(address(market).balance >= 7 ether, "is there");
    }

    /// 2019: `uint >= 0` guarded nothing: a worse model gave an underflow or a payment.
    function test_2019_uintAtLeastZeroGuardedNothing_aWorseModelPaysNoTrainer() external {
        uint256 id = trainingRequest();
        Statement memory statement = statementFor(id);
        statement.finalMse = statement.initialMse + 1;
        submit(id, statement);
        confirm(id);
        market.finalize(id);
        RequestView memory request = market.getRequest(id);
        for (uint256 i = 0; i < request.trainers.length; ++i) {
            eq(market.creditWei(request.trainers[i]), 0, "no improvement, no pay");
        }
        eq(market.creditWei(buyer), 3.5 ether, "the trainers' part goes back");
    }

    /// 2019: payments were pushed in a loop that one reverting receiver blocked. See also Receivers.t.sol.
    function test_2019_paymentsWerePushed_settlingSendsNothing() external {
        uint256 id = submittedRequest();
        confirm(id);
        uint256 balance = address(market).balance;
        market.finalize(id);
        eq(address(market).balance, balance, "credited, not sent");
    }

    /// 2019: percentages were integers, so small gains paid nothing and rounding ate money.
    function test_2019_percentagesWereIntegers_halfAPercentOfAGainIsPaid() external {
        uint256 id = trainingRequest();
        Statement memory statement = statementFor(id);
        statement.finalMse = 0;
        statement.gains[0] = 5;
        statement.gains[1] = 995;
        statement.gains[2] = 0;
        statement.gains[3] = 0;
        submit(id, statement);
        confirm(id);
        market.finalize(id);
        eq(market.creditWei(market.getRequest(id).trainers[0]), 3.5 ether * 5 / 1000, "half a percent of 3.5 ether");
    }

    /// 2019: a buyer that never finished kept everyone unpaid.
    function test_2019_aSilentBuyerKeptEveryoneUnpaid_theWindowEndsWithoutIt() external {
        uint256 id = submittedRequest();
        vm.warp(market.getRequest(id).challengeEnd);
        vm.prank(stranger);
        market.finalize(id);
        yes(market.creditWei(market.getRequest(id).trainers[0]) > 0, "paid");
    }
}
