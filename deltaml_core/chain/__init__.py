"""The chain: a local Ganache, wallets that sign locally, and the marketplace contract with types."""

from deltaml_core.chain.connection import connect
from deltaml_core.chain.ganache import GanacheProcess
from deltaml_core.chain.marketplace import Marketplace, Receipt
from deltaml_core.chain.types import (
    Answer,
    FailureReason,
    Member,
    MetricsKind,
    Opening,
    Request,
    Role,
    Statement,
    Status,
    Terms,
    from_units,
    metric_hash,
    modulus_hash,
    opened_mse,
    to_units,
)
from deltaml_core.chain.wallet import Wallet

__all__ = [
    "Answer",
    "FailureReason",
    "GanacheProcess",
    "Marketplace",
    "Member",
    "MetricsKind",
    "Opening",
    "Receipt",
    "Request",
    "Role",
    "Statement",
    "Status",
    "Terms",
    "Wallet",
    "connect",
    "from_units",
    "metric_hash",
    "modulus_hash",
    "opened_mse",
    "to_units",
]
