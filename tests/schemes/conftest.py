"""Asserts of the shared suite explain themselves too."""

import pytest

pytest.register_assert_rewrite("behaviour", "vector_behaviour")
