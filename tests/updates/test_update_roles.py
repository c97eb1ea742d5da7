"""The roles of updates/ one message at a time: what they refuse, whom they name, and who may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import Array, key_pair

from deltaml_core.errors import (
    CiphertextError,
    DataError,
    LocalTrainingError,
    MessageError,
    PublicKeyError,
    ScaleBudgetError,
    TermsError,
    TooFewOwnersError,
)
from deltaml_core.messages import EncryptedMetric, EncryptedUpdate, GlobalModel, Message, RoundSums, decode, encode
from deltaml_core.updates.aggregator import UpdateAggregator
from deltaml_core.updates.buyer import UpdateBuyer
from deltaml_core.updates.local_model import Rows, to_bits
from deltaml_core.updates.owner import UpdateTrainer, UpdateValidator
from deltaml_core.updates.terms import UpdateSeat, UpdateTerms

START = np.array([1.0, -2.0])


class Mover:
    """A model whose training moves its two parameters by the mean row, and whose metric is their sum."""

    metric = "sum"

    def __init__(self) -> None:
        self.values = START

    def parameters(self) -> list[Array]:
        return [self.values.copy()]

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        (self.values,) = parameters

    def fit_locally(self, X: Rows, y: Rows) -> None:
        if y[0] < 0:
            raise ValueError("it diverges")
        self.values = self.values + X.mean(axis=0)

    def measure(self, X: Rows, y: Rows) -> float:
        return float(self.values.sum() + y[0])

    def unwrap(self) -> Mover:
        return self


ROWS = {"ann": np.array([[0.5, 0.25]] * 2), "ben": np.array([[-1.0, 0.0]] * 4), "cat": np.array([[0.25, 4.0]] * 6)}


class Table:
    """Three trainers, a validator, an aggregator and a buyer of small keys."""

    def __init__(self, scheme: str = "paillier", **changes: Any) -> None:
        self.key = key_pair(scheme, 256)
        settings = {"rounds": 2, "fractional_bits": 16, **changes}
        self.terms = UpdateTerms(
            trainers={name: len(X) for name, X in ROWS.items()},
            validators={"val": 3},
            parameters=2,
            scheme=scheme,
            key_bits=256,
            **settings,
        )
        self.buyer = UpdateBuyer(self.seat("buyer"), self.key, START)
        self.aggregator = UpdateAggregator(self.seat("aggregator"))
        self.trainers = {name: UpdateTrainer(self.seat(name), Mover(), X, np.zeros(len(X))) for name, X in ROWS.items()}
        self.validator = UpdateValidator(self.seat("val"), Mover(), np.zeros((3, 2)), np.zeros(3))

    def seat(self, name: str) -> UpdateSeat:
        modulus, proof = self.key.public.modulus, self.key.prove_modulus()
        return UpdateSeat.take("request-1", name, self.terms, modulus, proof, buyer="buyer", aggregator="aggregator")

    def say(self, kind: type[Message], sender: str, recipient: str, number: int = 0, **content: Any) -> Any:
        return kind(request="request-1", round=number, sender=sender, recipient=recipient, **content)

    def answers(self, models: list[Message], silent: Sequence[str] = ()) -> list[Message]:
        """What the owners say to their models; messages go over the wire."""
        owners = {**self.trainers, "val": self.validator}
        found = []
        for message in models:
            if message.recipient not in silent:
                found += owners[message.recipient].handle(decode(encode(message)))
        return found

    def round(self, models: list[Message], silent: Sequence[str] = ()) -> list[Message]:
        """One round; the next models."""
        sums: list[Message] = []
        for answer in self.answers(models, silent):
            sums += self.aggregator.handle(decode(encode(answer)))
        if not sums:
            sums = self.aggregator.close_round()
        return self.buyer.handle(decode(encode(sums[0])))


def mean(names: Sequence[str], weights: Sequence[int]) -> Array:
    return np.average([ROWS[name].mean(axis=0) for name in names], axis=0, weights=weights)


@pytest.mark.parametrize("scheme", ["paillier", "plain"])
@pytest.mark.parametrize(("weighting", "weights"), [("rows", [2, 4, 6]), ("equal", [1, 1, 1])])
def test_a_whole_training_by_hand(scheme: str, weighting: str, weights: list[int]) -> None:
    table = Table(scheme, weighting=weighting)
    models = table.buyer.start()
    assert [message.recipient for message in models] == ["ann", "ben", "cat", "val"]
    models = table.round(models)
    once = START + mean(list(ROWS), weights)
    assert table.buyer.parameters == pytest.approx(once, abs=2.0**-16)
    models = table.round(models)
    assert [message.recipient for message in models] == ["val"]  # nobody trains the final model
    assert table.round(models) == []
    assert table.buyer.done
    assert table.aggregator.done
    twice = START + 2 * mean(list(ROWS), weights)
    assert table.buyer.parameters == pytest.approx(twice, abs=2.0**-15)
    assert table.buyer.history == [(0, -1.0), (1, pytest.approx(once.sum(), abs=1e-4)), (2, pytest.approx(twice.sum(), abs=1e-4))]
    assert table.buyer.answered == [("ann", "ben", "cat")] * 2


def test_weights_are_rows_without_their_common_factor() -> None:
    assert Table().terms.weights == {"ann": 1, "ben": 2, "cat": 3}
    assert Table(weighting="equal").terms.weights == {"ann": 1, "ben": 1, "cat": 1}


def test_a_round_without_somebody_is_averaged_over_who_answered_and_the_next_is_everybodys_again() -> None:
    table = Table()
    models = table.round(table.buyer.start(), silent=["ben", "val"])
    once = START + mean(["ann", "cat"], [2, 6])
    assert table.buyer.parameters == pytest.approx(once, abs=2.0**-16)
    assert table.buyer.history == []  # its only validator was silent
    table.round(models)
    assert table.buyer.parameters == pytest.approx(once + mean(list(ROWS), [2, 4, 6]), abs=2.0**-15)
    assert [number for number, _ in table.buyer.history] == [1]
    assert table.buyer.answered == [("ann", "cat"), ("ann", "ben", "cat")]


def test_a_sum_over_one_trainer_is_not_formed_and_can_still_wait_for_another() -> None:
    table = Table()
    by_sender = {answer.sender: answer for answer in table.answers(table.buyer.start())}
    table.aggregator.handle(by_sender["ben"])
    with pytest.raises(TooFewOwnersError, match=r"1 of 3 trainers answered"):
        table.aggregator.close_round()
    assert set(table.aggregator.missing) == {"ann", "cat", "val"}
    table.aggregator.handle(by_sender["ann"])
    assert table.buyer.handle(table.aggregator.close_round()[0]) != []


def test_what_is_late_is_refused() -> None:
    table = Table()
    answers = {answer.sender: answer for answer in table.answers(table.buyer.start())}
    for name in ("ann", "cat", "val"):
        table.aggregator.handle(answers[name])
    table.aggregator.close_round()
    with pytest.raises(MessageError, match=r"from ben: .*it waits for answers of round 1"):
        table.aggregator.handle(answers["ben"])


def test_updates_are_clipped_to_the_stated_norm() -> None:
    table = Table(clip_norm=1.0)
    table.round(table.buyer.start())
    clipped = np.array([0.25, 4.0]) / np.hypot(0.25, 4.0)
    expected = START + np.average([[0.5, 0.25], [-1.0, 0.0], clipped], axis=0, weights=[1, 2, 3])
    assert table.buyer.parameters == pytest.approx(expected, abs=2.0**-16)
    assert {name: trainer.clipped for name, trainer in table.trainers.items()} == {"ann": 0, "ben": 0, "cat": 1}


def test_the_same_update_is_another_ciphertext_each_time() -> None:
    table = Table()
    twin = UpdateTrainer(table.seat("ann"), Mover(), ROWS["ann"], np.zeros(2))
    (model,) = (message for message in table.buyer.start() if message.recipient == "ann")
    (one,), (other,) = table.trainers["ann"].handle(model), twin.handle(model)
    assert isinstance(one, EncryptedUpdate)
    assert isinstance(other, EncryptedUpdate)
    assert table.key.decrypt(one.packed) == table.key.decrypt(other.packed)
    assert one.packed != other.packed


def test_the_sum_is_fresh_although_everybody_can_multiply() -> None:
    table = Table(weighting="equal")
    answers = table.answers(table.buyer.start())
    sums = [message for answer in answers for message in table.aggregator.handle(answer)]
    product = table.seat("eve").sum([answer.packed for answer in answers if isinstance(answer, EncryptedUpdate)])
    (sent,) = sums
    assert isinstance(sent, RoundSums)
    assert table.key.decrypt(product) == table.key.decrypt(sent.updates)
    assert product != sent.updates


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"parameters": to_bits([1.0])}, "has 2 parameters, but 1 arrived"),
        ({"parameters": to_bits([1.0, np.nan])}, "not finite"),
        ({"parameters": to_bits([1.0, -np.inf])}, "not finite"),
        ({"parameters": (0, 1 << 64)}, "not the 64 bits"),
        ({"parameters": (0, -1)}, "not the 64 bits"),
        ({"round": 2}, "that model is final"),
        ({"round": 3}, "2 is the last"),
        ({"sender": "ben"}, "only buyer may say that"),
        ({"recipient": "ben"}, "meant for 'ben'"),
        ({"request": "request-2"}, "belongs to request"),
    ],
)
def test_a_trainer_refuses_models_that_are_malformed_or_not_due(content: dict[str, Any], why: str) -> None:
    table = Table()
    model = replace(table.say(GlobalModel, "buyer", "ann", parameters=to_bits(START)), **content)
    with pytest.raises(MessageError, match=why) as refused:
        table.trainers["ann"].handle(model)
    assert refused.value.sender == model.sender
    assert table.trainers["ann"].handle(table.say(GlobalModel, "buyer", "ann", parameters=to_bits(START)))


def test_a_second_model_for_a_round_gets_no_second_update() -> None:
    """Its difference to the first would be a chosen question about one owner's rows."""
    table = Table()
    table.trainers["ann"].handle(table.say(GlobalModel, "buyer", "ann", parameters=to_bits(START)))
    with pytest.raises(MessageError, match=r"round 0 was answered"):
        table.trainers["ann"].handle(table.say(GlobalModel, "buyer", "ann", parameters=to_bits(START + 1)))


def test_a_validator_measures_the_rounds_that_the_terms_name() -> None:
    table = Table(rounds=3, evaluate_every=2)
    with pytest.raises(MessageError, match="that round is not measured"):
        table.validator.handle(table.say(GlobalModel, "buyer", "val", 1, parameters=to_bits(START)))
    assert [number for number in range(4) if table.terms.measured(number)] == [0, 2, 3]


def test_the_aggregator_names_the_owner_of_a_malformed_answer() -> None:
    table = Table()
    good = table.key.public.encrypt([0])
    for sender, kind, content, why in (
        ("ann", EncryptedUpdate, {"packed": ()}, "expected 1 ciphertexts, got 0"),
        ("ann", EncryptedUpdate, {"packed": (*good, *good)}, "expected 1 ciphertexts, got 2"),
        ("ann", EncryptedUpdate, {"packed": (0,)}, "not between 1 and"),
        ("ann", EncryptedUpdate, {"packed": (table.key.public.modulus,)}, "not coprime"),
        ("ann", EncryptedMetric, {"metric": good}, "only val may say that"),
        ("val", EncryptedUpdate, {"packed": good}, "only ann or ben or cat may say that"),
        ("val", EncryptedMetric, {"metric": (-1,)}, "not between 1 and"),
        ("eve", EncryptedUpdate, {"packed": good}, "only ann or ben or cat may say that"),
    ):
        with pytest.raises(MessageError, match=f"from {sender}: .*{why}") as refused:
            table.aggregator.handle(table.say(kind, sender, "aggregator", **content))
        assert isinstance(refused.value, CiphertextError) == (not why.startswith("only"))
    with pytest.raises(MessageError, match="not expected"):
        table.aggregator.handle(table.say(GlobalModel, "ann", "aggregator", parameters=()))
    assert len(table.aggregator.missing) == 4


def test_an_update_counts_once() -> None:
    table = Table()
    answers = {answer.sender: answer for answer in table.answers(table.buyer.start())}
    table.aggregator.handle(answers["ann"])
    with pytest.raises(MessageError, match=r"from ann: .*it has one already"):
        table.aggregator.handle(answers["ann"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"trainers": ("ann",)}, r"1 trainer\(s\) stays closed"),
        ({"trainers": ()}, r"0 trainer\(s\) stays closed"),
        ({"trainers": ("ann", "ann")}, "names trainers twice"),
        ({"trainers": ("ann", "eve")}, "eve are no trainers"),
        ({"validators": ("ann",)}, "ann are no validators"),
        ({"validators": ()}, "expected 0 ciphertexts, got 1"),
        ({"updates": ()}, "expected 1 ciphertexts, got 0"),
        ({"metrics": ()}, "expected 1 ciphertexts, got 0"),
        ({"trainers": ("ann", "ben")}, "a sum of updates exceeds"),  # ann, ben and cat are in it
        ({"round": 1}, "waits for round 0"),
        ({"sender": "ann"}, "only aggregator may say that"),
    ],
)
def test_the_buyer_opens_sums_over_enough_known_owners_only(content: dict[str, Any], why: str) -> None:
    table = Table()
    answers = table.answers(table.buyer.start())
    (sums,) = (message for answer in answers for message in table.aggregator.handle(answer))
    with pytest.raises(MessageError, match=why) as refused:
        table.buyer.handle(replace(sums, **content))
    assert refused.value.sender == content.get("sender", "aggregator")
    assert table.buyer.parameters is START
    assert table.buyer.history == []
    assert table.buyer.handle(sums)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (1 << 26, "the sum of updates cannot be unpacked"),
        (1 << 21, "a sum of updates exceeds"),
        ((1 << 20) - 1, "the mean update has norm 11"),
    ],
)
def test_an_update_longer_than_its_clip_is_found_in_the_sum_and_names_no_trainer(entry: int, why: str) -> None:
    table = Table()
    answers = {answer.sender: answer for answer in table.answers(table.buyer.start())}
    huge = table.terms.packing.slots.join([entry + table.terms.packing.slots.offset] * 2)
    answers["cat"] = table.say(EncryptedUpdate, "cat", "aggregator", packed=table.key.public.encrypt([huge]))
    (sums,) = (message for answer in answers.values() for message in table.aggregator.handle(answer))
    with pytest.raises(MessageError, match=f"from aggregator: {why}"):
        table.buyer.handle(sums)


def test_a_metric_beyond_all_bounds_is_refused_by_both_sides() -> None:
    table = Table()
    answers = {answer.sender: answer for answer in table.answers(table.buyer.start())}
    answers["val"] = table.say(EncryptedMetric, "val", "aggregator", metric=table.key.public.encrypt([-(3 << 252)]))
    (sums,) = (message for answer in answers.values() for message in table.aggregator.handle(answer))
    with pytest.raises(MessageError, match="beyond what validators may send"):
        table.buyer.handle(sums)
    for value in (np.nan, np.inf, 1e300):
        validator = UpdateValidator(table.seat("val"), Mover(), np.zeros((3, 2)), np.full(3, value))
        with pytest.raises(LocalTrainingError, match="at val failed: the model's sum is"):
            validator.handle(table.say(GlobalModel, "buyer", "val", parameters=to_bits(START)))


def test_training_that_fails_names_its_owner() -> None:
    table = Table()
    trainer = UpdateTrainer(table.seat("ann"), Mover(), ROWS["ann"], np.full(2, -1.0))
    with pytest.raises(LocalTrainingError, match="training at ann failed: it diverges"):
        trainer.handle(table.say(GlobalModel, "buyer", "ann", parameters=to_bits(START)))


def test_rows_are_those_that_were_stated() -> None:
    table = Table()
    for rows, y in ((ROWS["ben"], np.zeros(4)), (ROWS["ann"], np.zeros(3))):
        with pytest.raises(DataError, match="ann stated 2 rows"):
            UpdateTrainer(table.seat("ann"), Mover(), rows, y)
    with pytest.raises(DataError, match="ann stated None rows"):
        UpdateValidator(table.seat("ann"), Mover(), ROWS["ann"], np.zeros(2))


def test_a_key_is_checked_before_a_seat_is_taken() -> None:
    table = Table()
    modulus, proof = table.key.public.modulus, table.key.prove_modulus()
    others = {"buyer": "buyer", "aggregator": "aggregator"}
    with pytest.raises(PublicKeyError):
        UpdateSeat.take("request-1", "ann", table.terms, modulus, proof[:-1], **others)
    with pytest.raises(PublicKeyError):
        UpdateSeat.take("request-1", "ann", replace(table.terms, key_bits=512), modulus, proof, **others)
    with pytest.raises(ScaleBudgetError, match="take a longer key"):
        UpdateSeat.take("request-1", "ann", replace(table.terms, fractional_bits=300), modulus, proof, **others)


def test_the_buyer_brings_the_key_and_the_model_of_the_terms() -> None:
    table = Table()
    with pytest.raises(TermsError, match="key of 256 bits, but it has 512"):
        UpdateBuyer(table.seat("buyer"), key_pair("paillier", 512), START)
    with pytest.raises(TermsError, match="a model of 2 parameters, not 3"):
        UpdateBuyer(table.seat("buyer"), table.key, np.zeros(3))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"trainers": {"ann": 1}}, "too few"),
        ({"trainers": {}}, "too few"),
        ({"validators": {}}, "no validator is left"),
        ({"validators": {"ann": 2}}, "ann cannot train and validate at once"),
        ({"trainers": {"ann": 0, "ben": 1}}, "the rows of ann must be a whole number"),
        ({"rounds": 0}, "rounds must be"),
        ({"rounds": 100_001}, "at most 100000"),
        ({"local_steps": True}, "local_steps must be"),
        ({"fractional_bits": 513}, "at most 512"),
        ({"clip_norm": 0.0}, "clip_norm must be a positive number"),
        ({"clip_norm": np.inf}, "clip_norm must be a positive number"),
        ({"weighting": "loss"}, "choose one of rows, equal"),
    ],
)
def test_terms_that_cannot_be_meant(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(TermsError, match=why):
        replace(Table().terms, **changes)
