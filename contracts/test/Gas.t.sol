// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {MetricsKind, Role, Statement, Terms} from "../src/Types.sol";
import {Fixture} from "./Fixture.sol";
import {KnownOpening, knownOpening} from "./Openings.sol";
import {vm} from "./Vm.sol";

/// @notice What calls cost as transactions of their own, kept in snapshots/.
/// forge-config: default.isolate = true
contract GasTest is Fixture {
    function submitMeasured(uint256 owners) private returns (uint256 id, uint256 gas) {
        id = trainingRequest(terms(), 5 ether, owners);
        Statement memory statement = statementFor(id);
        bytes[] memory signed = signatures(id, statement);
        vm.prank(aggregator);
        market.submitResult(id, statement, signed, noOpening());
        gas = vm.snapshotGasLastCall("marketplace", string.concat("submitResult, ", vm.toString(owners), " owners"));
    }

    /// @dev Owners that never had a credit: the dearest case.
    function settleMeasured(uint256 owners) private returns (uint256 gas) {
        uint256 before = vm.snapshotState();
        (uint256 id, uint256 submitted) = submitMeasured(owners);
        confirm(id);
        market.finalize(id);
        gas = submitted + vm.snapshotGasLastCall("marketplace", string.concat("finalize, ", vm.toString(owners), " owners"));
        yes(vm.revertToState(before), "back");
    }

    function test_gas_settlementOf50OwnersIsBelow5Million() external {
        yes(settleMeasured(50) < 5_000_000, "submit and finalize");
    }

    function test_gas_settlementGrowsAtMostLinearly() external {
        uint256 few = settleMeasured(10);
        uint256 some = settleMeasured(20);
        uint256 many = settleMeasured(64);
        yes(some < 2 * few && many * 10 < few * 64, "no faster than the owners");
    }

    function test_gas_recordMetricIsBelow30Thousand() external {
        uint256 id = trainingRequest();
        vm.prank(aggregator);
        market.recordMetric(id, 1, 27742 * ONE);
        uint256 gas = vm.snapshotGasLastCall("marketplace", "recordMetric");
        yes(gas < 30_000, "with all a transaction costs");
    }

    function test_gas_ofTheOtherCalls() external {
        address newcomer = named("newcomer");
        vm.prank(newcomer);
        market.register(Role.DataOwner, "");
        vm.snapshotGasLastCall("marketplace", "register");
        uint256 id = create(terms(), 5 ether);
        vm.snapshotGasLastCall("marketplace", "createRequest");
        vm.prank(aggregator);
        market.takeOn(id);
        vm.snapshotGasLastCall("marketplace", "takeOn");
        for (uint256 i = 0; i < 5; ++i) {
            address account = owner(i);
            vm.prank(account);
            market.accept(id, "data");
            if (i == 1) vm.snapshotGasLastCall("marketplace", "accept");
        }
        market.close(id);
        vm.snapshotGasLastCall("marketplace", "close");
        vm.roll(market.getRequest(id).dealBlock + 1);
        market.start(id);
        vm.snapshotGasLastCall("marketplace", "start, 5 owners");
        submit(id, statementFor(id));
        confirm(id);
        vm.snapshotGasLastCall("marketplace", "confirm");
        market.finalize(id);
        vm.snapshotGasLastCall("marketplace", "finalize, 5 owners");
        vm.prank(aggregator);
        market.withdraw();
        vm.snapshotGasLastCall("marketplace", "withdraw");
    }

    function test_gas_ofOpenings() external {
        for (uint256 i = 0; i < 5; i += 3) {
            KnownOpening memory known = knownOpening(i);
            Terms memory asked = terms();
            asked.metricsKind = MetricsKind.Verifiable;
            asked.modulusHash = keccak256(known.opening.modulus);
            uint256 id = trainingRequest(asked, 5 ether, 5);
            Statement memory statement = statementFor(id);
            statement.metricHash = keccak256(known.opening.ciphertext);
            (statement.scale, statement.rows, statement.finalMse) = (known.scale, known.rows, known.finalMse);
            bytes[] memory signed = signatures(id, statement);
            vm.prank(aggregator);
            market.submitResult(id, statement, signed, known.opening);
            uint256 gas = vm.snapshotGasLastCall(
                "marketplace", string.concat("submitResult with opening, ", i == 0 ? "2048" : "3072", " bits")
            );
            yes(gas < 12_000_000, "fits a block of 30 million");
        }
    }
}
