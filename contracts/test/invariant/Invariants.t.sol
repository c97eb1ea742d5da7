// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Marketplace} from "../../src/Marketplace.sol";
import {Status} from "../../src/Types.sol";
import {Check} from "../Check.sol";
import {vm} from "../Vm.sol";
import {Handler} from "./Handler.sol";

/// @notice The six invariants over whole call sequences; README.md beside this file says which check holds which.
contract InvariantsTest is Check {
    Marketplace private market;
    Handler private handler;

    function setUp() external {
        vm.warp(1_800_000_000);
        vm.roll(20_000_000);
        bytes memory code = vm.parseJsonBytes(vm.readFile("artifacts/Marketplace.json"), ".bytecode");
        Marketplace deployed;
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        market = deployed;
        handler = new Handler(market);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev Everything but what the end of a run is for.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[27] memory chosen = [
            Handler.create.selector,
            Handler.create.selector,
            Handler.takeOn.selector,
            Handler.takeOn.selector,
            Handler.accept.selector,
            Handler.accept.selector,
            Handler.advance.selector,
            Handler.advance.selector,
            Handler.advance.selector,
            Handler.decline.selector,
            Handler.close.selector,
            Handler.start.selector,
            Handler.cancel.selector,
            Handler.recordMetric.selector,
            Handler.recordMetric.selector,
            Handler.submit.selector,
            Handler.refute.selector,
            Handler.confirm.selector,
            Handler.finalize.selector,
            Handler.expire.selector,
            Handler.advance.selector,
            Handler.advance.selector,
            Handler.advance.selector,
            Handler.advance.selector,
            Handler.withdraw.selector,
            Handler.passTime.selector,
            Handler.passBlocks.selector
        ];
        targets = new FuzzSelector[](1);
        targets[0].addr = address(handler);
        targets[0].selectors = new bytes4[](chosen.length + 1);
        for (uint256 i = 0; i < chosen.length; ++i) {
            targets[0].selectors[i] = chosen[i];
        }
        targets[0].selectors[chosen.length] = Handler.forceEther.selector;
    }

    function invariant_everyRuleHolds() external view {
        (uint256 lockedWei, uint256 creditsWei) = handler.owedWei();
        eq(address(market).balance, lockedWei + creditsWei + handler.forcedWei(), "1: balance == escrows + credits + forced");
        string memory broken = handler.broken();
        if (bytes(broken).length > 0) revert NotTrue(broken);
    }

    /// @dev Runs after each sequence: invariant 6, and 2 for everything that had not ended before.
    function afterInvariant() external {
        handler.endEverything();
        for (uint256 id = 1; id <= market.requestCount(); ++id) {
            yes(market.statusOf(id) >= Status.Settled, "6: everything ended");
            eq(handler.creditedWei(id), market.getRequest(id).escrowWei, "2: credited exactly the escrow");
        }
        string memory broken = handler.broken();
        if (bytes(broken).length > 0) revert NotTrue(broken);
        eq(address(market).balance, handler.forcedWei(), "6: every wei that came in came out");
    }
}
