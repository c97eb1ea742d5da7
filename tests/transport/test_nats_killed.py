"""The broker is killed with kill -9 at a step of a training and comes back: the training ends in the result of plain arithmetic.

The steps are drawn from all of them with a seed; `DELTAML_NATS_KILLS` has more of them tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
from collections.abc import Collection
from pathlib import Path

import pytest
from helpers import key_pair, oracle, terms_for

from deltaml_core.benchmarks.http import STEP, synthetic
from deltaml_core.benchmarks.table import Table
from deltaml_core.transport.nats import background
from deltaml_core.transport.nats.connection import open_connection
from deltaml_core.transport.nats.keys import BrokerKeys, ConnectionKey
from deltaml_core.transport.nats.process import NatsServer

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

OWNERS, VALIDATORS, ROUNDS, KEY_BITS = 4, [1], 3, 512
STEPS = 40
"""Messages of such a training, at least."""
SAMPLE = sorted(random.Random(8).sample(range(1, STEPS), int(os.environ.get("DELTAML_NATS_KILLS", "4"))))
SOON = 120.0
LOST_SOON = 20.0


@pytest.mark.parametrize("step", SAMPLE)
def test_a_broker_that_is_killed_at_a_step_changes_no_result(step: int, tmp_path: Path) -> None:
    shards = synthetic(OWNERS)
    terms = terms_for(shards, rounds=ROUNDS, step=STEP, scheme="paillier", key_bits=KEY_BITS)
    arrived, reached = [0], threading.Event()

    def count(recipients: Collection[str]) -> None:
        arrived[0] += len(recipients)
        if arrived[0] >= step:
            reached.set()

    with contextlib.ExitStack() as closing:
        table = Table(shards, VALIDATORS, key_pair("paillier", KEY_BITS), terms, tmp_path, closing, over_broker=True)
        table.mail.subscribe(count)
        assert reached.wait(SOON)
        assert table.nats is not None
        table.nats.kill()
        assert not table.ended.is_set()
        table.nats.start()
        assert table.ended.wait(SOON)
        assert table.failure is None
        (group,) = table.groups
        model, history = group.model(), [(number, metric.mse) for number, metric in group.aggregator.history]
    weights, expected = oracle(shards, VALIDATORS, ROUNDS, STEP)
    assert model == pytest.approx(weights, abs=1e-6)
    assert history == [(number, pytest.approx(mse, rel=1e-6)) for number, mse in expected]


def test_a_connection_that_breaks_while_more_is_said_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py sends what is left before it says that it has ended, and where that fails it says nothing: the relay would wait for ever."""
    keys = BrokerKeys(bytes(32))
    with NatsServer(keys, tmp_path) as server:
        key = ConnectionKey()
        token = keys.admit_relay(key.public)
        connection = background.run(open_connection(server.url, key, token, "_INBOX_relay", trust=None, timeout=LOST_SOON))
        client, spoken = connection._client, list[bytes]()

        async def broken() -> None:
            if not spoken:
                spoken.append(b"PING\r\n")
                client._pending.extend(spoken)
                client._pending_data_size += len(spoken[0])
            raise ConnectionResetError

        async def speak() -> None:
            monkeypatch.setattr(client._transport, "drain", broken)
            await connection.publish("somewhere", b"")
            await asyncio.wait_for(connection.lost.wait(), LOST_SOON)

        background.run(speak())
        background.run(connection.close())
    assert not connection.is_open
