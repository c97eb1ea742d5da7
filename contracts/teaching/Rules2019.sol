// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @notice The money rules of 2019 with their holes, kept so that a lesson can rob them. NEVER DEPLOY IT ANYWHERE ELSE.
/// @dev Written anew from what the rules were, not from their source. `test/History2019.t.sol` shows each hole closed in
/// the marketplace, `test/Rules2019.t.sol` shows each one open here. The walkthrough's chapter 7 deploys it on its own
/// Ganache.
contract Rules2019 {
    enum Role {
        None,
        DataOwner,
        FederatedAggregator,
        ModelBuyer
    }

    struct Order {
        address buyer;
        uint256 escrowWei;
        uint256 initialMse;
        uint256 finalMse;
        bool finished;
        address[] trainers;
        // Whole percents, in the trainers' order.
        uint256[] contributions;
    }

    error NotInRole(address caller, Role needed);
    error NotFinished(uint256 id);
    error NotTaken(address to, uint256 amountWei);

    /// @notice What an account has given itself as a role.
    mapping(address account => Role role) public roleOf;
    Order[] private _orders;

    modifier onlyRole(Role needed) {
        if (roleOf[msg.sender] != needed) revert NotInRole(msg.sender, needed);
        _;
    }

    /// @notice Hole: anyone gives itself any role, and another one when it likes.
    function setRole(Role role) external {
        roleOf[msg.sender] = role;
    }

    /// @notice Posts an order and locks its escrow.
    function create(address[] calldata trainers, uint256 initialMse) external payable onlyRole(Role.ModelBuyer) returns (uint256 id) {
        id = _orders.length;
        Order storage order = _orders.push();
        order.buyer = msg.sender;
        order.escrowWei = msg.value;
        order.initialMse = initialMse;
        order.finalMse = initialMse;
        order.trainers = trainers;
        order.contributions = new uint256[](trainers.length);
    }

    /// @notice Hole: any aggregator writes any order's error and contributions.
    function saveResult(uint256 id, uint256 finalMse, uint256[] calldata contributions) external onlyRole(Role.FederatedAggregator) {
        _orders[id].finalMse = finalMse;
        _orders[id].contributions = contributions;
    }

    /// @notice Hole: any buyer finishes any order.
    function finish(uint256 id) external onlyRole(Role.ModelBuyer) {
        _orders[id].finished = true;
    }

    /// @notice Hole: a claim is not crossed off, so it can be repeated; and it is paid from whatever the contract holds.
    function claim(uint256 id, uint256 place) external onlyRole(Role.DataOwner) {
        Order storage order = _orders[id];
        if (!order.finished) revert NotFinished(id);
        uint256 improvement = ((order.initialMse - order.finalMse) * 100) / order.initialMse;
        uint256 amountWei = (order.escrowWei * 70 * improvement * order.contributions[place]) / 1_000_000;
        _send(order.trainers[place], amountWei);
    }

    /// @notice Hole: the refund is the whole balance, other buyers' escrow included.
    function refund(uint256 id) external onlyRole(Role.ModelBuyer) {
        if (!_orders[id].finished) revert NotFinished(id);
        _send(msg.sender, address(this).balance);
    }

    function _send(address to, uint256 amountWei) private {
        (bool taken,) = to.call{value: amountWei}("");
        if (!taken) revert NotTaken(to, amountWei);
    }
}
