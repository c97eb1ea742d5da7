// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {RoleDeal} from "../src/libraries/RoleDeal.sol";
import {RequestView, Status, Terms} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

/// @notice Roles come from a block hash that nobody knew when the owners were fixed; nobody picks or re-rolls one.
contract RolesTest is Fixture {
    function test_start_dealsAThirdRoundedDownAndAtLeastOne(uint256 owners, bytes32 hash) external {
        owners = within(owners, 2, 64);
        uint256 id = closedRequest(terms(), 5 ether, owners);
        uint256 dealBlock = market.getRequest(id).dealBlock;
        vm.roll(dealBlock + 1);
        vm.setBlockhash(dealBlock, hash);
        market.start(id);

        RequestView memory request = market.getRequest(id);
        uint256 expected = owners * 3 / 10 == 0 ? 1 : owners * 3 / 10;
        eq(request.validators.length, expected, "validators");
        eq(request.trainers.length, owners - expected, "trainers");
        uint256 t = 0;
        uint256 v = 0;
        for (uint256 i = 0; i < owners; ++i) {
            bool validates = v < expected && request.validators[v] == owner(i);
            if (validates) ++v;
            else eq(request.trainers[t++], owner(i), "every owner has one role, in the order of acceptance");
        }
    }

    function test_start_fiveOwnersGiveFourTrainersAndOneValidator() external {
        uint256 id = trainingRequest();
        eq(market.getRequest(id).trainers.length, 4, "trainers");
        eq(market.getRequest(id).validators.length, 1, "validators");
    }

    function test_start_revertsUntilTheHashOfTheDealBlockExists() external {
        uint256 id = closedRequest(terms(), 5 ether, 5);
        uint256 dealBlock = market.getRequest(id).dealBlock;
        eq(dealBlock, block.number + market.DEAL_DELAY_BLOCKS(), "ahead of the block that fixed the owners");
        for (uint256 at = block.number; at <= dealBlock; ++at) {
            vm.roll(at);
            expectRevert(abi.encodeWithSelector(Errors.DealBlockAhead.selector, id, at, dealBlock));
            market.start(id);
        }
        vm.roll(dealBlock + 1);
        market.start(id);
        expectStatus(id, Status.Training);
    }

    /// Whoever calls, and at whichever of the 256 blocks, the deal is the same.
    function test_start_dealsTheSameWhoeverCallsAndWhenever(address caller, uint256 delay) external {
        delay = within(delay, 1, 256);
        uint256 id = closedRequest(terms(), 5 ether, 20);
        uint256 dealBlock = market.getRequest(id).dealBlock;
        uint256 snapshot = vm.snapshotState();
        vm.roll(dealBlock + 1);
        vm.setBlockhash(dealBlock, keccak256("hash"));
        market.start(id);
        bytes32 first = keccak256(abi.encode(market.getRequest(id).validators));

        yes(vm.revertToState(snapshot), "back");
        vm.roll(dealBlock + delay);
        vm.setBlockhash(dealBlock, keccak256("hash"));
        vm.prank(caller);
        market.start(id);
        eq(keccak256(abi.encode(market.getRequest(id).validators)), first, "validators");
    }

    function test_start_cannotBeRepeatedToRollAgain() external {
        uint256 id = trainingRequest();
        expectRevert(abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status.Training, Status.Closed));
        vm.prank(aggregator);
        market.start(id);
    }

    /// A hash may expire only if nobody at all calls for 256 blocks; then a block ahead decides, unknown to the caller.
    function test_start_afterTheHashExpiredFixesAnotherBlockAheadAndDealsNothing() external {
        uint256 id = closedRequest(terms(), 5 ether, 5);
        uint256 late = market.getRequest(id).dealBlock + 257;
        vm.roll(late);
        vm.prank(aggregator);
        market.start(id);
        expectStatus(id, Status.Closed);
        eq(market.getRequest(id).dealBlock, late + market.DEAL_DELAY_BLOCKS(), "a new block ahead");
        expectRevert(abi.encodeWithSelector(Errors.DealBlockAhead.selector, id, late, late + market.DEAL_DELAY_BLOCKS()));
        market.start(id);
    }

    function test_start_atTheLastBlockOfTheHashStillDeals() external {
        uint256 id = closedRequest(terms(), 5 ether, 5);
        vm.roll(market.getRequest(id).dealBlock + 256);
        market.start(id);
        expectStatus(id, Status.Training);
    }

    function test_close_afterClosingNobodyMovesTheDealBlock() external {
        uint256 id = closedRequest(terms(), 5 ether, 5);
        uint256 dealBlock = market.getRequest(id).dealBlock;
        expectRevert(abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status.Closed, Status.Open));
        market.close(id);
        vm.prank(buyer);
        expectRevert(abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status.Closed, Status.Open));
        market.cancel(id);
        eq(market.getRequest(id).dealBlock, dealBlock, "deal block");
    }

    /// An owner that waits for the hash cannot join any more: the owners are fixed blocks before it.
    function test_accept_afterClosingIsTooLateToSteer() external {
        Terms memory asked = terms();
        asked.minOwners = 3;
        uint256 id = openRequest(asked, 5 ether);
        for (uint256 i = 0; i < 4; ++i) {
            acceptBy(id, owner(i));
        }
        vm.warp(ACCEPTANCE);
        market.close(id);
        address late = owner(4);
        expectRevert(abi.encodeWithSelector(Errors.WrongStatus.selector, id, Status.Closed, Status.Open));
        acceptBy(id, late);
    }

    function test_start_withNamedValidatorsNeedsNoHashAndKeepsThem() external {
        Terms memory asked = terms();
        asked.validators = new address[](2);
        (asked.validators[0], asked.validators[1]) = (owner(4), owner(1));
        uint256 id = closedRequest(asked, 5 ether, 5);
        eq(market.getRequest(id).dealBlock, 0, "no block");
        market.start(id);
        RequestView memory request = market.getRequest(id);
        eq(request.validators[0], owner(1), "in the order of acceptance");
        eq(request.validators[1], owner(4), "in the order of acceptance");
        eq(request.trainers.length, 3, "trainers");
    }

    function test_start_revertsFromTheTrainingDeadlineOn() external {
        uint256 id = closedRequest(terms(), 5 ether, 5);
        vm.roll(market.getRequest(id).dealBlock + 1);
        vm.warp(TRAINING);
        expectRevert(abi.encodeWithSelector(Errors.TooLate.selector, id, TRAINING, TRAINING));
        market.start(id);
    }

    /// Each owner validates about equally often: 10 owners, 3 validators, 2000 deals, 600 expected, deviation 20.5.
    function test_deal_isFair() external pure {
        uint256[10] memory counts;
        for (uint256 n = 0; n < 2000; ++n) {
            uint64 bits = RoleDeal.deal(keccak256(abi.encode("seed", n)), 10);
            for (uint256 i = 0; i < 10; ++i) {
                counts[i] += (bits >> i) & 1;
            }
        }
        uint256 total = 0;
        for (uint256 i = 0; i < 10; ++i) {
            yes(counts[i] > 500 && counts[i] < 700, "five deviations");
            total += counts[i];
        }
        eq(total, 6000, "three each time");
    }
}
