// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @notice Who validates and who trains, from a number nobody could choose.
library RoleDeal {
    /// @notice `max(1, floor(0.3 owners))` owners validate.
    function validatorCount(uint256 owners) internal pure returns (uint256) {
        uint256 count = owners * 3 / 10;
        return count == 0 ? 1 : count;
    }

    /// @notice The validators as a bit set over owners 0 .. owners - 1; needs `owners <= 64`.
    /// @dev The first `validatorCount` places of a Fisher-Yates shuffle. Each draw reduces 256 bits modulo at most 64:
    /// the bias is below 2**-250.
    function deal(bytes32 seed, uint256 owners) internal pure returns (uint64 bits) {
        uint256[] memory order = new uint256[](owners);
        for (uint256 i = 0; i < owners; ++i) {
            order[i] = i;
        }
        uint256 count = validatorCount(owners);
        for (uint256 i = 0; i < count; ++i) {
            uint256 pick = i + uint256(keccak256(abi.encode(seed, i))) % (owners - i);
            (order[i], order[pick]) = (order[pick], order[i]);
            bits |= uint64(1) << uint64(order[i]);
        }
    }
}
