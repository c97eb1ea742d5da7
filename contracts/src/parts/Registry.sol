// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Errors} from "../Errors.sol";
import {Events} from "../Events.sol";
import {Role} from "../Types.sol";

/// @notice Who offers itself in which role. Everybody registers itself and nobody else.
abstract contract Registry is Events {
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @notice Longest metadata of a member, in bytes.
    uint256 public constant MAX_METADATA_BYTES = 256;

    mapping(Role role => EnumerableSet.AddressSet accounts) private _members;
    mapping(Role role => mapping(address account => string metadata)) private _metadata;

    /// @notice Lists the caller in a role.
    /// @param role The role the caller offers to take.
    /// @param metadata What others should know, for example a name; at most 256 bytes, may be empty.
    function register(Role role, string calldata metadata) external {
        if (bytes(metadata).length > MAX_METADATA_BYTES) {
            revert Errors.TextLength("metadata", bytes(metadata).length, MAX_METADATA_BYTES);
        }
        if (!_members[role].add(msg.sender)) revert Errors.AlreadyRegistered(msg.sender, role);
        _metadata[role][msg.sender] = metadata;
        emit Registered(msg.sender, role, metadata);
    }

    /// @notice Takes the caller off the list of a role. What it agreed to in requests stays as it was.
    /// @param role The role to leave.
    function leave(Role role) external {
        if (!_members[role].remove(msg.sender)) revert Errors.NotRegistered(msg.sender, role);
        delete _metadata[role][msg.sender];
        emit Left(msg.sender, role);
    }

    /// @notice Whether an account is listed in a role.
    function isMember(Role role, address account) public view returns (bool) {
        return _members[role].contains(account);
    }

    /// @notice How many accounts are listed in a role.
    function memberCount(Role role) external view returns (uint256) {
        return _members[role].length();
    }

    /// @notice The accounts listed in a role with their metadata, a page at a time; in no particular order.
    /// @param role The role.
    /// @param first Index of the first account wanted.
    /// @param count Most accounts wanted.
    function members(Role role, uint256 first, uint256 count)
        external
        view
        returns (address[] memory accounts, string[] memory metadata)
    {
        uint256 length = _members[role].length();
        uint256 available = first < length ? length - first : 0;
        if (count > available) count = available;
        accounts = new address[](count);
        metadata = new string[](count);
        for (uint256 i = 0; i < count; ++i) {
            accounts[i] = _members[role].at(first + i);
            metadata[i] = _metadata[role][accounts[i]];
        }
    }

    function _requireMember(Role role, address account) internal view {
        if (!isMember(role, account)) revert Errors.NotRegistered(account, role);
    }
}
