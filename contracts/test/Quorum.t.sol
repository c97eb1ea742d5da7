// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {Answer, MetricsKind, RequestView, Role, Status, Terms} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

/// @notice createRequest, takeOn, accept, decline, close, cancel; see marketplace.tree. Roles are in Roles.t.sol.
contract QuorumTest is Fixture {
    function expectCreationRevert(Terms memory asked, uint256 escrowWei, bytes memory data) private {
        expectRevert(data);
        vm.prank(buyer);
        market.createRequest{value: escrowWei}(asked, "{}");
    }

    function test_createRequest_locksTheEscrowAndShowsTheTerms() external {
        Terms memory asked = terms();
        asked.validators = new address[](1);
        asked.validators[0] = owner(3);
        asked.minimumRewardWei = 3;
        uint256 id = create(asked, 1 ether);
        RequestView memory request = market.getRequest(id);
        eq(keccak256(abi.encode(request.terms)), keccak256(abi.encode(asked)), "terms");
        eq(request.buyer, buyer, "buyer");
        eq(request.escrowWei, 1 ether, "escrow");
        eq(request.lockedWei, 1 ether, "locked");
        eq(request.requirementsHash, keccak256("{}"), "requirements");
        eq(address(market).balance, 1 ether, "balance");
        eq(uint256(market.answerOf(id, owner(3))), uint256(Answer.NamedValidator), "named before anyone accepts");
        expectStatus(id, Status.Open);
    }

    function test_createRequest_revertsIfCallerIsNoBuyer() external {
        vm.deal(stranger, 1 ether);
        expectRevert(abi.encodeWithSelector(Errors.NotRegistered.selector, stranger, Role.ModelBuyer));
        vm.prank(stranger);
        market.createRequest{value: 1 ether}(terms(), "{}");
    }

    function test_createRequest_revertsIfAggregatorIsNotListed() external {
        Terms memory asked = terms();
        asked.aggregator = stranger;
        expectCreationRevert(asked, 1 ether, abi.encodeWithSelector(Errors.NotRegistered.selector, stranger, Role.FederatedAggregator));
    }

    function test_createRequest_revertsIfBuyerAggregates() external {
        vm.prank(buyer);
        market.register(Role.FederatedAggregator, "");
        Terms memory asked = terms();
        asked.aggregator = buyer;
        expectCreationRevert(asked, 1 ether, abi.encodeWithSelector(Errors.ConflictingParts.selector, buyer));
    }

    function test_createRequest_revertsIfEscrowIsZero() external {
        expectCreationRevert(terms(), 0, abi.encodeWithSelector(Errors.ZeroEscrow.selector));
    }

    function test_createRequest_revertsIfEscrowExceeds128Bits() external {
        uint256 tooMuch = uint256(type(uint128).max) + 1;
        vm.deal(buyer, tooMuch);
        bytes4 selector = bytes4(keccak256("SafeCastOverflowedUintDowncast(uint8,uint256)"));
        expectCreationRevert(terms(), tooMuch, abi.encodeWithSelector(selector, 128, tooMuch));
    }

    function test_createRequest_revertsIfRequirementsAreEmpty() external {
        expectRevert(abi.encodeWithSelector(Errors.ZeroValue.selector, "requirements"));
        vm.prank(buyer);
        market.createRequest{value: 1}(terms(), "");
    }

    function test_createRequest_revertsIfOwnerLimitsAreWrong(uint8 fewest, uint8 most) external {
        vm.assume(fewest < 2 || most < fewest || most > 64);
        Terms memory asked = terms();
        (asked.minOwners, asked.maxOwners) = (fewest, most);
        expectCreationRevert(asked, 1 ether, abi.encodeWithSelector(Errors.OwnerLimits.selector, fewest, most));
    }

    function test_createRequest_revertsIfSharesDoNotSum(uint16 trainers, uint16 validators, uint16 aggregator_) external {
        vm.assume(uint256(trainers) + validators + aggregator_ != 10_000);
        Terms memory asked = terms();
        (asked.trainersBps, asked.validatorsBps, asked.aggregatorBps) = (trainers, validators, aggregator_);
        expectCreationRevert(
            asked, 1 ether, abi.encodeWithSelector(Errors.SharesDoNotSum.selector, trainers, validators, aggregator_)
        );
    }

    function test_createRequest_revertsIfEscrowCannotPayTheMinimumRewards(uint128 minimumWei, uint256 escrowWei) external {
        uint256 neededWei = uint256(minimumWei) * 5;
        vm.assume(minimumWei > 0);
        escrowWei = within(escrowWei, 1, (neededWei < 1000 ether ? neededWei : 1000 ether) - 1);
        Terms memory asked = terms();
        asked.minimumRewardWei = minimumWei;
        expectCreationRevert(
            asked, escrowWei, abi.encodeWithSelector(Errors.EscrowBelowMinimumRewards.selector, escrowWei, neededWei)
        );
    }

    function test_createRequest_revertsIfADurationIsOutOfRange() external {
        Terms memory asked = terms();
        asked.acceptanceDeadline = uint64(NOW);
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.DurationOutOfRange.selector, "acceptance", 0, 1, 365 days));
        asked.acceptanceDeadline = type(uint64).max;
        expectCreationRevert(
            asked,
            1,
            abi.encodeWithSelector(Errors.DurationOutOfRange.selector, "acceptance", type(uint64).max - NOW, 1, 365 days)
        );
        asked = terms();
        asked.trainingDeadline = asked.acceptanceDeadline;
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.DurationOutOfRange.selector, "training", 0, 1, 365 days));
        asked.trainingDeadline = asked.acceptanceDeadline + 365 days + 1;
        expectCreationRevert(
            asked, 1, abi.encodeWithSelector(Errors.DurationOutOfRange.selector, "training", 365 days + 1, 1, 365 days)
        );
        asked = terms();
        asked.challengeWindow = 1 hours - 1;
        expectCreationRevert(
            asked, 1, abi.encodeWithSelector(Errors.DurationOutOfRange.selector, "challenge", 3599, 1 hours, 30 days)
        );
        asked.challengeWindow = type(uint32).max;
        expectCreationRevert(
            asked,
            1,
            abi.encodeWithSelector(Errors.DurationOutOfRange.selector, "challenge", type(uint32).max, 1 hours, 30 days)
        );
    }

    function test_createRequest_revertsIfAHashIsZero() external {
        Terms memory asked = terms();
        asked.modelKind = 0;
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ZeroValue.selector, "modelKind"));
        asked = terms();
        asked.modulusHash = 0;
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ZeroValue.selector, "modulusHash"));
        asked = terms();
        asked.initialModelHash = 0;
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ZeroValue.selector, "initialModelHash"));
        asked = terms();
        asked.keyProofHash = 0;
        asked.metricsKind = MetricsKind.Verifiable;
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ZeroValue.selector, "keyProofHash"));
        asked.metricsKind = MetricsKind.Noise;
        yes(create(asked, 1) > 0, "noise metrics have no key proof");
    }

    function test_createRequest_revertsIfNamedValidatorsConflict() external {
        Terms memory asked = terms();
        asked.validators = new address[](2);
        (asked.validators[0], asked.validators[1]) = (owner(0), owner(0));
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ConflictingParts.selector, owner(0)));
        asked.validators[1] = buyer;
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ConflictingParts.selector, buyer));
        asked.validators[1] = aggregator;
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ConflictingParts.selector, aggregator));
        asked.validators[1] = address(0);
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.ZeroValue.selector, "validator"));
        asked.validators = new address[](3);
        expectCreationRevert(asked, 1, abi.encodeWithSelector(Errors.TooManyValidators.selector, 3, 3));
    }

    function test_takeOn_isForTheNamedAggregatorOnceBeforeTheDeadline() external {
        uint256 id = create(terms(), 1 ether);
        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, stranger, aggregator));
        vm.prank(stranger);
        market.takeOn(id);

        vm.prank(aggregator);
        market.takeOn(id);
        expectRevert(abi.encodeWithSelector(Errors.AlreadyTakenOn.selector, id));
        vm.prank(aggregator);
        market.takeOn(id);

        id = create(terms(), 1 ether);
        vm.warp(ACCEPTANCE);
        expectRevert(abi.encodeWithSelector(Errors.TooLate.selector, id, ACCEPTANCE, ACCEPTANCE));
        vm.prank(aggregator);
        market.takeOn(id);
    }

    function test_accept_revertsBeforeTheAggregatorAgreed() external {
        uint256 id = create(terms(), 1 ether);
        address account = owner(0);
        expectRevert(abi.encodeWithSelector(Errors.NotTakenOn.selector, id, aggregator));
        acceptBy(id, account);
    }

    function test_accept_revertsForWhoMustNot() external {
        uint256 id = openRequest(terms(), 1 ether);
        expectRevert(abi.encodeWithSelector(Errors.NotRegistered.selector, stranger, Role.DataOwner));
        acceptBy(id, stranger);

        address[2] memory parts = [buyer, aggregator];
        for (uint256 i = 0; i < parts.length; ++i) {
            vm.prank(parts[i]);
            market.register(Role.DataOwner, "");
            expectRevert(abi.encodeWithSelector(Errors.ConflictingParts.selector, parts[i]));
            acceptBy(id, parts[i]);
        }
    }

    function test_accept_countsEachOwnerOnceWhateverItAnsweredFirst() external {
        uint256 id = openRequest(terms(), 1 ether);
        address first = owner(0);
        acceptBy(id, first);
        expectRevert(abi.encodeWithSelector(Errors.AlreadyAnswered.selector, id, first, Answer.Accepted));
        acceptBy(id, first);
        expectRevert(abi.encodeWithSelector(Errors.AlreadyAnswered.selector, id, first, Answer.Accepted));
        vm.prank(first);
        market.decline(id);

        address second = owner(1);
        vm.prank(second);
        market.decline(id);
        expectRevert(abi.encodeWithSelector(Errors.AlreadyAnswered.selector, id, second, Answer.Declined));
        acceptBy(id, second);
        expectRevert(abi.encodeWithSelector(Errors.AlreadyAnswered.selector, id, second, Answer.Declined));
        vm.prank(second);
        market.decline(id);
        eq(market.getRequest(id).owners.length, 1, "owners");
    }

    function test_accept_revertsIfTheCommitmentIsZero() external {
        uint256 id = openRequest(terms(), 1 ether);
        address account = owner(0);
        expectRevert(abi.encodeWithSelector(Errors.ZeroValue.selector, "datasetCommitment"));
        vm.prank(account);
        market.accept(id, 0);
    }

    function test_accept_revertsFromTheDeadlineOnAlthoughNobodyClosed() external {
        uint256 id = openRequest(terms(), 1 ether);
        address account = owner(0);
        vm.warp(ACCEPTANCE);
        expectRevert(abi.encodeWithSelector(Errors.TooLate.selector, id, ACCEPTANCE, ACCEPTANCE));
        acceptBy(id, account);
    }

    function test_accept_keepsPlacesForNamedValidators() external {
        Terms memory asked = terms();
        asked.maxOwners = 4;
        asked.validators = new address[](2);
        (asked.validators[0], asked.validators[1]) = (owner(8), owner(9));
        uint256 id = openRequest(asked, 1 ether);
        acceptBy(id, owner(0));
        acceptBy(id, owner(8));
        acceptBy(id, owner(1));
        address late = owner(2);
        expectRevert(abi.encodeWithSelector(Errors.NoPlaceLeft.selector, id, 4));
        acceptBy(id, late);
        acceptBy(id, owner(9));
        eq(market.getRequest(id).owners.length, 4, "all places");
    }

    function test_accept_revertsIfAllPlacesAreTaken() external {
        Terms memory asked = terms();
        asked.maxOwners = 3;
        uint256 id = openRequest(asked, 1 ether);
        for (uint256 i = 0; i < 3; ++i) {
            acceptBy(id, owner(i));
        }
        address late = owner(3);
        expectRevert(abi.encodeWithSelector(Errors.NoPlaceLeft.selector, id, 3));
        acceptBy(id, late);
    }

    function test_close_revertsWhilePlacesAreLeftBeforeTheDeadline() external {
        uint256 id = openRequest(terms(), 1 ether);
        for (uint256 i = 0; i < 4; ++i) {
            acceptBy(id, owner(i));
        }
        vm.warp(ACCEPTANCE - 1);
        expectRevert(abi.encodeWithSelector(Errors.PlacesLeft.selector, id, 4, 5));
        market.close(id);
        vm.warp(ACCEPTANCE);
        market.close(id);
        expectStatus(id, Status.Closed);
    }

    function test_close_refundsEverythingIfTheQuorumIsMissed() external {
        Terms memory asked = terms();
        asked.minimumRewardWei = 0.1 ether;
        uint256 id = openRequest(asked, 1 ether);
        acceptBy(id, owner(0));
        acceptBy(id, owner(1));
        vm.warp(ACCEPTANCE);
        vm.prank(stranger);
        market.close(id);
        expectStatus(id, Status.Failed);
        eq(market.creditWei(buyer), 1 ether, "full refund");
        eq(market.creditWei(owner(0)), 0, "no role, no reward");
    }

    function test_close_refundsEverythingIfANamedValidatorIsMissing() external {
        Terms memory asked = terms();
        asked.validators = new address[](2);
        (asked.validators[0], asked.validators[1]) = (owner(8), owner(9));
        uint256 id = openRequest(asked, 1 ether);
        acceptBy(id, owner(0));
        acceptBy(id, owner(1));
        acceptBy(id, owner(8));
        address declining = owner(9);
        vm.prank(declining);
        market.decline(id);
        vm.warp(ACCEPTANCE);
        market.close(id);
        expectStatus(id, Status.Failed);
        eq(market.creditWei(buyer), 1 ether, "full refund");
    }

    function test_close_refundsEverythingIfNobodyTookItOn() external {
        uint256 id = create(terms(), 1 ether);
        vm.warp(ACCEPTANCE);
        market.close(id);
        eq(market.creditWei(buyer), 1 ether, "full refund");
    }

    function test_cancel_isForTheBuyerWhileOpen() external {
        uint256 id = openRequest(terms(), 1 ether);
        acceptBy(id, owner(0));
        expectRevert(abi.encodeWithSelector(Errors.NotAuthorized.selector, id, aggregator, buyer));
        vm.prank(aggregator);
        market.cancel(id);
        vm.prank(buyer);
        market.cancel(id);
        expectStatus(id, Status.Cancelled);
        eq(market.creditWei(buyer), 1 ether, "full refund");
        eq(market.getRequest(id).lockedWei, 0, "nothing locked");
    }
}
