"""The marketplace contract, typed: every call its own method, every receipt awaited, every refusal a named error.

Keys sign here, in the caller's wallet; a node is only asked to read and to pass on signed transactions. Any JSON-RPC node
will do. Money is wei, errors are integers with 18 decimals (`types.to_units`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import TransactionNotFound, Web3RPCError
from web3.types import BlockIdentifier, FilterParams, LogReceipt, TxData, TxParams, TxReceipt, Wei

from deltaml_core.chain.events import KINDS, Event, RequestCreated, ResultSubmitted, from_log
from deltaml_core.chain.reverts import translated
from deltaml_core.chain.types import NO_OPENING, Answer, Member, Opening, Request, Role, Statement, Terms
from deltaml_core.chain.wallet import Wallet
from deltaml_core.errors import ChainError, ContractError, InsufficientFundsError

ARTIFACT = Path(__file__).resolve().parents[2] / "contracts" / "artifacts" / "Marketplace.json"
RECEIPT_SECONDS = 180
PAGE = 100
GAS_MARGIN_PERCENT = 10
GAS_MARGIN = 50_000
"""Two new storage slots: what others do between the estimate and the block may cost a call so much more. What is not used is not paid."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction; one that has not `succeeded` changed nothing and cost its gas."""

    transaction_hash: str
    block: int
    gas_used: int
    events: tuple[Event, ...]
    succeeded: bool = True


@dataclass(frozen=True, slots=True)
class Submission:
    """What an aggregator submitted, from the transaction that did it.

    Attributes:
        statement: the result.
        signatures: of the statement, by the validator whose place they were in; missing ones are left out.
        opening: of the metric's ciphertext; None where none was sent.
    """

    statement: Statement
    signatures: Mapping[str, bytes]
    opening: Opening | None


@functools.cache
def artifact() -> Mapping[str, Any]:
    """The compiled contract: `abi` and `bytecode`.

    Raises:
        ChainError: the file is missing.
    """
    if not ARTIFACT.exists():
        raise ChainError(f"{ARTIFACT} is missing: compile the contract with `npm run build --prefix contracts`")
    loaded: dict[str, Any] = json.loads(ARTIFACT.read_text(encoding="utf-8"))
    return loaded


class Marketplace:
    """One deployed marketplace.

    Every writing method takes the caller's wallet first and returns when the transaction is in a block.

    Attributes:
        address: where the contract is.
        gas_used: gas of all transactions sent through this object, the deployment included.

    Raises:
        ContractError: from every method, the contract refused; carries its error's name and values.
        InsufficientFundsError: from writing methods, the wallet holds less than the transaction needs.
        ChainError: from every method, the node does not answer or did something else.
    """

    def __init__(self, web3: Web3, address: str) -> None:
        self._web3 = web3
        self._abi: Sequence[Mapping[str, Any]] = artifact()["abi"]
        self.address: ChecksumAddress = Web3.to_checksum_address(address)
        self.gas_used = 0
        self._contract = web3.eth.contract(address=self.address, abi=artifact()["abi"], decode_tuples=True)
        names = [entry["name"] for entry in self._abi if entry["type"] == "event" and entry["name"] in KINDS]
        self._event_names = {bytes.fromhex(self._contract.events[name].topic.removeprefix("0x")): name for name in names}
        with translated(self._abi):
            if not web3.eth.get_code(self.address):
                raise ChainError(f"there is no contract at {self.address}: is this the chain it was deployed on?")

    @classmethod
    def deploy(cls, web3: Web3, wallet: Wallet) -> Marketplace:
        """Put a new marketplace on the chain; the wallet pays the gas and has no power over it afterwards."""
        factory = web3.eth.contract(abi=artifact()["abi"], bytecode=artifact()["bytecode"])
        receipt = transact(web3, wallet, factory.constructor(), artifact()["abi"])
        address = receipt["contractAddress"]
        if address is None:
            raise ChainError("the node mined the deployment without a contract address")
        marketplace = cls(web3, address)
        marketplace.gas_used = receipt["gasUsed"]
        return marketplace

    @property
    def web3(self) -> Web3:
        """The connection this marketplace is reached through."""
        return self._web3

    @functools.cached_property
    def chain_id(self) -> int:
        """Id of the chain, as signatures need it."""
        with translated(self._abi):
            return self._web3.eth.chain_id

    # --- everybody for itself ------------------------------------------------------------------------------------

    def register(self, wallet: Wallet, role: Role, metadata: str = "") -> Receipt:
        """List the caller in a role, with at most 256 bytes about itself."""
        return self._write(wallet, "register", role, metadata)

    def leave(self, wallet: Wallet, role: Role) -> Receipt:
        """Take the caller off the list of a role."""
        return self._write(wallet, "leave", role)

    def withdraw(self, wallet: Wallet) -> Receipt:
        """Send the caller all of its credit."""
        return self._write(wallet, "withdraw")

    def withdraw_to(self, wallet: Wallet, recipient: str) -> Receipt:
        """Send all of the caller's credit to another address."""
        return self._write(wallet, "withdrawTo", Web3.to_checksum_address(recipient))

    # --- the buyer -----------------------------------------------------------------------------------------------

    def create_request(self, wallet: Wallet, terms: Terms, requirements_json: str, escrow_wei: int) -> int:
        """Post a request and lock its escrow; returns the request's id."""
        receipt = self._write(wallet, "createRequest", terms.to_abi(), requirements_json, value_wei=escrow_wei)
        (created,) = (event for event in receipt.events if isinstance(event, RequestCreated))
        return created.id

    def cancel(self, wallet: Wallet, request_id: int) -> Receipt:
        """Take an OPEN request back, with the whole escrow."""
        return self._write(wallet, "cancel", request_id)

    def confirm(self, wallet: Wallet, request_id: int) -> Receipt:
        """End the challenge window of a submitted result."""
        return self._write(wallet, "confirm", request_id)

    # --- data owners ---------------------------------------------------------------------------------------------

    def accept(self, wallet: Wallet, request_id: int, dataset_commitment: bytes) -> Receipt:
        """Offer a data set, committing to it with 32 bytes."""
        return self._write(wallet, "accept", request_id, dataset_commitment)

    def decline(self, wallet: Wallet, request_id: int) -> Receipt:
        """Tell that the caller will not take part."""
        return self._write(wallet, "decline", request_id)

    # --- the aggregator ------------------------------------------------------------------------------------------

    def take_on(self, wallet: Wallet, request_id: int) -> Receipt:
        """Agree to the work; owners can accept from then on."""
        return self._write(wallet, "takeOn", request_id)

    def record_metric(self, wallet: Wallet, request_id: int, round_number: int, mse: int) -> Receipt:
        """Record the mean squared error (18 decimals) after a round."""
        return self._write(wallet, "recordMetric", request_id, round_number, mse)

    def submit_result(
        self, wallet: Wallet, request_id: int, statement: Statement, signatures: Mapping[str, bytes], opening: Opening | None = None
    ) -> Receipt:
        """Submit what the validators signed.

        Args:
            wallet: the request's aggregator.
            request_id: the request.
            statement: what was signed.
            signatures: the validators' signatures, by address.
            opening: the opening of the metric's ciphertext; None for `MetricsKind.NOISE`.
        """
        ordered = self._ordered(request_id, signatures)
        sent = NO_OPENING if opening is None else opening.to_abi()
        return self._write(wallet, "submitResult", request_id, statement.to_abi(), ordered, sent)

    # --- anybody, or any participant -----------------------------------------------------------------------------

    def close(self, wallet: Wallet, request_id: int) -> Receipt:
        """End the acceptances, at their deadline or when all places are taken."""
        return self._write(wallet, "close", request_id)

    def start(self, wallet: Wallet, request_id: int) -> Receipt:
        """Deal the roles and start the training, once the latest block is past the request's deal block.

        When 256 blocks have passed since, the call fixes another block ahead instead: read the request's status again.
        """
        return self._write(wallet, "start", request_id)

    def refute(self, wallet: Wallet, request_id: int, other: Statement, signatures: Mapping[str, bytes]) -> Receipt:
        """Refute a result with another statement that a majority of the validators signed."""
        return self._write(wallet, "refute", request_id, other.to_abi(), self._ordered(request_id, signatures))

    def refute_opening(self, wallet: Wallet, request_id: int, opening: Opening, *, steps: int, power: int | None = None) -> Receipt:
        """Check a deferred opening, or a part of it, on chain; the request fails when it does not hold.

        Args:
            wallet: a participant.
            request_id: the request.
            opening: the opening as it was submitted.
            steps: steps to do now; all together are `|n| / 32` (8 for 2048 bits, 12 for 3072).
            power: what the caller's earlier steps reached (`refutation_power`); None for the first call.
        """
        sent = opening.to_abi()
        reached = b"" if power is None else power.to_bytes(len(sent["ciphertext"]))
        return self._write(wallet, "refuteOpening", request_id, sent, reached, steps)

    def finalize(self, wallet: Wallet, request_id: int) -> Receipt:
        """Credit everyone, after the challenge window."""
        return self._write(wallet, "finalize", request_id)

    def expire(self, wallet: Wallet, request_id: int) -> Receipt:
        """End a request whose training deadline has passed."""
        return self._write(wallet, "expire", request_id)

    # --- reading -------------------------------------------------------------------------------------------------

    def request(self, request_id: int, block: int | None = None) -> Request:
        """Everything the contract knew about a request after a block (None: the latest)."""
        return Request.from_abi(request_id, _as_dict(self._read("getRequest", request_id, block=block)))

    def requests(self) -> tuple[int, ...]:
        """Ids of all requests ever made."""
        count: int = self._read("requestCount")
        return tuple(range(1, count + 1))

    def requirements(self, request_id: int) -> str:
        """The JSON text a request was created with, checked against the stored hash.

        Raises:
            ChainError: the node's event does not hold what was stored.
        """
        expected = self.request(request_id).requirements_hash
        for event in self._events_of("RequestCreated", request_id):
            if isinstance(event, RequestCreated) and Web3.keccak(text=event.requirements) == expected:
                return event.requirements
        raise ChainError(f"the node does not show the requirements of request {request_id}")

    def submitted(self, request_id: int) -> Statement | None:
        """The result that the contract took for a request; None while there is none."""
        for event in self._events_of("ResultSubmitted", request_id):
            if isinstance(event, ResultSubmitted):
                return event.statement
        return None

    def submission(self, request_id: int) -> Submission | None:
        """The transaction that submitted a request's result; None while there is none.

        Raises:
            ChainError: it was submitted through another contract, so that its content is not in the transaction itself.
        """
        for event in self._events_of("ResultSubmitted", request_id):
            with translated(self._abi):
                transaction = self._web3.eth.get_transaction(HexBytes(event.transaction_hash))
            if transaction.get("to") != self.address:
                raise ChainError(f"the result of request {request_id} was not submitted by a transaction of the aggregator itself")
            _, sent = self._contract.decode_function_input(transaction["input"])
            validators = self.request(request_id).validators
            signatures: dict[str, bytes] = {who: bytes(said) for who, said in zip(validators, sent["signatures"], strict=True) if said}
            opening = Opening.from_abi(_as_dict(sent["opening"]))
            return Submission(Statement.from_abi(_as_dict(sent["statement"])), signatures, opening if opening.modulus else None)
        return None

    def answer(self, request_id: int, account: str) -> Answer:
        """What an account has answered to a request."""
        return Answer(self._read("answerOf", request_id, Web3.to_checksum_address(account)))

    def members(self, role: Role) -> tuple[Member, ...]:
        """All accounts listed in a role."""
        found: list[Member] = []
        while True:
            accounts, metadata = self._read("members", role, len(found), PAGE)
            found += [Member(account, text) for account, text in zip(accounts, metadata, strict=True)]
            if len(accounts) < PAGE:
                return tuple(found)

    def credit_wei(self, account: str) -> int:
        """What an account may withdraw."""
        credit: int = self._read("creditWei", Web3.to_checksum_address(account))
        return credit

    def balance_wei(self, block: int | None = None) -> int:
        """What the contract held after a block (None: the latest): locked escrows and credits not withdrawn yet."""
        with translated(self._abi):
            return int(self._web3.eth.get_balance(self.address, "latest" if block is None else block))

    def digest(self, statement: Statement) -> bytes:
        """The EIP-712 digest of a statement, as the contract computes it."""
        return bytes(self._read("digestOf", statement.to_abi()))

    def refutation_steps(self, request_id: int, refuter: str) -> int:
        """How many steps of a deferred opening's check an account has done."""
        done: int = self._read("refutationSteps", request_id, Web3.to_checksum_address(refuter))
        return done

    def now(self) -> int:
        """The latest block's Unix time, the clock all deadlines are measured by."""
        with translated(self._abi):
            return self._web3.eth.get_block("latest")["timestamp"]

    def encoded(self, name: str, *arguments: Any) -> str:
        """The calldata of a call, for whoever estimates or sends it by other means."""
        return str(self._contract.encode_abi(name, args=list(arguments)))

    def events(self, first_block: int = 0, last_block: int | None = None) -> Iterator[Event]:
        """All events from one block to another (None: the latest), in order."""
        yield from self._events({}, first_block, "latest" if last_block is None else last_block)

    def gas_of_all(self) -> int:
        """Gas that all transactions on this contract have used, whoever sent them, its deployment included.

        Reads every block: for local chains.
        """
        used = 0
        with translated(self._abi):
            for number in range(self._web3.eth.block_number + 1):
                for transaction in self._web3.eth.get_block(number, full_transactions=True)["transactions"]:
                    receipt = self._web3.eth.get_transaction_receipt(cast("TxData", transaction)["hash"])
                    used += receipt["gasUsed"] if self.address in (receipt["to"], receipt["contractAddress"]) else 0
        return used

    # --- transactions signed before ---

    def transaction_count(self, account: str) -> int:
        """How many transactions of an account the chain has taken, the waiting ones included: the number of its next."""
        with translated(self._abi):
            return self._web3.eth.get_transaction_count(Web3.to_checksum_address(account), "pending")

    def receipt(self, transaction_hash: str) -> Receipt | None:
        """What became of a transaction; None while it is in no block."""
        with translated(self._abi):
            try:
                return self._receipt(self._web3.eth.get_transaction_receipt(HexBytes(transaction_hash)))
            except TransactionNotFound:
                return None

    def send_again(self, raw: bytes) -> Receipt:
        """Send a signed transaction that the chain may have lost, and wait until it is in a block."""
        with translated(self._abi):
            try:
                transaction_hash = self._web3.eth.send_raw_transaction(raw)
            except Web3RPCError as error:
                if (receipt := self.receipt(Web3.to_hex(Web3.keccak(raw)))) is not None:  # it was not lost
                    return receipt
                raise ChainError(f"the node refused a transaction that was signed before: {error.message or error}") from error
            return self._receipt(self._web3.eth.wait_for_transaction_receipt(transaction_hash, timeout=RECEIPT_SECONDS, poll_latency=0.02))

    # --- how -----------------------------------------------------------------------------------------------------

    def _read(self, name: str, *arguments: Any, block: int | None = None) -> Any:
        with translated(self._abi):
            return self._contract.functions[name](*arguments).call(block_identifier="latest" if block is None else block)

    def _write(self, wallet: Wallet, name: str, *arguments: Any, value_wei: int = 0) -> Receipt:
        call: ContractFunction = self._contract.functions[name](*arguments)
        receipt = transact(self._web3, wallet, call, self._abi, value_wei)
        self.gas_used += receipt["gasUsed"]
        return self._receipt(receipt)

    def _receipt(self, receipt: TxReceipt) -> Receipt:
        events = tuple(event for log in receipt["logs"] if (event := self._event(log)) is not None)
        return Receipt(Web3.to_hex(receipt["transactionHash"]), receipt["blockNumber"], receipt["gasUsed"], events, bool(receipt["status"]))

    def _ordered(self, request_id: int, signatures: Mapping[str, bytes]) -> list[bytes]:
        """Signatures in the order of the request's validators, empty where one is missing."""
        left = {Web3.to_checksum_address(address): signature for address, signature in signatures.items()}
        ordered = [left.pop(validator, b"") for validator in self.request(request_id).validators]
        if left:
            raise ChainError(f"signed by someone who does not validate request {request_id}: {', '.join(left)}")
        return ordered

    def _events_of(self, name: str, request_id: int) -> Iterator[Event]:
        topic = self._contract.events[name].topic
        return self._events({"topics": [topic, Web3.to_hex(request_id.to_bytes(32))]}, 0, "latest")

    def _events(self, parameters: FilterParams, first_block: int, last_block: BlockIdentifier) -> Iterator[Event]:
        wanted: FilterParams = {**parameters, "address": self.address, "fromBlock": first_block, "toBlock": last_block}
        with translated(self._abi):
            logs = self._web3.eth.get_logs(wanted)
        for log in logs:
            event = self._event(log)
            if event is not None:
                yield event

    def _event(self, log: LogReceipt) -> Event | None:
        if log["address"] != self.address or not log["topics"]:
            return None
        name = self._event_names.get(bytes(log["topics"][0]))
        if name is None:
            return None
        decoded = self._contract.events[name].process_log(log)
        place = Event(
            block=log["blockNumber"],
            block_hash=bytes(log["blockHash"]),
            transaction_hash=Web3.to_hex(log["transactionHash"]),
            log_index=log["logIndex"],
        )
        return from_log(name, decoded["args"], place)


def transact(
    web3: Web3, wallet: Wallet, call: ContractFunction | ContractConstructor, abi: Sequence[Mapping[str, Any]], value_wei: int = 0
) -> TxReceipt:
    """Estimate, sign locally, send, await; a refusal at any of these is the same `ContractError`."""
    with translated(abi), wallet.lock:
        balance_wei = web3.eth.get_balance(wallet.address)
        if balance_wei < value_wei:
            raise InsufficientFundsError(f"{wallet.address} holds {balance_wei} wei, which is less than the {value_wei} wei to send")
        basics: TxParams = {
            "from": wallet.address,
            "value": Wei(value_wei),
            "nonce": web3.eth.get_transaction_count(wallet.address, "pending"),
        }
        gas = call.estimate_gas(basics)
        transaction = call.build_transaction({**basics, "gas": gas + gas * GAS_MARGIN_PERCENT // 100 + GAS_MARGIN})
        needed_wei = value_wei + transaction["gas"] * int(transaction["maxFeePerGas"])
        if balance_wei < needed_wei:
            raise InsufficientFundsError(
                f"{wallet.address} holds {balance_wei} wei, but sending {value_wei} wei with its gas may take {needed_wei} wei"
            )
        transaction_hash = web3.eth.send_raw_transaction(wallet.sign_transaction(transaction))
        receipt = web3.eth.wait_for_transaction_receipt(transaction_hash, timeout=RECEIPT_SECONDS, poll_latency=0.02)
        if receipt["status"] != 1:
            web3.eth.call(transaction, receipt["blockNumber"])
            raise ContractError(f"the transaction {Web3.to_hex(transaction_hash)} failed without a reason", "", {})
        return receipt


def _as_dict(value: Any) -> Any:
    """Decoded structs as plain dictionaries, at any depth."""
    if hasattr(value, "_asdict"):
        return {name: _as_dict(field) for name, field in value._asdict().items()}
    return value
