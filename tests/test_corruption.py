"""What corrupted data earn, against Shapley values of models that every coalition trained; what a poisoned update does.

The oracle trains on rows and shares no code with the library. Owners are counted from 0 here, as `train` counts shards.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from helpers import Shard, descend, paper_shards, pooled_mse

from deltaml_core import train
from deltaml_core.attacks import ScalingTrainer
from deltaml_core.benchmarks.corruption import (
    ROUNDS,
    USELESS,
    VALIDATORS,
    Corruption,
    Outcome,
    constant_target,
    duplicated,
    nine_owners,
    our_shares,
    random_features,
    retrained_shares,
    run,
    shuffled_labels,
    tiny,
)
from deltaml_core.benchmarks.seats import seated
from deltaml_core.errors import MessageError, MetricError
from deltaml_core.schemes import generate

TRAINERS = [index for index in range(9) if index not in VALIDATORS]


def trained_together(members: list[Shard], rounds: int) -> np.ndarray:
    """Zero weights after so many rounds of one gradient step each, averaged.

    The mean of several owners' steps from the same weights is one step on all rows, each weighted by 1 / rows of its owner.
    """
    X = np.vstack([np.column_stack([X, np.ones(len(y))]) / np.sqrt(len(y)) for X, y in members])
    y = np.concatenate([y / np.sqrt(len(y)) for _, y in members])
    curvature, slope = X.T @ X / len(members), X.T @ y / len(members)
    weights = np.zeros(X.shape[1])
    for _ in range(rounds):
        weights = weights - 1.5 * (curvature @ weights - slope)
    return weights


def oracle_shares(shards: list[Shard], validators: list[int] | tuple[int, ...], rounds: int) -> dict[int, float]:
    """Each trainer's mean drop in error over all orders of joining, when every coalition trains together from the start."""
    judges = [shards[index] for index in validators]
    trainers = [index for index in range(len(shards)) if index not in validators]
    mean = np.zeros(shards[0][0].shape[1] + 1)
    mean[-1] = np.concatenate([shards[index][1] for index in trainers]).mean()
    known = {frozenset[int](): pooled_mse(judges, mean)}

    def error(coalition: frozenset[int]) -> float:
        if coalition not in known:
            known[coalition] = pooled_mse(judges, trained_together([shards[index] for index in coalition], rounds))
        return known[coalition]

    drops = dict.fromkeys(trainers, 0.0)
    for order in permutations(trainers):
        for place, trainer in enumerate(order):
            drops[trainer] += error(frozenset(order[:place])) - error(frozenset(order[: place + 1]))
    positive = {trainer: max(0.0, drop) for trainer, drop in drops.items()}
    return {trainer: drop / sum(positive.values()) for trainer, drop in positive.items()}


def distance(one: dict[int, float], other: dict[int, float]) -> float:
    assert one.keys() == other.keys()
    assert sum(one.values()) == pytest.approx(1)
    return max(abs(one[index] - other[index]) for index in one)


def test_the_oracle_trains_as_owners_would() -> None:
    members = [*paper_shards()[:2], tiny(nine_owners(), 4)[4]]
    weights = np.zeros(11)
    for _ in range(7):
        weights = np.mean([descend(shard, weights, 1.5, 1) for shard in members], axis=0)
    assert trained_together(members, 7) == pytest.approx(weights, rel=1e-9)


def test_honest_owners_earn_their_shapley_values_in_a_run_of_300_rounds() -> None:
    shards = nine_owners()
    ours = train(shards, validators=VALIDATORS, rounds=ROUNDS, step=1.5, evaluate_every=ROUNDS, scheme="plain").contributions
    assert distance(ours, oracle_shares(shards, VALIDATORS, ROUNDS)) <= 0.02
    assert our_shares(shards) == pytest.approx(ours, abs=1e-6)  # as the tests below take their steps


def test_the_papers_five_owners() -> None:
    shards = paper_shards()
    ours = train(shards, validators=[1], rounds=100, step=1.5, evaluate_every=100, scheme="plain").contributions
    assert distance(ours, oracle_shares(shards, [1], 100)) <= 0.06


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.InsecureKeyWarning")
def test_encryption_changes_nothing() -> None:
    shards = shuffled_labels(nine_owners(), TRAINERS[2])[:6]
    terms = {"validators": [1], "rounds": 1, "local_steps": ROUNDS, "step": 1.5}
    plain, encrypted = (train(shards, **terms, scheme=scheme, key_bits=768) for scheme in ("plain", "paillier"))
    assert encrypted.contributions == pytest.approx(plain.contributions, abs=1e-6)
    assert encrypted.contributions[TRAINERS[2]] <= 0.01


@pytest.mark.parametrize("corrupt", USELESS)
@pytest.mark.parametrize("owner", TRAINERS)
def test_useless_data_earn_at_most_one_percent(corrupt: Corruption, owner: int) -> None:
    shards = corrupt(nine_owners(), owner)
    ours = our_shares(shards)
    assert ours[owner] <= 0.01
    assert distance(ours, oracle_shares(shards, VALIDATORS, ROUNDS)) <= 0.02


def test_a_lucky_shuffle_earns_what_retraining_says() -> None:
    """One shuffle of 50 labels in eight keeps by chance a slope that helps; it is paid for that by either way of counting."""
    shards = shuffled_labels(nine_owners(), 5, seed=0)
    ours, expected = our_shares(shards), oracle_shares(shards, VALIDATORS, ROUNDS)
    assert min(ours[5], expected[5]) > 0.03
    assert distance(ours, expected) <= 0.02


@pytest.mark.parametrize("owner", TRAINERS)
def test_a_duplicated_owners_pair_earns_at_most_1_8_times_the_single_share(owner: int) -> None:
    """The known limit: more than the single share, so sybils pay off."""
    single, pair = our_shares(nine_owners()), our_shares(duplicated(nine_owners(), owner))
    assert pair[owner] == pytest.approx(pair[9], rel=1e-6)
    assert 1.5 < (pair[owner] + pair[9]) / single[owner] <= 1.8


@pytest.mark.parametrize("owner", TRAINERS)
def test_a_tiny_owner_earns_what_retraining_says(owner: int) -> None:
    shards = tiny(nine_owners(), owner)
    ours, expected = our_shares(shards), oracle_shares(shards, VALIDATORS, ROUNDS)
    assert distance(ours, expected) <= 0.02
    assert ours[owner] < our_shares(nine_owners())[owner]


def test_the_benchs_table_is_retrained_like_the_oracle() -> None:
    shards = constant_target(nine_owners(), 3)
    assert retrained_shares(shards) == pytest.approx(oracle_shares(shards, VALIDATORS, ROUNDS), abs=1e-9)


def test_corruption_touches_one_owner_only() -> None:
    clean = nine_owners()
    assert [len(y) for _, y in clean] == [50] * 8 + [42]
    for corrupt in (*USELESS, tiny):
        spoilt = corrupt(clean, 4)
        differs = [not (np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])) for a, b in zip(clean, spoilt, strict=True)]
        assert differs == [index == 4 for index in range(9)]
    X, y = random_features(clean, 4)[4]
    assert X.std() == pytest.approx(clean[4][0].std(), rel=0.2)
    assert np.array_equal(y, clean[4][1])


# --- a poisoned update -------------------------------------------------------------------------------------------

POISONED_ROUNDS = 40


@pytest.fixture(scope="module")
def without() -> Outcome:
    """The run the poisoner is not part of."""
    shards = [shard for index, shard in enumerate(nine_owners()) if index != 0]
    return run(shards, [index - 1 for index in VALIDATORS], rounds=POISONED_ROUNDS)


@pytest.mark.parametrize(("factor", "since"), [(10, 1), (10, 5), (10, 30), (3, 1), (-10, 1)])
def test_robust_leaves_a_scaled_update_out(without: Outcome, factor: int, since: int) -> None:
    found = run(nine_owners(), rounds=POISONED_ROUNDS, robust=True, poisoner=0, factor=factor, since=since)
    assert found.left_out == [0]
    assert found.shares[0] == 0
    assert found.mse == pytest.approx(without.mse, rel=0.02)


def test_robust_leaves_honest_owners_alone() -> None:
    """Updates of a round differ little: one of them always makes every average a little worse, and has done no wrong."""
    honest, robust = (run(nine_owners(), rounds=POISONED_ROUNDS, robust=robust) for robust in (False, True))
    assert robust.left_out == []
    assert robust.mse == pytest.approx(honest.mse, rel=1e-6)
    assert robust.shares == pytest.approx(honest.shares, abs=1e-6)


@pytest.mark.slow
def test_300_rounds_with_a_poisoner() -> None:
    rest = run(nine_owners()[1:], [index - 1 for index in VALIDATORS])
    poisoned = run(nine_owners(), robust=True, poisoner=0)
    assert poisoned.left_out == [0]
    assert poisoned.mse == pytest.approx(rest.mse, rel=0.02)


@pytest.mark.parametrize("factor", [2, 10])
def test_without_robust_the_same_update_ends_the_run(factor: int) -> None:
    """The average grows round by round until its error may no longer be opened."""
    with pytest.raises(MetricError, match="stays closed"):
        run(nine_owners(), rounds=POISONED_ROUNDS, poisoner=0, factor=factor)


def test_an_update_beyond_what_may_be_opened_stops_the_run() -> None:
    """A limit: it is not left out, the request fails, and no weight was shown."""
    with pytest.raises(MessageError, match="stays closed"):
        run(nine_owners(), rounds=10, robust=True, poisoner=0, factor=1000)


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.InsecureKeyWarning")
def test_under_encryption_the_poisoner_is_left_out_too() -> None:
    shards = nine_owners()[:5]
    disguises = {0: lambda party, honest: ScalingTrainer(party, honest, 10)}
    table = seated(shards, [1], generate("paillier", 768), disguises=disguises, rounds=4, step=1.5, robust=True)
    table.session.run()
    assert table.session.aggregator.left_out == [table.owners[0]]
