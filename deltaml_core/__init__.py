"""DeltaML: models trained on data that stays encrypted and with its owners.

`train` runs a whole training in one process; the roles, the contract and the dashboards are built on the same parts.
"""

from deltaml_core.training import TrainingResult, train

__all__ = ["TrainingResult", "train"]
