"""Differential privacy, once, at the owner's choice (protocol.md §9)."""

from deltaml_core.privacy.mechanism import Guarantee, epsilon_of, scale_for
from deltaml_core.privacy.release import Release

__all__ = ["Guarantee", "Release", "epsilon_of", "scale_for"]
