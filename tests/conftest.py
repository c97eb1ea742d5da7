"""What all tests share: the same hypothesis examples on every machine, and warnings as errors (pyproject.toml)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("deltaml", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("deltaml")
