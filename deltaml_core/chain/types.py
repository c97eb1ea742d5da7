"""What the marketplace contract stores and speaks, as Python values.

Money is wei in integers named `..._wei`. Errors (MSE) and gains are integers with 18 decimals, as on chain: `to_units` and
`from_units` are the only way in and out. Times are Unix seconds. Addresses are checksummed strings.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_typing import ChecksumAddress
from eth_utils.exceptions import ValidationError
from web3 import Web3

from deltaml_core.errors import TermsError
from deltaml_core.measurement import UNITS, mean_in_units

UNITS_PER_ONE = UNITS
"""One, in the fixed point of errors and gains on chain."""

LARGEST_METRIC = 2**192 - 1
"""Largest error, and largest gain either way, the contract computes with (18 decimals)."""

NO_HASH = bytes(32)


def to_units(value: Fraction | Decimal | float) -> int:
    """An exact number as an integer with 18 decimals, rounded down (towards minus infinity).

    Raises:
        ValueError: the number is not finite.
    """
    try:
        exact = Fraction(value)
    except OverflowError:
        raise ValueError(f"{value} is not a finite number") from None
    return exact.numerator * UNITS_PER_ONE // exact.denominator


def from_units(units: int) -> Fraction:
    """The exact number an integer with 18 decimals stands for."""
    return Fraction(units, UNITS_PER_ONE)


class Role(enum.IntEnum):
    """What an account offers itself as."""

    DATA_OWNER = 0
    FEDERATED_AGGREGATOR = 1
    MODEL_BUYER = 2


class Status(enum.IntEnum):
    """Where a request stands; it never goes back, and the last three are final."""

    OPEN = 1
    CLOSED = 2
    TRAINING = 3
    SUBMITTED = 4
    SETTLED = 5
    CANCELLED = 6
    FAILED = 7


class MetricsKind(enum.IntEnum):
    """How the final error is backed: signatures, an opening checked at once, or one checked when refuted."""

    NOISE = 0
    VERIFIABLE = 1
    VERIFIABLE_DEFERRED = 2


class Answer(enum.IntEnum):
    """What an account has answered to a request."""

    NONE = 0
    NAMED_VALIDATOR = 1
    ACCEPTED = 2
    DECLINED = 3


class FailureReason(enum.IntEnum):
    """Why a request failed."""

    QUORUM_MISSED = 0
    DEADLINE_PASSED = 1
    OTHER_STATEMENT_SIGNED = 2
    OPENING_REFUTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a buyer asks for; fixed when the request is created.

    Attributes:
        aggregator: the only account that may write metrics and the result.
        model_kind: up to 32 ASCII characters, for example `linear`.
        min_owners: fewest data owners, validators included, at least 2.
        max_owners: most data owners, at most 64.
        acceptance_deadline: Unix time in seconds at which acceptances end.
        training_deadline: Unix time in seconds at which the training has failed without a result.
        modulus_hash: `keccak256` of the modulus, `hash_of_number(n, |n| bytes)`.
        initial_model_hash: hash of the initial weights, as ciphertexts.
        key_proof_hash: hash of the proof that the modulus is proper; needed unless `metrics_kind` is NOISE.
        challenge_window: seconds during which a result can be refuted, 1 hour to 30 days.
        minimum_reward_wei: what every owner with a role receives once roles were dealt.
        validators: named validators; empty lets the contract deal the roles.
    """

    aggregator: str
    min_owners: int
    max_owners: int
    acceptance_deadline: int
    training_deadline: int
    modulus_hash: bytes
    initial_model_hash: bytes
    model_kind: str = "linear"
    metrics_kind: MetricsKind = MetricsKind.NOISE
    trainers_bps: int = 7000
    validators_bps: int = 2000
    aggregator_bps: int = 1000
    challenge_window: int = 3600
    minimum_reward_wei: int = 0
    key_proof_hash: bytes = NO_HASH
    validators: tuple[str, ...] = ()

    def to_abi(self) -> dict[str, Any]:
        """The contract's `Terms`."""
        abi = {_camel(field.name): getattr(self, field.name) for field in fields(self)}
        abi["aggregator"] = Web3.to_checksum_address(self.aggregator)
        abi["modelKind"] = self.model_kind.encode("ascii").ljust(32, b"\0")
        abi["validators"] = [Web3.to_checksum_address(validator) for validator in self.validators]
        return abi

    @classmethod
    def from_abi(cls, abi: dict[str, Any]) -> Self:
        """From the contract's `Terms`."""
        values = {field.name: abi[_camel(field.name)] for field in fields(cls)}
        values["model_kind"] = bytes(abi["modelKind"]).rstrip(b"\0").decode("ascii")
        values["metrics_kind"] = MetricsKind(abi["metricsKind"])
        values["validators"] = tuple(abi["validators"])
        for name in ("modulus_hash", "initial_model_hash", "key_proof_hash"):
            values[name] = bytes(values[name])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a majority of the validators signs (protocol.md §7). Errors and gains have 18 decimals.

    Attributes:
        request: the request's id.
        round: the last round.
        modulus_hash: as in the terms.
        weights_hash: hash of the evaluated encrypted weights.
        metric_hash: `hash_of_number(c, 2 |n| bytes)` of the metric's ciphertext.
        scale: the opened integer is the sum of squared errors times `2**scale`.
        rows: over how many rows.
        gains: one for each of the request's trainers, in that order.
        transcript_hash: hash of the run's transcript.
    """

    request: int
    round: int
    modulus_hash: bytes
    weights_hash: bytes
    metric_hash: bytes
    scale: int
    rows: int
    initial_mse: int
    final_mse: int
    gains: tuple[int, ...]
    transcript_hash: bytes

    def to_abi(self) -> dict[str, Any]:
        """The contract's `Statement`; also the EIP-712 message."""
        abi = {_camel(field.name): getattr(self, field.name) for field in fields(self)}
        abi["gains"] = list(self.gains)
        return abi

    @classmethod
    def from_abi(cls, abi: dict[str, Any]) -> Self:
        """From the contract's `Statement`."""
        values = {field.name: abi[_camel(field.name)] for field in fields(cls)}
        return cls(**{name: _plain(value) for name, value in values.items()})

    def to_json(self) -> dict[str, Any]:
        """For a file: hashes in hexadecimal, numbers as they are."""
        return {field.name: _json(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """From a file that anybody may have written.

        Raises:
            TermsError: it is no statement; says which entry.
        """
        try:
            values = {field.name: content[field.name] for field in fields(cls)}
            for name, value in values.items():
                if name.endswith("_hash"):
                    values[name] = bytes.fromhex(value)
                elif name == "gains":
                    values[name] = tuple(map(int, value))
                else:
                    values[name] = int(value)
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise TermsError(f"this is no statement: {error!r}") from error

    def signer(self, signature: bytes, chain_id: int, contract: str) -> str | None:
        """Who signed this statement for a contract (EIP-712); None where the bytes are no signature."""
        message = encode_typed_data(full_message=self.typed_data(chain_id, contract))
        try:
            return str(Account.recover_message(message, signature=signature))
        except (BadSignature, ValidationError, ValueError):
            return None

    def typed_data(self, chain_id: int, contract: str) -> dict[str, Any]:
        """The EIP-712 document to sign: this statement for one contract on one chain."""
        return {
            "types": {"EIP712Domain": _DOMAIN_FIELDS, "Statement": _STATEMENT_FIELDS},
            "primaryType": "Statement",
            "domain": {
                "name": "DeltaML Marketplace",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": Web3.to_checksum_address(contract),
            },
            "message": self.to_abi(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An opened Paillier ciphertext, `c = (1 + n m) r**n mod n**2`, as plain integers."""

    modulus: int
    ciphertext: int
    plaintext: int
    randomness: int

    def to_abi(self) -> dict[str, bytes]:
        """The contract's `Opening`: big-endian, with L the modulus's length: L, 2 L, L and L bytes."""
        length = byte_length(self.modulus)
        return {
            "modulus": self.modulus.to_bytes(length),
            "ciphertext": self.ciphertext.to_bytes(2 * length),
            "plaintext": self.plaintext.to_bytes(length),
            "randomness": self.randomness.to_bytes(length),
        }

    @classmethod
    def from_abi(cls, abi: dict[str, Any]) -> Self:
        """From the contract's `Opening`."""
        return cls(**{field.name: int.from_bytes(bytes(abi[field.name])) for field in fields(cls)})


NO_OPENING: dict[str, bytes] = {"modulus": b"", "ciphertext": b"", "plaintext": b"", "randomness": b""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the contract shows it.

    Attributes:
        escrow_wei: what the request was created with.
        locked_wei: how much of it the contract still holds for the request.
        owners: who accepted, in that order.
        trainers: trainers in the order of acceptance; gains follow it. Empty until roles are dealt.
        validators: validators in the order of acceptance; signatures follow it. Empty until roles are dealt.
        deal_block: roles come from this block's hash; 0 while none is fixed, or with named validators.
        challenge_end: Unix time from which the result can be finalized; 0 before a result.
        initial_mse: 18 decimals; 0 before a result, as `final_mse`.
        gains: 18 decimals; empty before a result.
    """

    id: int
    status: Status
    buyer: ChecksumAddress
    aggregator: ChecksumAddress
    escrow_wei: int
    locked_wei: int
    terms: Terms
    requirements_hash: bytes
    taken_on: bool
    owners: tuple[ChecksumAddress, ...]
    trainers: tuple[ChecksumAddress, ...]
    validators: tuple[ChecksumAddress, ...]
    deal_block: int
    challenge_end: int
    statement_digest: bytes
    initial_mse: int
    final_mse: int
    gains: tuple[int, ...]

    @classmethod
    def from_abi(cls, request_id: int, abi: dict[str, Any]) -> Self:
        """From the contract's `RequestView`."""
        values = {field.name: _plain(abi[_camel(field.name)]) for field in fields(cls) if field.name not in ("id", "aggregator", "terms")}
        values["status"] = Status(abi["status"])
        terms = Terms.from_abi(abi["terms"])
        return cls(id=request_id, aggregator=abi["terms"]["aggregator"], terms=terms, **values)


@dataclass(frozen=True, slots=True)
class Member:
    """An account listed in a role, with what it says about itself."""

    address: ChecksumAddress
    metadata: str


def byte_length(number: int) -> int:
    """Bytes that a natural number needs."""
    return (number.bit_length() + 7) // 8


def hash_of_number(number: int, length: int) -> bytes:
    """`keccak256` of a natural number as `length` big-endian bytes."""
    return bytes(Web3.keccak(number.to_bytes(length)))


def modulus_hash(modulus: int) -> bytes:
    """What the terms call `modulus_hash`."""
    return hash_of_number(modulus, byte_length(modulus))


def metric_hash(ciphertext: int, modulus: int) -> bytes:
    """What a statement calls `metric_hash`: of the ciphertext in twice the modulus's bytes."""
    return hash_of_number(ciphertext, 2 * byte_length(modulus))


def opened_mse(plaintext: int, scale: int, rows: int) -> int:
    """The mean squared error (18 decimals) that an opened integer says, by the contract's rule (`mean_in_units`).

    Raises:
        ValueError: a sum of squared errors of 2**128 or more, which the contract refuses, or no rows.
    """
    if rows < 1:
        raise ValueError("a mean needs at least one row")
    if plaintext >> scale >= 2**128:
        raise ValueError("the opened sum of squared errors is 2**128 or more")
    return mean_in_units(plaintext, scale, rows)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _json(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else list(value) if isinstance(value, tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(value)
    return value


_DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
_STATEMENT_FIELDS = [
    {"name": "request", "type": "uint256"},
    {"name": "round", "type": "uint64"},
    {"name": "modulusHash", "type": "bytes32"},
    {"name": "weightsHash", "type": "bytes32"},
    {"name": "metricHash", "type": "bytes32"},
    {"name": "scale", "type": "uint32"},
    {"name": "rows", "type": "uint64"},
    {"name": "initialMse", "type": "uint256"},
    {"name": "finalMse", "type": "uint256"},
    {"name": "gains", "type": "int256[]"},
    {"name": "transcriptHash", "type": "bytes32"},
]
