"""What all tests share: the same hypothesis examples on every machine, and warnings as errors (pyproject.toml)."""

from __future__ import annotations

import importlib.util

from hypothesis import HealthCheck, settings

HEAVY = {"torch": "updates/test_torch_model.py", "pyspark": "statistics/test_spark.py"}
"""Tests of extras that bring a gigabyte or need a Java: left out where these are not installed; `make test-extras` installs them."""
collect_ignore = [file for module, file in HEAVY.items() if importlib.util.find_spec(module) is None]

settings.register_profile("deltaml", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("deltaml")
