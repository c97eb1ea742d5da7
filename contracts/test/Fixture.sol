// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Marketplace} from "../src/Marketplace.sol";
import {MetricsKind, Opening, RequestView, Role, Statement, Status, Terms} from "../src/Types.sol";
import {Check} from "./Check.sol";
import {vm} from "./Vm.sol";

/// @notice A deployed marketplace with a buyer, an aggregator, owners and a stranger, and the steps of a request's life.
abstract contract Fixture is Check {
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant BLOCK = 20_000_000;
    uint64 internal constant ACCEPTANCE = uint64(NOW + 1 days);
    uint64 internal constant TRAINING = uint64(NOW + 3 days);
    uint32 internal constant WINDOW = 2 hours;
    uint256 internal constant ONE = 1e18;
    bytes32 internal constant MODULUS_HASH = keccak256("modulus");

    Marketplace internal market;
    address internal buyer = named("buyer");
    address internal aggregator = named("aggregator");
    address internal stranger = named("stranger");
    mapping(address account => uint256 key) internal keys;

    function setUp() public virtual {
        vm.warp(NOW);
        vm.roll(BLOCK);
        market = deployArtifact();
        vm.deal(buyer, 1000 ether);
        vm.prank(buyer);
        market.register(Role.ModelBuyer, "");
        vm.prank(aggregator);
        market.register(Role.FederatedAggregator, "");
    }

    /// @notice Deploys the committed bytecode: what is tested is what is used.
    function deployArtifact() internal returns (Marketplace deployed) {
        bytes memory code = vm.parseJsonBytes(vm.readFile("artifacts/Marketplace.json"), ".bytecode");
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        yes(address(deployed).code.length > 0, "the artifact deploys");
    }

    function named(string memory name) internal returns (address account) {
        uint256 key = uint256(keccak256(bytes(name)));
        account = vm.addr(key);
        keys[account] = key;
        vm.label(account, name);
    }

    /// @notice The `i`-th data owner, registered on first use.
    function owner(uint256 i) internal returns (address account) {
        account = named(string.concat("owner ", vm.toString(i)));
        if (!market.isMember(Role.DataOwner, account)) {
            vm.prank(account);
            market.register(Role.DataOwner, "");
        }
    }

    /// @notice Five owners, roles dealt by the contract, noise metrics.
    function terms() internal view returns (Terms memory) {
        return Terms({
            aggregator: aggregator,
            modelKind: "linear",
            metricsKind: MetricsKind.Noise,
            minOwners: 3,
            maxOwners: 5,
            trainersBps: 7000,
            validatorsBps: 2000,
            aggregatorBps: 1000,
            acceptanceDeadline: ACCEPTANCE,
            trainingDeadline: TRAINING,
            challengeWindow: WINDOW,
            minimumRewardWei: 0,
            modulusHash: MODULUS_HASH,
            keyProofHash: keccak256("key proof"),
            initialModelHash: keccak256("initial weights"),
            validators: new address[](0)
        });
    }

    function create(Terms memory asked, uint256 escrowWei) internal returns (uint256 id) {
        vm.prank(buyer);
        return market.createRequest{value: escrowWei}(asked, "{}");
    }

    /// @notice An open request that the aggregator has taken on.
    function openRequest(Terms memory asked, uint256 escrowWei) internal returns (uint256 id) {
        id = create(asked, escrowWei);
        vm.prank(aggregator);
        market.takeOn(id);
    }

    function acceptBy(uint256 id, address account) internal {
        vm.prank(account);
        market.accept(id, keccak256(abi.encode(account)));
    }

    /// @notice A closed request with this many owners, all places taken.
    function closedRequest(Terms memory asked, uint256 escrowWei, uint256 owners) internal returns (uint256 id) {
        asked.maxOwners = uint8(owners);
        if (asked.minOwners > owners) asked.minOwners = uint8(owners);
        id = openRequest(asked, escrowWei);
        for (uint256 i = 0; i < owners; ++i) {
            acceptBy(id, owner(i));
        }
        market.close(id);
    }

    /// @notice A request in training with this many owners.
    function trainingRequest(Terms memory asked, uint256 escrowWei, uint256 owners) internal returns (uint256 id) {
        id = closedRequest(asked, escrowWei, owners);
        uint256 dealBlock = market.getRequest(id).dealBlock;
        if (dealBlock != 0) vm.roll(dealBlock + 1);
        market.start(id);
    }

    function trainingRequest() internal returns (uint256 id) {
        return trainingRequest(terms(), 5 ether, 5);
    }

    /// @notice A statement that halves the error, every trainer with the same gain.
    function statementFor(uint256 id) internal view returns (Statement memory statement) {
        RequestView memory request = market.getRequest(id);
        statement.request = id;
        statement.round = 100;
        statement.modulusHash = request.terms.modulusHash;
        statement.weightsHash = keccak256("final weights");
        statement.metricHash = keccak256("metric");
        statement.scale = 64;
        statement.rows = 50;
        statement.initialMse = 1000 * ONE;
        statement.finalMse = 500 * ONE;
        statement.gains = new int256[](request.trainers.length);
        for (uint256 i = 0; i < statement.gains.length; ++i) {
            statement.gains[i] = int256(ONE);
        }
        statement.transcriptHash = keccak256("transcript");
    }

    function signatureBy(address account, Statement memory statement) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[account], market.digestOf(statement));
        return abi.encodePacked(r, s, v);
    }

    /// @notice Signatures of the first `signers` validators, empty for the others.
    function signatures(uint256 id, Statement memory statement, uint256 signers) internal view returns (bytes[] memory) {
        address[] memory validators = market.getRequest(id).validators;
        bytes[] memory signed = new bytes[](validators.length);
        for (uint256 i = 0; i < signers; ++i) {
            signed[i] = signatureBy(validators[i], statement);
        }
        return signed;
    }

    function signatures(uint256 id, Statement memory statement) internal view returns (bytes[] memory) {
        return signatures(id, statement, market.getRequest(id).validators.length);
    }

    function noOpening() internal pure returns (Opening memory opening) {}

    function submit(uint256 id, Statement memory statement) internal {
        bytes[] memory signed = signatures(id, statement);
        vm.prank(aggregator);
        market.submitResult(id, statement, signed, noOpening());
    }

    function submittedRequest() internal returns (uint256 id) {
        id = trainingRequest();
        submit(id, statementFor(id));
    }

    function confirm(uint256 id) internal {
        vm.prank(buyer);
        market.confirm(id);
    }

    function settledRequest() internal returns (uint256 id) {
        id = submittedRequest();
        confirm(id);
        market.finalize(id);
    }

    function expectStatus(uint256 id, Status expected) internal view {
        eq(uint256(market.statusOf(id)), uint256(expected), "status");
    }

    function expectRevert(bytes memory data) internal {
        vm.expectRevert(data);
    }
}
