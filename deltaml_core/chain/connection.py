"""A connection to whatever JSON-RPC node serves the chain."""

from __future__ import annotations

import os

import requests
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from deltaml_core.errors import ChainError, WrongChainError

URL_VARIABLE = "DELTAML_RPC_URL"
TIMEOUT_SECONDS = 60


def connect(url: str | None = None, expected_chain_id: int | None = None) -> Web3:
    """Connect to a node and check that it serves the chain that is meant.

    Args:
        url: where the node answers; None takes it from the environment variable `DELTAML_RPC_URL`.
        expected_chain_id: the chain that is meant; None takes any.

    Raises:
        ChainError: no URL is stated, or nothing there answers as a node.
        WrongChainError: the node serves another chain.
    """
    where = url or os.environ.get(URL_VARIABLE)
    if not where:
        raise ChainError(f"no chain is stated: pass the node's URL, or set {URL_VARIABLE}")
    if not where.startswith(("http://", "https://")):
        raise ChainError(f"{where} is not an http:// or https:// URL of a JSON-RPC node")
    provider = Web3.HTTPProvider(
        where,
        request_kwargs={"timeout": TIMEOUT_SECONDS},
        cache_allowed_requests=True,
        cacheable_requests={RPCEndpoint("eth_chainId")},  # web3 asks for it before every call, and a chain's id is for good
    )
    web3 = Web3(provider)
    try:
        chain_id = web3.eth.chain_id
    except (requests.RequestException, Web3Exception, ValueError) as error:
        raise ChainError(f"no node answers at {where}: start one, or correct the URL ({error})") from error
    if expected_chain_id is not None and chain_id != expected_chain_id:
        raise WrongChainError(f"the node at {where} serves chain {chain_id}, not {expected_chain_id}: correct the URL or the chain id")
    return web3
