"""Data of any kind and size: what it is checked for, and the one scan that turns it into statistics (protocol.md §1).

    A = X'X    b = X'y    c = y'y    m = number of rows        X carries the intercept's column of ones, last

Everything a trainer computes afterwards costs the same for 50 rows and for a billion.
"""

from deltaml_core.statistics.dataset import Dataset
from deltaml_core.statistics.gram import gram
from deltaml_core.statistics.moments import Moments, Statistics
from deltaml_core.statistics.preprocessing import Day, Preprocessing
from deltaml_core.statistics.requirements import Array, Column, Requirements
from deltaml_core.statistics.selection import Selection, Source
from deltaml_core.statistics.sources import Csv, Query, numpy_table, open_source

__all__ = [
    "Array",
    "Column",
    "Csv",
    "Dataset",
    "Day",
    "Moments",
    "Preprocessing",
    "Query",
    "Requirements",
    "Selection",
    "Source",
    "Statistics",
    "gram",
    "numpy_table",
    "open_source",
]
