// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Quorum} from "./parts/Quorum.sol";
import {Settlement} from "./parts/Settlement.sol";

/// @title DeltaML's marketplace
/// @notice Buyers lock an escrow for a model; data owners train it; an aggregator reports; everyone is paid by what the
/// validators signed. Nobody stands above these rules: there is no owner, no administrator and no upgrade.
/// @dev `parts/` holds one stage of a request's life each. Ether comes in with `createRequest` only and leaves with
/// `withdraw` and `withdrawTo` only.
contract Marketplace is Quorum, Settlement {
    constructor() EIP712("DeltaML Marketplace", "1") {}
}
