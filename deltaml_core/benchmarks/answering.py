"""How long others wait for an owner's answers, with random factors made beforehand and without."""

from __future__ import annotations

from dataclasses import replace

from deltaml_core import schemes
from deltaml_core.benchmarks.measure import Measurement, Stopwatch, WrongResultError
from deltaml_core.benchmarks.pieces import Setup
from deltaml_core.messages import AskMasks, Train, Update
from deltaml_core.node.owner import FACTORS_OF_A_ROUND
from deltaml_core.owner import Trainer
from deltaml_core.party import Party
from deltaml_core.schedule import Kind
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Dataset
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges

AGGREGATOR, OWNER = "aggregator", "owner"


def owner_answer(key: PrivateKey, repetitions: int = 31) -> Measurement:
    """CPU milliseconds from a paper's round's two questions to a trainer's answers: its update, and its masks of the refresh.

    Filling the pool is not timed in the value, it happens while the owner waits, but said beside it.

    Raises:
        WrongResultError: the updates of the two ways hold different numbers.
    """
    setup = Setup.paper(key.public.bits, 1)
    X, y = setup.shards[setup.trainers[0]]
    terms = TrainingTerms(
        declared_ranges([Dataset.of(*shard) for shard in setup.shards]),
        rounds=setup.rounds,
        step=setup.step,
        scheme=key.public.scheme,
        key_bits=key.public.bits,
    )
    public = schemes.public_key(terms.scheme, key.public.modulus)
    pooled, pool = schemes.with_pool(public, FACTORS_OF_A_ROUND[True] * terms.weights)
    bare = Party("bench", OWNER, terms, public, "buyer", AGGREGATOR)
    waits, works = (Trainer(party, Dataset.of(X, y)) for party in (replace(bare, pooled=pooled), bare))
    refresh = next(step for step in bare.steps if step.kind is Kind.REFRESH)
    training = next(step for step in reversed(bare.steps) if step.kind is Kind.TRAIN and step.round <= refresh.round)
    to = {"request": "bench", "sender": AGGREGATOR, "recipient": OWNER}
    weights = key.encrypt([1 << terms.base_scale] * terms.weights)
    questions = [
        Train(**to, round=training.round, scale=training.scale, trainers=len(setup.trainers), weights=weights),
        AskMasks(**to, round=refresh.round, scale=refresh.scale),
    ]
    watch = Stopwatch()
    for trainer in (waits, works):
        trainer.handle(questions[0])  # recodes the map, once a training
    while pool is not None and pool.make_one():
        pass
    for _ in range(repetitions):
        with_pool = watch.time("with", lambda: [answer for asked in questions for answer in waits.handle(asked)])
        while pool is not None and watch.time("filling", pool.make_one):
            pass
        without = watch.time("without", lambda: [answer for asked in questions for answer in works.handle(asked)])
    updates = [answer for answer in (*with_pool, *without) if isinstance(answer, Update)]
    if len({tuple(key.decrypt(update.weights)) for update in updates}) != 1:
        raise WrongResultError("an update from a pool holds something else")
    return Measurement(
        "owner_answer",
        1000 * watch.median("with"),
        "CPU ms",
        key.public.bits,
        1000 * watch.median("without"),
        f"a trainer's update and masks in a round of the paper's with a refresh, d = {terms.weights}, from a full pool of "
        f"{FACTORS_OF_A_ROUND[True] * terms.weights} random factors, against none; median of {repetitions}. "
        f"Filling it meanwhile takes {1000 * watch.total('filling') / repetitions:.1f} ms",
    )
