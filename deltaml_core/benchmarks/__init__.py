"""What encrypted training costs, measured against the arithmetic DeltaML had in 2019.

`run_benchmarks` measures, `render` shows the result to people, `to_json` to machines; `render_change` sets two runs beside each other.
"""

from deltaml_core.benchmarks.change import read_run, render_change
from deltaml_core.benchmarks.measure import Measurement
from deltaml_core.benchmarks.report import render, to_json
from deltaml_core.benchmarks.schemes import SIZES, scheme_table
from deltaml_core.benchmarks.suite import run_benchmarks

__all__ = ["SIZES", "Measurement", "read_run", "render", "render_change", "run_benchmarks", "scheme_table", "to_json"]
