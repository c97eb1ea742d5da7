"""The content of each role's page, for whoever has opened a wallet."""

from __future__ import annotations

import os
from pathlib import Path

import ipywidgets as widgets

from deltaml_core.chain.types import Role
from deltaml_core.dictionary import DataDictionary
from deltaml_core.local.dashboards import LOCAL_MSE_VARIABLE
from deltaml_core.views.aggregator_desk import AggregatorDesk
from deltaml_core.views.buyer_desk import BuyerDesk
from deltaml_core.views.owner_desk import OwnerDesk
from deltaml_core.views.source import Source
from deltaml_core.views.surroundings import Session

DICTIONARIES_VARIABLE = "DELTAML_DICTIONARIES"
_OURS = Path(__file__).resolve().parents[2] / "data" / "dictionaries"


def desk_of(session: Session, source: Source) -> widgets.Widget:
    """The content for who has logged in, by its role."""
    match session.role:
        case Role.DATA_OWNER:
            return OwnerDesk(session, source)
        case Role.FEDERATED_AGGREGATOR:
            return AggregatorDesk(session, source)
        case Role.MODEL_BUYER:
            return BuyerDesk(session, source, dictionaries(), local=_local_mse())


def dictionaries() -> list[DataDictionary]:
    """The data dictionaries in the folder `DELTAML_DICTIONARIES`; by default those that come with DeltaML."""
    folder = Path(os.environ.get(DICTIONARIES_VARIABLE) or _OURS)
    return [DataDictionary.read(path) for path in sorted(folder.glob("*.json"))]


def _local_mse() -> float | None:
    """What owners reach without each other; only the demo, which has all their data, knows and states it."""
    stated = os.environ.get(LOCAL_MSE_VARIABLE)
    return float(stated) if stated else None
