// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Statement} from "../Types.sol";

/// @notice The EIP-712 struct hash of a validators' statement.
library Statements {
    bytes32 internal constant TYPE_HASH = keccak256(
        "Statement(uint256 request,uint64 round,bytes32 modulusHash,bytes32 weightsHash,bytes32 metricHash,uint32 scale,"
        "uint64 rows,uint256 initialMse,uint256 finalMse,int256[] gains,bytes32 transcriptHash)"
    );

    /// @notice Hash of the statement's fields; the domain is added by the contract.
    function hash(Statement calldata statement) internal pure returns (bytes32) {
        // Two parts, since one call with all twelve words exceeds the compiler's stack.
        bytes memory head = abi.encode(
            TYPE_HASH,
            statement.request,
            statement.round,
            statement.modulusHash,
            statement.weightsHash,
            statement.metricHash
        );
        bytes memory tail = abi.encode(
            statement.scale,
            statement.rows,
            statement.initialMse,
            statement.finalMse,
            keccak256(abi.encodePacked(statement.gains)),
            statement.transcriptHash
        );
        return keccak256(bytes.concat(head, tail));
    }
}
