"""What encrypted training costs, measured against the arithmetic DeltaML had in 2019.

`run_benchmarks` measures, `render` shows the result to people, `to_json` to machines.
"""

from deltaml_core.benchmarks.measure import Measurement
from deltaml_core.benchmarks.report import render, to_json
from deltaml_core.benchmarks.suite import run_benchmarks

__all__ = ["Measurement", "render", "run_benchmarks", "to_json"]
