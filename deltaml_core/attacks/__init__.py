"""The attacks that the design of 2019 allowed, as code: each succeeds against it, and fails against what took its place.

They work from captured messages: what one participant's process was sent, and the secrets that are its own.
"""

from deltaml_core.attacks.captured import AttackFailed, BuyersView, Diary
from deltaml_core.attacks.inverted_contributions import shares_of_2019
from deltaml_core.attacks.poisoning import ScalingTrainer
from deltaml_core.attacks.residuals import RecoveredRows, known_evaluations, recover_rows, residuals_shown
from deltaml_core.attacks.withholding import Escrow2019, Reading, StolenModel, everything_readable, last_weights_shown

__all__ = [
    "AttackFailed",
    "BuyersView",
    "Diary",
    "Escrow2019",
    "Reading",
    "RecoveredRows",
    "ScalingTrainer",
    "StolenModel",
    "everything_readable",
    "known_evaluations",
    "last_weights_shown",
    "recover_rows",
    "residuals_shown",
    "shares_of_2019",
]
