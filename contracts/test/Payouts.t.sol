// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Payouts} from "../src/libraries/Payouts.sol";
import {Check} from "./Check.sol";
import {vm} from "./Vm.sol";

/// @notice The money rules: the golden vectors that Python reads too, and properties for any numbers.
contract PayoutsTest is Check {
    function text(string memory json, uint256 i, string memory key) private pure returns (string memory) {
        return vm.parseJsonString(json, string.concat("[", vm.toString(i), "].", key));
    }

    function number(string memory json, uint256 i, string memory key) private pure returns (uint256) {
        return vm.parseUint(text(json, i, key));
    }

    function list(string memory json, uint256 i, string memory key) private pure returns (string[] memory) {
        return vm.parseJsonStringArray(json, string.concat("[", vm.toString(i), "].", key));
    }

    function test_split_paysWhatTheGoldenVectorsSay() external view {
        uint256 count = 0;
        while (this.checkVector(count)) {
            ++count;
        }
        yes(count >= 200, "at least 200 vectors");
    }

    /// @dev Called from outside, so that each vector starts with empty memory: the file is long. False after the last.
    function checkVector(uint256 i) external view returns (bool) {
        string memory json = vm.readFile("../tests/vectors/payouts.json");
        if (!vm.keyExistsJson(json, string.concat("[", vm.toString(i), "]"))) return false;
        string[] memory gains = list(json, i, "gains");
        string[] memory shares = list(json, i, "shares_bps");
        Payouts.Input memory input = Payouts.Input({
            escrowWei: number(json, i, "escrow_wei"),
            minimumWei: number(json, i, "minimum_wei"),
            initialMse: number(json, i, "initial"),
            finalMse: number(json, i, "final"),
            trainersBps: vm.parseUint(shares[0]),
            validatorsBps: vm.parseUint(shares[1]),
            aggregatorBps: vm.parseUint(shares[2]),
            validators: number(json, i, "validators"),
            gains: new int256[](gains.length)
        });
        for (uint256 k = 0; k < gains.length; ++k) {
            input.gains[k] = vm.parseInt(gains[k]);
        }
        Payouts.Output memory output = Payouts.split(input);

        string memory name = string.concat("vector ", vm.toString(i));
        string[] memory trainers = list(json, i, "payouts_wei.trainers");
        string[] memory validators = list(json, i, "payouts_wei.validators");
        eq(output.trainersWei.length, trainers.length, name);
        for (uint256 k = 0; k < trainers.length; ++k) {
            eq(output.trainersWei[k], vm.parseUint(trainers[k]), name);
        }
        eq(validators.length, input.validators, name);
        for (uint256 k = 0; k < validators.length; ++k) {
            eq(output.validatorWei, vm.parseUint(validators[k]), name);
        }
        eq(output.aggregatorWei, number(json, i, "payouts_wei.aggregator"), name);
        eq(output.refundWei, number(json, i, "refund_wei"), name);
        return true;
    }

    function testFuzz_split_paysTheEscrowExactly(
        uint128 rest,
        uint64 minimumWei,
        uint192 initialMse,
        uint192 finalMse,
        uint16 cutA,
        uint16 cutB,
        int192[20] memory gains,
        uint8 validators
    ) external pure {
        uint256 a = cutA % 10_001;
        uint256 b = cutB % (10_001 - a);
        Payouts.Input memory input = Payouts.Input({
            escrowWei: 0,
            minimumWei: minimumWei,
            initialMse: initialMse,
            finalMse: finalMse,
            trainersBps: a,
            validatorsBps: b,
            aggregatorBps: 10_000 - a - b,
            validators: within(validators, 1, 19),
            gains: new int256[](gains.length)
        });
        input.escrowWei = rest + minimumWei * (gains.length + input.validators);
        for (uint256 i = 0; i < gains.length; ++i) {
            input.gains[i] = gains[i];
        }
        Payouts.Output memory output = Payouts.split(input);

        uint256 sum = output.aggregatorWei + output.validatorWei * input.validators + output.refundWei;
        for (uint256 i = 0; i < gains.length; ++i) {
            sum += output.trainersWei[i];
            yes(output.trainersWei[i] >= minimumWei, "minimum reward");
            if (gains[i] <= 0) eq(output.trainersWei[i], minimumWei, "no gain, nothing beyond the minimum");
        }
        eq(sum, input.escrowWei, "payouts and refund");
        yes(output.validatorWei >= minimumWei, "minimum reward");
        yes(output.improvement <= 1e18, "improvement");
    }

    function testFuzz_improvementOf_isCappedAndFallsWithFinal(uint192 initialMse, uint192 better, uint192 worse) external pure {
        vm.assume(better <= worse);
        uint256 high = Payouts.improvementOf(initialMse, better);
        yes(high <= 1e18, "at most one");
        yes(high >= Payouts.improvementOf(initialMse, worse), "a worse model improves less");
        if (initialMse <= better) eq(high, 0, "no improvement");
    }
}
