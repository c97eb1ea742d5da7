// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {Role} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

contract RegistryTest is Fixture {
    function test_register_listsTheCallerWithItsMetadata() external {
        vm.prank(stranger);
        market.register(Role.DataOwner, "a hospital");
        (address[] memory accounts, string[] memory metadata) = market.members(Role.DataOwner, 0, 10);
        eq(accounts.length, 1, "listed");
        eq(accounts[0], stranger, "member");
        eq(keccak256(bytes(metadata[0])), keccak256("a hospital"), "metadata");
        eq(market.memberCount(Role.DataOwner), 1, "count");
    }

    function test_register_revertsIfListedAlready() external {
        expectRevert(abi.encodeWithSelector(Errors.AlreadyRegistered.selector, buyer, Role.ModelBuyer));
        vm.prank(buyer);
        market.register(Role.ModelBuyer, "");
    }

    function test_register_revertsIfMetadataIsLong() external {
        expectRevert(abi.encodeWithSelector(Errors.TextLength.selector, "metadata", 257, 256));
        market.register(Role.DataOwner, string(new bytes(257)));
        market.register(Role.DataOwner, string(new bytes(256)));
    }

    function test_register_allowsSeveralRoles() external {
        vm.prank(buyer);
        market.register(Role.DataOwner, "");
        yes(market.isMember(Role.DataOwner, buyer) && market.isMember(Role.ModelBuyer, buyer), "both roles");
    }

    function test_leave_takesOnlyTheCallerOffTheList() external {
        owner(0);
        address second = owner(1);
        vm.prank(second);
        market.leave(Role.DataOwner);
        yes(market.isMember(Role.DataOwner, owner(0)), "the other stays");
        yes(!market.isMember(Role.DataOwner, second), "the caller left");
    }

    function test_leave_revertsIfNotListed() external {
        expectRevert(abi.encodeWithSelector(Errors.NotRegistered.selector, stranger, Role.DataOwner));
        vm.prank(stranger);
        market.leave(Role.DataOwner);
    }

    function test_leave_keepsWhatWasAgreed() external {
        uint256 id = trainingRequest();
        address trainer = market.getRequest(id).trainers[0];
        vm.prank(trainer);
        market.leave(Role.DataOwner);
        vm.prank(aggregator);
        market.leave(Role.FederatedAggregator);
        submit(id, statementFor(id));
        confirm(id);
        market.finalize(id);
        yes(market.creditWei(trainer) > 0, "paid all the same");
    }

    function test_members_pagesCoverEverybodyOnce(uint256 pageSize) external {
        pageSize = within(pageSize, 1, 9);
        for (uint256 i = 0; i < 7; ++i) {
            owner(i);
        }
        uint256 seen = 0;
        while (true) {
            (address[] memory accounts,) = market.members(Role.DataOwner, seen, pageSize);
            for (uint256 i = 0; i < accounts.length; ++i) {
                eq(accounts[i], owner(seen + i), "in order of registration, as nobody left");
            }
            seen += accounts.length;
            if (accounts.length < pageSize) break;
        }
        eq(seen, 7, "all of them");
        (address[] memory beyond,) = market.members(Role.DataOwner, type(uint256).max, type(uint256).max);
        eq(beyond.length, 0, "nothing beyond the end");
    }
}
