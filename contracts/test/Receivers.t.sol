// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {Marketplace} from "../src/Marketplace.sol";
import {Role, Status, Terms} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

/// @notice A data owner that is a contract and misbehaves when it receives ether.
contract Receiver {
    enum Manner {
        Takes,
        Reverts,
        BurnsGas,
        CallsAgain,
        ReturnsMuch
    }

    Marketplace private immutable _market;
    Manner public manner;
    uint256 public received;

    constructor(Marketplace market, Manner manner_) {
        _market = market;
        manner = manner_;
        market.register(Role.DataOwner, "");
    }

    function accept(uint256 id) external {
        _market.accept(id, keccak256("data set"));
    }

    function withdraw() external {
        _market.withdraw();
    }

    function withdrawTo(address payable recipient) external {
        _market.withdrawTo(recipient);
    }

    receive() external payable {
        if (manner == Manner.Reverts) revert("no");
        if (manner == Manner.BurnsGas) {
            while (true) received = gasleft();
        }
        if (manner == Manner.CallsAgain) _market.withdraw();
        if (manner == Manner.ReturnsMuch) {
            assembly {
                return(0, 1000000)
            }
        }
        received += msg.value;
    }
}

contract ReceiversTest is Fixture {
    function settledWith(Receiver.Manner manner) private returns (Receiver receiver, uint256 id) {
        receiver = new Receiver(market, manner);
        Terms memory asked = terms();
        asked.maxOwners = 3;
        asked.validators = new address[](1);
        asked.validators[0] = owner(0);
        id = openRequest(asked, 5 ether);
        acceptBy(id, owner(0));
        acceptBy(id, owner(1));
        receiver.accept(id);
        market.close(id);
        market.start(id);
        submit(id, statementFor(id));
        confirm(id);
        market.finalize(id);
    }

    function checkOthersArePaid(uint256 id) private {
        expectStatus(id, Status.Settled);
        address[3] memory others = [owner(0), owner(1), aggregator];
        for (uint256 i = 0; i < others.length; ++i) {
            uint256 before = others[i].balance;
            vm.prank(others[i]);
            uint256 sent = market.withdraw();
            eq(others[i].balance, before + sent, "paid");
        }
        vm.prank(buyer);
        market.withdraw();
    }

    function test_withdraw_aRevertingReceiverHurtsOnlyItselfAndKeepsItsCredit() external {
        (Receiver receiver, uint256 id) = settledWith(Receiver.Manner.Reverts);
        expectRevert(abi.encodeWithSelector(Errors.TransferFailed.selector, address(receiver), 0.875 ether));
        receiver.withdraw();
        checkOthersArePaid(id);
        eq(market.creditWei(address(receiver)), 0.875 ether, "its credit stays");
        address payable elsewhere = payable(named("elsewhere"));
        receiver.withdrawTo(elsewhere);
        eq(elsewhere.balance, 0.875 ether, "and can go elsewhere");
        eq(address(market).balance, 0, "every wei came out");
    }

    function test_withdraw_aGasBurningReceiverHurtsOnlyItself() external {
        (Receiver receiver, uint256 id) = settledWith(Receiver.Manner.BurnsGas);
        (bool done,) = address(receiver).call{gas: 1_000_000}(abi.encodeCall(receiver.withdraw, ()));
        yes(!done, "its own transaction runs out of gas");
        checkOthersArePaid(id);
        eq(market.creditWei(address(receiver)), 0.875 ether, "its credit stays");
    }

    function test_withdraw_aReenteringReceiverGetsNothingTwice() external {
        (Receiver receiver, uint256 id) = settledWith(Receiver.Manner.CallsAgain);
        expectRevert(abi.encodeWithSelector(Errors.TransferFailed.selector, address(receiver), 0.875 ether));
        receiver.withdraw();
        checkOthersArePaid(id);
        eq(address(market).balance, 0.875 ether, "its own credit and no more is left");
    }

    function test_withdraw_aReceiverThatReturnsMuchIsPaidFromItsOwnGas() external {
        (Receiver receiver, uint256 id) = settledWith(Receiver.Manner.ReturnsMuch);
        receiver.withdraw();
        eq(address(receiver).balance, 0.875 ether, "paid");
        checkOthersArePaid(id);
    }

    function test_receive_etherWithoutARequestIsRefused() external {
        vm.deal(stranger, 1 ether);
        vm.prank(stranger);
        (bool done,) = address(market).call{value: 1 ether}("");
        yes(!done, "refused");
    }

    function test_forcedEtherIsNobodysAndDisturbsNothing() external {
        // As a self-destructing contract or a block's reward can.
        vm.deal(address(market), 1 ether);
        (Receiver receiver, uint256 id) = settledWith(Receiver.Manner.Takes);
        receiver.withdraw();
        checkOthersArePaid(id);
        eq(address(market).balance, 1 ether, "what was forced in stays");
    }
}
