"""What a request takes of each party, and what the relay pays for a message: the figures that docs/scale.md calculates with."""

from __future__ import annotations

import pytest

from deltaml_core.benchmarks.relaying import relaying
from deltaml_core.benchmarks.request import one_request

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


def test_a_message_in_and_a_message_out_cost_the_relay_something() -> None:
    inwards, outwards = relaying(20, 2000)
    assert min(inwards, outwards) > 0


def test_a_request_is_counted_by_message_byte_and_party() -> None:
    found = one_request(owners=5, validators=1, rounds=2, key_bits=1024)
    assert found.messages > 2 * 2 * 4  # to four trainers and back, twice
    assert found.bytes > found.messages * 200
    assert min(found.owners_seconds, found.buyer_seconds, found.aggregator_seconds) > 0
