// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {BigNumber} from "../src/libraries/BigNumber.sol";
import {PaillierOpening} from "../src/libraries/PaillierOpening.sol";
import {Opening} from "../src/Types.sol";
import {Check} from "./Check.sol";
import {FIRST_LONG_OPENING, KNOWN_OPENINGS, KnownOpening, knownOpening} from "./Openings.sol";
import {vm} from "./Vm.sol";

/// @notice Long arithmetic against the machine's own, and openings against real keys.
contract PaillierOpeningTest is Check {
    using BigNumber for bytes;

    // Called from outside, so that a refusal can be expected.
    function checkForm(Opening memory opening) external view {
        PaillierOpening.checkForm(opening);
    }

    function meanSquaredError(bytes memory plaintext, uint256 scale, uint256 rows) external pure returns (uint256) {
        return PaillierOpening.meanSquaredError(plaintext, scale, rows);
    }

    function testFuzz_mul_agreesWithItself(uint256 a, uint256 b, uint256 c, uint256 d) external pure {
        // (a 2**256 + b)(c 2**256 + d) modulo two primes-like moduli, by the machine's mulmod.
        bytes memory product = abi.encode(a, b).mul(abi.encode(c, d));
        eq(product.length, 128, "length");
        uint256[2] memory moduli = [type(uint256).max - 188, type(uint256).max - 58];
        for (uint256 i = 0; i < 2; ++i) {
            uint256 m = moduli[i];
            uint256 expected = mulmod(modulo(abi.encode(a, b), m), modulo(abi.encode(c, d), m), m);
            eq(modulo(product, m), expected, "product");
        }
    }

    function testFuzz_mulMod_agreesWithProductAndReduction(bytes32[4] memory a, bytes32[4] memory b, bytes32[4] memory m)
        external
        view
    {
        m[0] |= bytes32(uint256(1) << 255);
        m[3] |= bytes32(uint256(1));
        bytes memory modulus = abi.encodePacked(m);
        bytes memory x = abi.encodePacked(a).reduce(modulus);
        bytes memory y = abi.encodePacked(b).reduce(modulus);
        eq(keccak256(x.mulMod(y, modulus)), keccak256(x.mul(y).reduce(modulus)), "product");
    }

    function testFuzz_addMod_subMod_undoEachOther(bytes32[3] memory a, bytes32[3] memory b, bytes32[3] memory m) external view {
        m[0] |= bytes32(uint256(1) << 255);
        bytes memory modulus = abi.encodePacked(m);
        bytes memory x = abi.encodePacked(a).reduce(modulus);
        bytes memory y = abi.encodePacked(b).reduce(modulus);
        bytes memory sum = x.addMod(y, modulus);
        yes(sum.isLess(modulus), "reduced");
        eq(keccak256(sum.subMod(y, modulus)), keccak256(x), "back");
        eq(keccak256(x.subMod(y, modulus).addMod(y, modulus)), keccak256(x), "back");
    }

    function testFuzz_isLess_isAnOrder(uint256 a, uint256 b, uint256 c, uint256 d) external pure {
        bool expected = a < c || (a == c && b < d);
        yes(abi.encode(a, b).isLess(abi.encode(c, d)) == expected, "order");
        yes(!abi.encode(a, b).isLess(abi.encode(a, b)), "not less than itself");
    }

    function test_holds_forKnownOpeningsInOneGoAndInSteps() external view {
        for (uint256 i = 0; i < KNOWN_OPENINGS; ++i) {
            KnownOpening memory known = knownOpening(i);
            PaillierOpening.checkForm(known.opening);
            yes(PaillierOpening.holds(known.opening), "in one go");
            uint256 steps = PaillierOpening.stepCount(known.opening);
            eq(steps, i < FIRST_LONG_OPENING ? 8 : 12, "steps");
            bytes memory power = PaillierOpening.advance(known.opening, "", 0, 3);
            power = PaillierOpening.advance(known.opening, power, 3, 1);
            power = PaillierOpening.advance(known.opening, power, 4, steps - 4);
            yes(PaillierOpening.holdsWith(known.opening, power), "in steps");
            eq(
                PaillierOpening.meanSquaredError(known.opening.plaintext, known.scale, known.rows), known.finalMse, "final"
            );
        }
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_holds_notWithAnyBitChanged(uint256 which, uint256 field, uint256 bit) external view {
        KnownOpening memory known = knownOpening(within(which, 0, KNOWN_OPENINGS - 1));
        Opening memory opening = known.opening;
        bytes memory changed = [opening.ciphertext, opening.plaintext, opening.randomness, opening.modulus][field % 4];
        // Not the top byte of anything, so that ranges stay right.
        bit = within(bit, 0, (changed.length - 1) * 8 - 1);
        uint256 at = changed.length - 1 - bit / 8;
        changed[at] = bytes1(uint8(changed[at]) ^ uint8(1 << (bit % 8)));
        yes(!PaillierOpening.holds(opening), "a changed bit is noticed");
    }

    function test_checkForm_revertsIfALengthIsWrong() external {
        Opening memory opening = knownOpening(0).opening;
        opening.modulus = new bytes(128);
        vm.expectRevert(abi.encodeWithSelector(Errors.OpeningLength.selector, "modulus", 128, 256));
        this.checkForm(opening);
        opening = knownOpening(0).opening;
        opening.ciphertext = new bytes(511);
        vm.expectRevert(abi.encodeWithSelector(Errors.OpeningLength.selector, "ciphertext", 511, 512));
        this.checkForm(opening);
        opening = knownOpening(0).opening;
        opening.plaintext = new bytes(257);
        vm.expectRevert(abi.encodeWithSelector(Errors.OpeningLength.selector, "plaintext", 257, 256));
        this.checkForm(opening);
        opening = knownOpening(FIRST_LONG_OPENING).opening;
        opening.randomness = "";
        vm.expectRevert(abi.encodeWithSelector(Errors.OpeningLength.selector, "randomness", 0, 384));
        this.checkForm(opening);
    }

    function test_checkForm_revertsIfANumberIsOutOfRange() external {
        Opening memory opening = knownOpening(0).opening;
        opening.modulus[255] = bytes1(uint8(opening.modulus[255]) - 1);
        expectOutOfRange("modulus", opening);
        opening = knownOpening(0).opening;
        opening.modulus[0] &= 0x7f;
        expectOutOfRange("modulus", opening);
        opening = knownOpening(0).opening;
        opening.plaintext = opening.modulus;
        expectOutOfRange("plaintext", opening);
        opening = knownOpening(0).opening;
        opening.randomness = opening.modulus;
        expectOutOfRange("randomness", opening);
        opening.randomness = new bytes(256);
        expectOutOfRange("randomness", opening);
        opening = knownOpening(0).opening;
        opening.ciphertext = bytes.concat(new bytes(256), opening.modulus);
        expectOutOfRange("ciphertext", opening);
    }

    function expectOutOfRange(string memory field, Opening memory opening) private {
        vm.expectRevert(abi.encodeWithSelector(Errors.OpeningOutOfRange.selector, field));
        this.checkForm(opening);
    }

    function testFuzz_meanSquaredError_followsTheRule(uint128 whole, uint256 fraction, uint16 scale, uint64 rows) external pure {
        vm.assume(rows > 0);
        scale = uint16(within(scale, 0, 1600));
        uint256 kept = scale < 128 ? scale : 128;
        uint256 value = (uint256(whole) << kept) | (fraction & ((uint256(1) << kept) - 1));
        // The value, then scale - kept bits that must not count.
        uint256 low = scale - kept;
        bytes memory plaintext = new bytes(256);
        for (uint256 bit = 0; bit < 256; ++bit) {
            if ((value >> bit) & 1 == 1) setBit(plaintext, bit + low);
        }
        for (uint256 bit = 0; bit < low; bit += 3) {
            setBit(plaintext, bit);
        }
        uint256 mse = PaillierOpening.meanSquaredError(plaintext, scale, rows);
        // mse <= value 10**18 / (rows 2**kept) < mse + 1, in 512 bits.
        bytes memory left = abi.encode(mse).mul(abi.encode(uint256(rows) << kept));
        bytes memory middle = abi.encode(value).mul(abi.encode(uint256(1e18)));
        bytes memory right = abi.encode(mse + 1).mul(abi.encode(uint256(rows) << kept));
        yes(!middle.isLess(left) && middle.isLess(right), "floor");
    }

    function testFuzz_meanSquaredError_revertsIfTheSumIsTooLarge(uint16 scale, uint256 extra) external {
        scale = uint16(within(scale, 0, 1000));
        bytes memory plaintext = new bytes(256);
        setBit(plaintext, uint256(scale) + within(extra, 128, 1000));
        vm.expectRevert(abi.encodeWithSelector(Errors.OpeningOutOfRange.selector, "plaintext"));
        this.meanSquaredError(plaintext, scale, 1);
    }

    function setBit(bytes memory number, uint256 bit) private pure {
        uint256 at = number.length - 1 - bit / 8;
        number[at] = bytes1(uint8(number[at]) | uint8(1 << (bit % 8)));
    }

    function modulo(bytes memory number, uint256 m) private pure returns (uint256 result) {
        for (uint256 k = number.length / 32; k > 0; --k) {
            // result * 2**256 + word, modulo m.
            result = addmod(mulmod(result, (type(uint256).max % m + 1) % m, m), number.word(k - 1) % m, m);
        }
    }
}
