// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice From gains to payouts, in exact integers (the money rules of the marketplace).
/// @dev `deltaml_core/payouts.py` computes the same; `tests/vectors/payouts.json` holds both to the same numbers.
library Payouts {
    /// @notice One, in the 18 decimals of errors and improvements.
    uint256 internal constant ONE = 1e18;
    /// @notice One hundred percent in basis points.
    uint256 internal constant BPS = 10_000;

    struct Input {
        uint256 escrowWei;
        uint256 minimumWei;
        uint256 initialMse;
        uint256 finalMse;
        uint256 trainersBps;
        uint256 validatorsBps;
        uint256 aggregatorBps;
        uint256 validators;
        int256[] gains;
    }

    struct Output {
        // Wei for each trainer, in the order of the gains, and for each validator, minimum reward included.
        uint256[] trainersWei;
        uint256 validatorWei;
        uint256 aggregatorWei;
        uint256 refundWei;
        // 18 decimals.
        uint256 improvement;
    }

    /// @notice `max(0, (initial - final) / initial)` rounded down to 18 decimals; 0 when initial is 0.
    function improvementOf(uint256 initialMse, uint256 finalMse) internal pure returns (uint256) {
        if (initialMse == 0 || finalMse >= initialMse) return 0;
        return Math.mulDiv(initialMse - finalMse, ONE, initialMse);
    }

    /// @notice Splits an escrow. Needs `minimumWei * owners <= escrowWei`, shares that sum to `BPS`, `validators > 0`
    /// and gains whose positive ones sum to less than 2**256.
    /// @dev Every division rounds down, so the payouts never exceed the escrow; what is left is the refund.
    function split(Input memory input) internal pure returns (Output memory output) {
        uint256 trainers = input.gains.length;
        uint256 rest = input.escrowWei - input.minimumWei * (trainers + input.validators);

        output.improvement = improvementOf(input.initialMse, input.finalMse);
        output.aggregatorWei = Math.mulDiv(rest, input.aggregatorBps, BPS);
        output.validatorWei = input.minimumWei + Math.mulDiv(rest, input.validatorsBps, BPS) / input.validators;
        uint256 earned = Math.mulDiv(Math.mulDiv(rest, input.trainersBps, BPS), output.improvement, ONE);

        uint256 gainSum = 0;
        for (uint256 i = 0; i < trainers; ++i) {
            if (input.gains[i] > 0) gainSum += uint256(input.gains[i]);
        }
        output.trainersWei = new uint256[](trainers);
        uint256 paid = output.aggregatorWei + output.validatorWei * input.validators;
        for (uint256 i = 0; i < trainers; ++i) {
            uint256 share = input.gains[i] > 0 ? Math.mulDiv(earned, uint256(input.gains[i]), gainSum) : 0;
            output.trainersWei[i] = input.minimumWei + share;
            paid += output.trainersWei[i];
        }
        output.refundWei = input.escrowWei - paid;
    }
}
