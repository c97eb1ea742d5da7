// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Opening} from "../src/Types.sol";
import {vm} from "./Vm.sol";

/// @notice Honest openings at 2048 and 3072 bits, made by tests/vectors/make_contract_vectors.py.
struct KnownOpening {
    Opening opening;
    uint32 scale;
    uint64 rows;
    uint256 finalMse;
}

uint256 constant KNOWN_OPENINGS = 5;
// The first one with a modulus of 3072 bits; those before it have 2048.
uint256 constant FIRST_LONG_OPENING = 3;

function knownOpening(uint256 i) view returns (KnownOpening memory known) {
    string memory json = vm.readFile("../tests/vectors/openings.json");
    string memory at = string.concat("[", vm.toString(i), "].");
    known.opening.modulus = vm.parseJsonBytes(json, string.concat(at, "modulus"));
    known.opening.ciphertext = vm.parseJsonBytes(json, string.concat(at, "ciphertext"));
    known.opening.plaintext = vm.parseJsonBytes(json, string.concat(at, "plaintext"));
    known.opening.randomness = vm.parseJsonBytes(json, string.concat(at, "randomness"));
    known.scale = uint32(vm.parseUint(vm.parseJsonString(json, string.concat(at, "scale"))));
    known.rows = uint64(vm.parseUint(vm.parseJsonString(json, string.concat(at, "rows"))));
    known.finalMse = vm.parseUint(vm.parseJsonString(json, string.concat(at, "final")));
}
