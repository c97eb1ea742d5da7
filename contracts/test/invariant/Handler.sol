// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Marketplace} from "../../src/Marketplace.sol";
import {MetricsKind, Opening, RequestView, Role, Statement, Status, Terms} from "../../src/Types.sol";
import {Check} from "../Check.sol";
import {vm} from "../Vm.sol";

/// @notice Plays any call by anyone at any time, and keeps its own books of what must hold.
/// @dev Two thirds of the calls are sent by whoever should, so that requests get somewhere; the others by anybody.
contract Handler is Check {
    uint256 private constant REQUESTS = 4;

    Marketplace public immutable market;
    address[] public actors;
    mapping(address account => uint256 key) private _keys;

    uint256 public forcedWei;
    uint256 public withdrawnWei;
    // For each request: what was credited for it so far, and its view when it ended.
    mapping(uint256 id => uint256 amountWei) public creditedWei;
    mapping(uint256 id => bytes32 view_) public endedAs;
    mapping(uint256 id => Status status) public lastStatus;
    // The first rule that was seen broken; empty while all hold.
    string public broken;

    struct Books {
        uint256[] creditsWei;
        bytes32[] views;
    }

    constructor(Marketplace market_) {
        market = market_;
        string[16] memory names = ["b0", "b1", "a0", "a1", "o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "s0", "s1"];
        for (uint256 i = 0; i < names.length; ++i) {
            uint256 key = uint256(keccak256(bytes(names[i])));
            address actor = vm.addr(key);
            _keys[actor] = key;
            actors.push(actor);
            vm.deal(actor, 1000 ether);
            if (i < 14) {
                vm.prank(actor);
                market.register(i < 2 ? Role.ModelBuyer : i < 4 ? Role.FederatedAggregator : Role.DataOwner, "");
            }
        }
    }

    // --- calls -------------------------------------------------------------------------------------------------

    function create(uint256 seed, uint96 escrowWei, uint96 minimumWei, bool nameOne) external {
        if (market.requestCount() >= REQUESTS) return;
        Terms memory asked;
        asked.aggregator = actors[2 + seed % 2];
        asked.modelKind = "linear";
        asked.metricsKind = MetricsKind.Noise;
        asked.minOwners = uint8(2 + (seed >> 8) % 3);
        asked.maxOwners = asked.minOwners + uint8((seed >> 16) % 3);
        asked.validatorsBps = uint16((seed >> 24) % 5000);
        asked.aggregatorBps = uint16((seed >> 40) % 5000);
        asked.trainersBps = 10_000 - asked.validatorsBps - asked.aggregatorBps;
        asked.acceptanceDeadline = uint64(block.timestamp + 1 + (seed >> 56) % 1 days);
        asked.trainingDeadline = asked.acceptanceDeadline + uint64(1 + (seed >> 80) % 3 days);
        asked.challengeWindow = uint32(1 hours + (seed >> 104) % 1 days);
        asked.minimumRewardWei = uint128(minimumWei % (uint256(escrowWei) / asked.maxOwners + 1));
        asked.modulusHash = keccak256("modulus");
        asked.initialModelHash = keccak256("initial weights");
        if (nameOne) {
            asked.validators = new address[](1);
            asked.validators[0] = actors[4 + (seed >> 128) % 10];
        }
        Books memory before = books();
        vm.prank(actors[(seed >> 136) % 3]);
        try market.createRequest{value: escrowWei}(asked, "{}") {} catch {}
        check(before, 0);
    }

    function takeOn(uint256 seed) external {
        (uint256 id, RequestView memory request) = pick(seed);
        send(seed, id, request.terms.aggregator, abi.encodeCall(market.takeOn, (id)));
    }

    function accept(uint256 seed) external {
        (uint256 id,) = pick(seed);
        send(seed, id, actors[4 + (seed >> 128) % 10], abi.encodeCall(market.accept, (id, bytes32(seed | 1))));
    }

    function decline(uint256 seed) external {
        (uint256 id,) = pick(seed);
        send(seed, id, actors[4 + (seed >> 128) % 10], abi.encodeCall(market.decline, (id)));
    }

    function close(uint256 seed) external {
        (uint256 id,) = pick(seed);
        send(1, id, anyone(seed), abi.encodeCall(market.close, (id)));
    }

    function start(uint256 seed) external {
        (uint256 id,) = pick(seed);
        send(1, id, anyone(seed), abi.encodeCall(market.start, (id)));
    }

    function cancel(uint256 seed) external {
        (uint256 id, RequestView memory request) = pick(seed);
        // Rarely, or nothing else would ever happen.
        if ((seed >> 200) % 4 == 0) send(seed, id, request.buyer, abi.encodeCall(market.cancel, (id)));
    }

    function recordMetric(uint256 seed, uint192 mse) external {
        (uint256 id, RequestView memory request) = pickAt(seed, Status.Training);
        (bool done, address caller) =
            send(seed, id, request.terms.aggregator, abi.encodeCall(market.recordMetric, (id, seed, mse)));
        if (done) onlyByAggregatorInTraining(request, caller);
    }

    function submit(uint256 seed, uint192 initialMse, uint192 finalMse, int192[12] memory gains) external {
        (uint256 id, RequestView memory request) = pickAt(seed, Status.Training);
        if (request.validators.length == 0) return;
        Statement memory statement = statementOf(id, request, initialMse, finalMse, gains);
        sendResult(seed, request, statement);
    }

    function sendResult(uint256 seed, RequestView memory request, Statement memory statement) private {
        Opening memory none;
        // A seed of zero lets every validator sign.
        bytes[] memory signatures = signed(request, statement, seed == 0 ? type(uint256).max : seed);
        bytes memory data = abi.encodeCall(market.submitResult, (statement.request, statement, signatures, none));
        (bool done, address caller) = send(seed, statement.request, request.terms.aggregator, data);
        if (done) onlyByAggregatorInTraining(request, caller);
    }

    function refute(uint256 seed, uint192 finalMse, int192[12] memory gains) external {
        (uint256 id, RequestView memory request) = pick(seed);
        if (request.validators.length == 0 || (seed >> 200) % 4 != 0) return;
        Statement memory statement = statementOf(id, request, 1, finalMse, gains);
        sendRefutation(seed, request, statement);
    }

    function sendRefutation(uint256 seed, RequestView memory request, Statement memory statement) private {
        bytes[] memory signatures = signed(request, statement, seed);
        send(seed, statement.request, request.buyer, abi.encodeCall(market.refute, (statement.request, statement, signatures)));
    }

    function confirm(uint256 seed) external {
        (uint256 id, RequestView memory request) = pick(seed);
        send(seed, id, request.buyer, abi.encodeCall(market.confirm, (id)));
    }

    function finalize(uint256 seed) external {
        (uint256 id,) = pick(seed);
        send(1, id, anyone(seed), abi.encodeCall(market.finalize, (id)));
    }

    function expire(uint256 seed) external {
        (uint256 id,) = pick(seed);
        send(1, id, anyone(seed), abi.encodeCall(market.expire, (id)));
    }

    /// @notice The next step of a request as all of its parties would take it, so that many requests get to their end.
    function advance(uint256 seed, uint192 initialMse, uint192 finalMse, int192[12] memory gains) external {
        (uint256 id, RequestView memory request) = pick(seed);
        if (request.status == Status.Open && !request.takenOn) {
            send(0, id, request.terms.aggregator, abi.encodeCall(market.takeOn, (id)));
        } else if (request.status == Status.Open) {
            // From a different owner on each time; as many as there are places.
            for (uint256 i = 0; i < 10 && market.getRequest(id).owners.length < request.terms.maxOwners; ++i) {
                send(0, id, actors[4 + (seed % 10 + i) % 10], abi.encodeCall(market.accept, (id, keccak256("data set"))));
            }
            send(0, id, anyone(seed), abi.encodeCall(market.close, (id)));
        } else if (request.status == Status.Closed) {
            if (block.number <= request.dealBlock) vm.roll(request.dealBlock + 1);
            send(0, id, anyone(seed), abi.encodeCall(market.start, (id)));
        } else if (request.status == Status.Training) {
            Statement memory statement = statementOf(id, request, initialMse, finalMse, gains);
            sendResult(0, request, statement);
        } else if (request.status == Status.Submitted) {
            send(0, id, request.buyer, abi.encodeCall(market.confirm, (id)));
            send(0, id, anyone(seed), abi.encodeCall(market.finalize, (id)));
        }
    }

    function withdraw(uint256 seed) external {
        address actor = anyone(seed);
        uint256 credit = market.creditWei(actor);
        uint256 balance = actor.balance;
        vm.prank(actor);
        try market.withdraw() {
            withdrawnWei += credit;
            if (actor.balance != balance + credit || market.creditWei(actor) != 0) fail("a withdrawal is the whole credit");
        } catch {
            if (credit != 0) fail("a credit can be withdrawn");
        }
    }

    function passTime(uint256 seconds_) external {
        vm.warp(block.timestamp + within(seconds_, 1, 6 hours));
        vm.roll(block.number + within(seconds_, 1, 300));
    }

    function passBlocks(uint256 blocks) external {
        vm.roll(block.number + within(blocks, 1, 12));
    }

    function forceEther(uint64 amountWei) external {
        vm.deal(address(market), address(market).balance + amountWei);
        forcedWei += amountWei;
    }

    // --- books -------------------------------------------------------------------------------------------------

    function actorCount() external view returns (uint256) {
        return actors.length;
    }

    /// @notice Wei locked in escrows, and wei credited and not withdrawn.
    function owedWei() external view returns (uint256 lockedWei, uint256 creditsWei) {
        for (uint256 id = 1; id <= market.requestCount(); ++id) {
            lockedWei += market.getRequest(id).lockedWei;
        }
        for (uint256 i = 0; i < actors.length; ++i) {
            creditsWei += market.creditWei(actors[i]);
        }
    }

    /// @notice After the last deadline: anybody moves every request on, everybody withdraws.
    function endEverything() external {
        vm.warp(block.timestamp + 1000 days);
        for (uint256 id = 1; id <= market.requestCount(); ++id) {
            Status status = market.statusOf(id);
            if (status == Status.Open) this.moveOn(id, abi.encodeCall(market.close, (id)));
            status = market.statusOf(id);
            if (status == Status.Closed || status == Status.Training) this.moveOn(id, abi.encodeCall(market.expire, (id)));
            if (status == Status.Submitted) this.moveOn(id, abi.encodeCall(market.finalize, (id)));
        }
        for (uint256 i = 0; i < actors.length; ++i) {
            this.withdraw(i);
        }
    }

    /// @dev One call by a stranger, in the books.
    function moveOn(uint256 id, bytes calldata data) external {
        (bool done,) = send(0, id, actors[15], data);
        if (!done) fail("after the last deadline anybody can move a request on");
    }

    function books() private view returns (Books memory current) {
        current.creditsWei = new uint256[](actors.length);
        for (uint256 i = 0; i < actors.length; ++i) {
            current.creditsWei[i] = market.creditWei(actors[i]);
        }
        current.views = new bytes32[](market.requestCount());
        for (uint256 id = 1; id <= current.views.length; ++id) {
            current.views[id - 1] = viewOf(id);
        }
    }

    /// @dev What a call about request `touched` (0: a new one) may have changed, against what it did.
    function check(Books memory before, uint256 touched) private {
        uint256 gained = 0;
        for (uint256 i = 0; i < actors.length; ++i) {
            uint256 credit = market.creditWei(actors[i]);
            if (credit < before.creditsWei[i]) fail("only its owner lowers a credit");
            if (credit == before.creditsWei[i]) continue;
            gained += credit - before.creditsWei[i];
            if (!takesPart(touched, actors[i])) fail("only a request's own parties are credited by it");
        }
        for (uint256 id = 1; id <= before.views.length; ++id) {
            if (id != touched && viewOf(id) != before.views[id - 1]) fail("no call changes another request");
        }
        creditedWei[touched] += gained;
        if (touched == 0) return;

        RequestView memory request = market.getRequest(touched);
        if (request.status < lastStatus[touched]) fail("no state moves backwards");
        lastStatus[touched] = request.status;
        bool ended = request.status >= Status.Settled;
        if (creditedWei[touched] != (ended ? request.escrowWei : 0)) fail("credited: nothing before the end, the escrow at the end");
        if (ended && endedAs[touched] == 0) endedAs[touched] = viewOf(touched);
        if (ended && endedAs[touched] != viewOf(touched)) fail("an ended request never changes");
    }

    function takesPart(uint256 id, address account) private view returns (bool) {
        if (id == 0) return false;
        RequestView memory request = market.getRequest(id);
        for (uint256 i = 0; i < request.owners.length; ++i) {
            if (request.owners[i] == account) return true;
        }
        return account == request.buyer || account == request.terms.aggregator;
    }

    function viewOf(uint256 id) private view returns (bytes32) {
        (bool seen, bytes memory encoded) = address(market).staticcall(abi.encodeCall(market.getRequest, (id)));
        yes(seen, "a request can be read");
        return keccak256(encoded);
    }

    function onlyByAggregatorInTraining(RequestView memory before, address caller) private {
        if (caller != before.terms.aggregator) fail("only the named aggregator writes");
        if (before.status != Status.Training) fail("written in training only");
    }

    function fail(string memory rule) private {
        if (bytes(broken).length == 0) broken = rule;
    }

    // --- how ---------------------------------------------------------------------------------------------------

    function pick(uint256 seed) private view returns (uint256 id, RequestView memory request) {
        uint256 count = market.requestCount();
        if (count == 0) return (0, request);
        id = 1 + (seed >> 160) % count;
        request = market.getRequest(id);
    }

    /// @dev A request at this status if there is one, else any.
    function pickAt(uint256 seed, Status status) private view returns (uint256 id, RequestView memory request) {
        for (id = market.requestCount(); id > 0; --id) {
            if (market.statusOf(id) == status) return (id, market.getRequest(id));
        }
        return pick(seed);
    }

    function anyone(uint256 seed) private view returns (address) {
        return actors[seed % actors.length];
    }

    /// @dev By `right` or, for every third seed, by anybody.
    function send(uint256 seed, uint256 id, address right, bytes memory data) private returns (bool done, address caller) {
        caller = seed % 3 == 2 ? anyone(seed >> 8) : right;
        if (id == 0) return (false, caller);
        Books memory before = books();
        vm.prank(caller);
        (done,) = address(market).call(data);
        check(before, id);
    }

    function statementOf(uint256 id, RequestView memory request, uint256 initialMse, uint256 finalMse, int192[12] memory gains)
        private
        pure
        returns (Statement memory statement)
    {
        statement.request = id;
        statement.modulusHash = request.terms.modulusHash;
        statement.weightsHash = "weights";
        statement.metricHash = "metric";
        statement.rows = 1;
        statement.initialMse = initialMse;
        statement.finalMse = finalMse;
        statement.gains = new int256[](request.trainers.length);
        for (uint256 i = 0; i < statement.gains.length; ++i) {
            statement.gains[i] = gains[i];
        }
        statement.transcriptHash = "transcript";
    }

    function signed(RequestView memory request, Statement memory statement, uint256 seed)
        private
        view
        returns (bytes[] memory signatures)
    {
        signatures = new bytes[](request.validators.length);
        for (uint256 i = 0; i < signatures.length; ++i) {
            if ((seed >> (210 + i)) % 8 == 0) continue;
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(_keys[request.validators[i]], market.digestOf(statement));
            signatures[i] = abi.encodePacked(r, s, v);
        }
    }
}
