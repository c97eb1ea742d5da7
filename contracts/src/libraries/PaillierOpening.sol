// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Errors} from "../Errors.sol";
import {Opening} from "../Types.sol";
import {BigNumber} from "./BigNumber.sol";

/// @notice Checks that a Paillier ciphertext opens to a plaintext: `c = (1 + n m) r**n mod n**2` (protocol.md §7).
/// @dev Since `r**n = c (mod n)`, this is `r**n + n t = c (mod n**2)` with `t = m (c mod n) mod n`: one long
/// exponentiation and a few short products. `steps` does that exponentiation 256 bits of n at a time, so that it can
/// be spread over transactions where one cannot pay for it.
library PaillierOpening {
    using BigNumber for bytes;

    /// @notice Fractional bits of the opened integer that count; lower ones are dropped before the division.
    uint256 internal constant FRACTION_BITS = 128;
    /// @notice One, in the 18 decimals of errors.
    uint256 internal constant ONE = 1e18;
    /// @notice Shortest and longest modulus in bytes.
    uint256 internal constant SHORTEST_MODULUS = 256;
    uint256 internal constant LONGEST_MODULUS = 384;

    /// @notice Refuses numbers of wrong length or range, before anything is computed with them.
    function checkForm(Opening memory opening) internal view {
        bytes memory n = opening.modulus;
        uint256 length = n.length;
        if (length != SHORTEST_MODULUS && length != LONGEST_MODULUS) {
            revert Errors.OpeningLength("modulus", length, length < LONGEST_MODULUS ? SHORTEST_MODULUS : LONGEST_MODULUS);
        }
        _checkLength("ciphertext", opening.ciphertext, 2 * length);
        _checkLength("plaintext", opening.plaintext, length);
        _checkLength("randomness", opening.randomness, length);
        if (n.word(0) & 1 == 0 || n.word(length / 32 - 1) >> 255 == 0) revert Errors.OpeningOutOfRange("modulus");
        if (!opening.plaintext.isLess(n)) revert Errors.OpeningOutOfRange("plaintext");
        if (!opening.randomness.isLess(n) || opening.randomness.isZero()) revert Errors.OpeningOutOfRange("randomness");
        if (opening.ciphertext.reduce(n).isZero()) revert Errors.OpeningOutOfRange("ciphertext");
    }

    /// @notice Whether the opening holds, in one go. Needs `checkForm`.
    function holds(Opening memory opening) internal view returns (bool) {
        bytes memory n = opening.modulus;
        return _agrees(opening, opening.randomness.powMod(n, n.mul(n)));
    }

    /// @notice Steps that `step` needs for this modulus.
    function stepCount(Opening memory opening) internal pure returns (uint256) {
        return opening.modulus.length / 32;
    }

    /// @notice `steps` more steps of `r**n mod n**2`, after `done` that gave `power`; start with `done = 0`.
    function advance(Opening memory opening, bytes memory power, uint256 done, uint256 steps)
        internal
        view
        returns (bytes memory)
    {
        bytes memory n = opening.modulus;
        bytes memory square = n.mul(n);
        uint256 words = n.length / 32;
        // 2**256, one word further than a single word of exponent.
        bytes memory shift = hex"010000000000000000000000000000000000000000000000000000000000000000";
        for (uint256 k = done; k < done + steps; ++k) {
            bytes memory factor = opening.randomness.powMod(abi.encode(n.word(words - 1 - k)), square);
            power = k == 0 ? factor : power.powMod(shift, square).mulMod(factor, square);
        }
        return power;
    }

    /// @notice Whether the opening holds, given the `power` of all steps. Needs `checkForm`.
    function holdsWith(Opening memory opening, bytes memory power) internal view returns (bool) {
        return _agrees(opening, power);
    }

    /// @notice The mean squared error (18 decimals, rounded down) of an opened sum of squared errors times 2**scale.
    /// @dev The rule, which Python mirrors: with `kept = min(scale, 128)`, first drop the low `scale - kept` bits of m,
    /// then take `floor(m * 10**18 / (rows * 2**kept))`. The sum of squared errors must be below 2**128.
    function meanSquaredError(bytes memory plaintext, uint256 scale, uint256 rows) internal pure returns (uint256) {
        uint256 kept = Math.min(scale, FRACTION_BITS);
        uint256 k = (scale - kept) / 256;
        uint256 shift = (scale - kept) % 256;
        uint256 value = plaintext.word(k) >> shift;
        uint256 above = plaintext.word(k + 1);
        if (shift > 0) {
            value |= above << (256 - shift);
            above >>= shift;
        }
        for (uint256 j = k + 2; j * 32 < plaintext.length; ++j) {
            above |= plaintext.word(j);
        }
        if (above != 0 || value >> kept > type(uint128).max) revert Errors.OpeningOutOfRange("plaintext");
        return Math.mulDiv(value, ONE, rows << kept);
    }

    function _agrees(Opening memory opening, bytes memory power) private view returns (bool) {
        bytes memory n = opening.modulus;
        bytes memory t = opening.plaintext.mul(opening.ciphertext.reduce(n)).reduce(n);
        return keccak256(power.addMod(n.mul(t), n.mul(n))) == keccak256(opening.ciphertext);
    }

    function _checkLength(string memory field, bytes memory number, uint256 required) private pure {
        if (number.length != required) revert Errors.OpeningLength(field, number.length, required);
    }
}
