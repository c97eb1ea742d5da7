// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Errors} from "../Errors.sol";

/// @notice Just enough arithmetic on long natural numbers to check a Paillier opening.
/// @dev A number is a byte string, big-endian, whose length is a multiple of 32. "Word k" counts from the least
/// significant 32 bytes. Long products modulo m need no long division: the modexp precompile reduces.
library BigNumber {
    /// @notice Word `k` of `a`; words beyond the number are 0.
    function word(bytes memory a, uint256 k) internal pure returns (uint256 value) {
        uint256 end = (k + 1) * 32;
        if (end > a.length) return 0;
        assembly ("memory-safe") {
            value := mload(add(add(a, 32), sub(mload(a), end)))
        }
    }

    function _setWord(bytes memory a, uint256 k, uint256 value) private pure {
        assembly ("memory-safe") {
            mstore(add(add(a, 32), sub(mload(a), mul(add(k, 1), 32))), value)
        }
    }

    /// @notice Whether `a` is 0.
    function isZero(bytes memory a) internal pure returns (bool) {
        for (uint256 k = 0; k * 32 < a.length; ++k) {
            if (word(a, k) != 0) return false;
        }
        return true;
    }

    /// @notice Whether `a < b`, for equal lengths.
    function isLess(bytes memory a, bytes memory b) internal pure returns (bool) {
        for (uint256 k = a.length / 32; k > 0; --k) {
            uint256 x = word(a, k - 1);
            uint256 y = word(b, k - 1);
            if (x != y) return x < y;
        }
        return false;
    }

    /// @notice `a * b`, as long as both together.
    function mul(bytes memory a, bytes memory b) internal pure returns (bytes memory product) {
        product = new bytes(a.length + b.length);
        uint256 aWords = a.length / 32;
        uint256 bWords = b.length / 32;
        for (uint256 i = 0; i < aWords; ++i) {
            uint256 x = word(a, i);
            if (x == 0) continue;
            uint256 carry = 0;
            for (uint256 j = 0; j < bWords; ++j) {
                (uint256 high, uint256 low) = _multiply(x, word(b, j));
                // high <= 2**256 - 2, and x * y + carry + old < 2**512: neither increment of high overflows.
                unchecked {
                    uint256 sum = low + carry;
                    if (sum < low) ++high;
                    low = sum + word(product, i + j);
                    if (low < sum) ++high;
                }
                _setWord(product, i + j, low);
                carry = high;
            }
            _setWord(product, i + bWords, carry);
        }
    }

    /// @notice `a + b mod m`, for `a, b < m` of equal length.
    function addMod(bytes memory a, bytes memory b, bytes memory m) internal pure returns (bytes memory sum) {
        uint256 carry;
        (sum, carry) = _add(a, b);
        if (carry == 1 || !isLess(sum, m)) (sum,) = _sub(sum, m);
    }

    /// @notice `a - b mod m`, for `a, b < m` of equal length.
    function subMod(bytes memory a, bytes memory b, bytes memory m) internal pure returns (bytes memory difference) {
        uint256 borrow;
        (difference, borrow) = _sub(a, b);
        if (borrow == 1) (difference,) = _add(difference, m);
    }

    /// @notice `a * b mod m`, for `a, b < m` of equal length and odd m.
    /// @dev `4 a b = (a + b)**2 - (a - b)**2`, so two squares by the precompile, then two halvings.
    function mulMod(bytes memory a, bytes memory b, bytes memory m) internal view returns (bytes memory) {
        bytes memory squareOfSum = powMod(addMod(a, b, m), hex"02", m);
        bytes memory squareOfDifference = powMod(subMod(a, b, m), hex"02", m);
        bytes memory fourfold = subMod(squareOfSum, squareOfDifference, m);
        return _halveMod(_halveMod(fourfold, m), m);
    }

    /// @notice `a mod m`, as long as m.
    function reduce(bytes memory a, bytes memory m) internal view returns (bytes memory) {
        return powMod(a, hex"01", m);
    }

    /// @notice `base ** exponent mod m`, as long as m, for m > 0.
    function powMod(bytes memory base, bytes memory exponent, bytes memory m) internal view returns (bytes memory) {
        (bool done, bytes memory power) = Math.tryModExp(base, exponent, m);
        if (!done) revert Errors.ExponentiationFailed(gasleft());
        return power;
    }

    function _halveMod(bytes memory a, bytes memory m) private pure returns (bytes memory half) {
        uint256 carry = 0;
        if (word(a, 0) & 1 == 1) (a, carry) = _add(a, m);
        half = new bytes(a.length);
        for (uint256 k = a.length / 32; k > 0; --k) {
            uint256 value = word(a, k - 1);
            _setWord(half, k - 1, (carry << 255) | (value >> 1));
            carry = value & 1;
        }
    }

    function _add(bytes memory a, bytes memory b) private pure returns (bytes memory sum, uint256 carry) {
        sum = new bytes(a.length);
        for (uint256 k = 0; k * 32 < a.length; ++k) {
            uint256 x = word(a, k);
            unchecked {
                uint256 partialSum = x + word(b, k);
                uint256 total = partialSum + carry;
                carry = (partialSum < x ? 1 : 0) + (total < partialSum ? 1 : 0);
                _setWord(sum, k, total);
            }
        }
    }

    function _sub(bytes memory a, bytes memory b) private pure returns (bytes memory difference, uint256 borrow) {
        difference = new bytes(a.length);
        for (uint256 k = 0; k * 32 < a.length; ++k) {
            uint256 x = word(a, k);
            uint256 y = word(b, k);
            unchecked {
                uint256 partialDifference = x - y;
                _setWord(difference, k, partialDifference - borrow);
                borrow = (x < y ? 1 : 0) + (partialDifference < borrow ? 1 : 0);
            }
        }
    }

    function _multiply(uint256 x, uint256 y) private pure returns (uint256 high, uint256 low) {
        unchecked {
            uint256 remainder = mulmod(x, y, type(uint256).max);
            low = x * y;
            high = remainder - low - (remainder < low ? 1 : 0);
        }
    }
}
