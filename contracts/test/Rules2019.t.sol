// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Rules2019} from "../teaching/Rules2019.sol";
import {Check} from "./Check.sol";
import {vm} from "./Vm.sol";

/// @notice The teaching contract has the holes it is kept for.
contract Rules2019Test is Check {
    Rules2019 private rules = new Rules2019();
    address private victim = vm.addr(1);
    address private thief = vm.addr(2);
    address private trainer = vm.addr(3);
    uint256 private id;

    function setUp() external {
        vm.deal(victim, 10 ether);
        id = order(victim, 10 ether, trainer);
    }

    function order(address buyer, uint256 escrowWei, address by) private returns (uint256) {
        address[] memory trainers = new address[](1);
        trainers[0] = by;
        as_(buyer, Rules2019.Role.ModelBuyer);
        vm.prank(buyer);
        return rules.create{value: escrowWei}(trainers, 1000);
    }

    function as_(address account, Rules2019.Role role) private {
        vm.prank(account);
        rules.setRole(role);
    }

    function improved(uint256 which) private {
        uint256[] memory whole = new uint256[](1);
        whole[0] = 100;
        as_(thief, Rules2019.Role.FederatedAggregator);
        vm.prank(thief);
        rules.saveResult(which, 500, whole);
        as_(thief, Rules2019.Role.ModelBuyer);
        vm.prank(thief);
        rules.finish(which);
    }

    function test_anyoneWritesAndFinishesAnyOrder_andRefundsItselfEverything() external {
        improved(id);
        vm.prank(thief);
        rules.refund(id);
        eq(thief.balance, 10 ether, "all of it");
        eq(address(rules).balance, 0, "nothing is left");
    }

    function test_aClaimIsPaidAgainAndAgain() external {
        improved(id);
        as_(trainer, Rules2019.Role.DataOwner);
        for (uint256 i = 1; i < 3; ++i) {
            vm.prank(trainer);
            rules.claim(id, 0);
            eq(trainer.balance, i * 3.5 ether, "once more");
        }
    }

    function test_aClaimIsPaidFromOthersEscrow() external {
        uint256 own = order(thief, 0, trainer);
        eq(own, 1, "a second order");
        improved(id);
        as_(trainer, Rules2019.Role.DataOwner);
        vm.prank(trainer);
        rules.claim(id, 0);
        vm.prank(trainer);
        rules.claim(id, 0);
        eq(address(rules).balance, 3 ether, "the victim's");
    }

    function test_claim_revertsIfTheOrderIsNotFinished() external {
        as_(trainer, Rules2019.Role.DataOwner);
        vm.expectRevert(abi.encodeWithSelector(Rules2019.NotFinished.selector, id));
        vm.prank(trainer);
        rules.claim(id, 0);
    }

    function test_refund_revertsIfTheCallerIsNoBuyer() external {
        vm.expectRevert(abi.encodeWithSelector(Rules2019.NotInRole.selector, thief, Rules2019.Role.ModelBuyer));
        vm.prank(thief);
        rules.refund(id);
    }
}
