"""One reading of all the shapes in which nodes say that a contract refused a call.

Measured: `eth_call` raises one exception and `eth_estimateGas` another, the refusal's bytes sit in `data`, in a dictionary
inside `data`, or in the RPC response's error; a mined transaction that failed says nothing but `status: 0`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.exceptions import ContractLogicError, Web3Exception, Web3RPCError

from deltaml_core.chain.types import Answer, MetricsKind, Role, Status
from deltaml_core.errors import ChainError, ContractError

PLAIN_REVERT = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")
_ENUMS = {"enum Role": Role, "enum Status": Status, "enum MetricsKind": MetricsKind, "enum Answer": Answer}


def refusal(data: bytes, abi: Sequence[Mapping[str, Any]]) -> ContractError:
    """The contract's refusal as an error with the contract's own name and values.

    Args:
        data: what the contract returned: a selector and its encoded values.
        abi: the contract's ABI, whose errors are looked up.
    """
    if data[:4] == PLAIN_REVERT:
        (reason,) = decode(["string"], data[4:])
        return ContractError(f"the contract refused: {reason}", "Error", {"reason": reason})
    if data[:4] == PANIC:
        (code,) = decode(["uint256"], data[4:])
        return ContractError(f"the contract stopped with panic code {code:#x}", "Panic", {"code": code})
    for entry in abi:
        if entry["type"] == "error" and _selector(entry) == data[:4]:
            return _named(entry, data[4:])
    return ContractError(f"the contract refused without an error of its own: 0x{data.hex()}", "", {})


@contextmanager
def translated(abi: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Turn whatever web3 raises inside into `ContractError` or `ChainError`."""
    try:
        yield
    except requests.RequestException as error:
        raise ChainError(f"the node does not answer: {error}") from error
    except Web3RPCError as error:
        data = _data_of(error.rpc_response)
        if data is None:
            raise ChainError(f"the node refused: {error.message or error}") from error
        raise refusal(data, abi) from error
    except ContractLogicError as error:
        data = _data_of(error.data)
        if data is None:
            raise ContractError(f"the contract refused: {error.message or error}", "", {}) from error
        raise refusal(data, abi) from error
    except Web3Exception as error:
        raise ChainError(str(error)) from error


def _selector(entry: Mapping[str, Any]) -> bytes:
    types = ",".join(collapse_if_tuple(field) for field in entry["inputs"])
    return keccak(text=f"{entry['name']}({types})")[:4]


def _named(entry: Mapping[str, Any], encoded: bytes) -> ContractError:
    name: str = entry["name"]
    try:
        decoded = decode([collapse_if_tuple(field) for field in entry["inputs"]], encoded)
    except DecodingError as error:
        raise ChainError(f"the node returned a mangled {name}: 0x{encoded.hex()}") from error
    values: dict[str, Any] = {}
    for field, value in zip(entry["inputs"], decoded, strict=True):
        known = _ENUMS.get(field.get("internalType", ""))
        if field["type"] == "address":
            value = to_checksum_address(value)
        values[field["name"]] = known(value) if known is not None and value in list(known) else value
    said = ", ".join(f"{key} = {getattr(value, 'name', value)}" for key, value in values.items())
    return ContractError(f"the contract refused with {name}({said})", name, values)


def _data_of(found: Any) -> bytes | None:
    """The first refusal's bytes anywhere in what the node sent."""
    if isinstance(found, str) and found.startswith("0x") and len(found) >= 10 and len(found) % 64 == 10:
        return bytes.fromhex(found[2:])
    if isinstance(found, Mapping):
        for key in ("error", "data", "result"):
            if (data := _data_of(found.get(key))) is not None:
                return data
    return None
