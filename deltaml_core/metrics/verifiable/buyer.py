"""The buyer's part: multiplies what it cannot read, proves zeros, and opens what can only be a squared error."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import ClassVar

from deltaml_core.errors import MetricError
from deltaml_core.measurement import pairs
from deltaml_core.messages import MaskedErrors, Message, OpenedSums, OpenSums, Products, ZeroTest, ZeroTestAnswer
from deltaml_core.metrics.verifiable.opened import ATTEMPTS, largest_sum, range_fault, slots_of
from deltaml_core.party import Party
from deltaml_core.schedule import MAXIMUM_PARTIES, MAXIMUM_ROWS_BITS, SECRET_BITS, measurements, most_measurements, rests_on
from deltaml_core.schemes.base import PrivateKey


class VerifiableBuyer:
    """The buyer's part of the measurement."""

    kinds: ClassVar[tuple[type[Message], ...]] = (MaskedErrors, ZeroTest, OpenSums)

    def __init__(self, party: Party, key: PrivateKey) -> None:
        """`key`: what the errors are encrypted under."""
        self._party = party
        self._key = key
        self._due: Counter[tuple[int, int]] = Counter()
        self._once_more: Counter[tuple[int, int]] = Counter()
        for subject, due in measurements(party.terms, party.steps).items():
            self._due.update(dict.fromkeys(due, most_measurements(party.terms)[subject]))
            self._once_more.update(measurement for measurement in due if rests_on(party.terms, subject, measurement[0]))
        self._begun: defaultdict[tuple[str, str, int, int], set[int]] = defaultdict(set)
        self._answered: set[tuple[str, str, int, int]] = set()

    def handle(self, message: Message) -> list[Message]:
        """Take the protocol's next step."""
        match message:
            case MaskedErrors():
                return self.multiply(message)
            case ZeroTest():
                return self.prove_zero(message)
            case OpenSums():
                return self.open(message)
        raise self._party.unexpected(message)

    def drop_validator(self) -> None:
        """What a result rests on may be measured once more, on the rows of the others, and nothing else may."""
        self._due.update(self._once_more)

    def multiply(self, asked: MaskedErrors) -> list[Message]:
        """Return the products of the masked vectors, under new encryption."""
        self._of_a_validator(asked)
        self._scheduled(asked, asked.evaluation, asked.scale)
        if not 1 <= asked.models <= MAXIMUM_PARTIES or not 1 <= asked.entries <= self._party.terms.weights:
            raise MetricError(f"{asked.models} error vectors of {asked.entries} entries are not a measurement", asked.sender)
        slots = slots_of(self._party, asked.scale, asked.attempt)
        count = asked.models * asked.entries
        lengths = len(slots.groups(count))
        check = self._party.key.check
        masked, scaled = (check(ciphertexts, lengths, asked.sender) for ciphertexts in (asked.masked, asked.scaled))
        self._once(asked, asked.evaluation, asked.attempt)
        products = []
        for ciphertexts, lift in ((masked, slots.offset), (scaled, slots.offset << SECRET_BITS)):
            try:
                digits = slots.split_all(self._key.decrypt(ciphertexts), count)
            except ValueError as error:
                raise MetricError("what it sent does not hold masked errors", asked.sender) from error
            vectors = [[digit - lift for digit in digits[start : start + asked.entries]] for start in range(0, count, asked.entries)]
            sums = [sum(a * b for a, b in zip(vectors[i], vectors[k], strict=True)) for i, k in pairs(asked.models)]
            products.append(self._key.encrypt(sums))
        content = {"evaluation": asked.evaluation, "attempt": asked.attempt, "products": products[0], "scaled": products[1]}
        return [self._party.say(Products, asked.sender, asked.round, **content)]

    def prove_zero(self, asked: ZeroTest) -> list[Message]:
        """Show the randomness of a ciphertext that holds 0. Anything else stays closed, lest the buyer decrypt for others."""
        self._of_a_validator(asked)
        begun = any(key[:3] == (MaskedErrors.kind, asked.sender, asked.round) and asked.evaluation in of for key, of in self._begun.items())
        if not begun or (MaskedErrors.kind, asked.sender, asked.evaluation, asked.attempt) not in self._answered:
            raise self._party.unexpected(asked, "it has received no products to test")
        ciphertext = self._party.key.check(asked.ciphertext, 1, asked.sender)
        self._once(asked, asked.evaluation, asked.attempt)
        opening = self._key.open_zero(*ciphertext)
        randomness = () if opening is None else (opening.randomness,)
        content = {"evaluation": asked.evaluation, "attempt": asked.attempt, "randomness": randomness}
        return [self._party.say(ZeroTestAnswer, asked.sender, asked.round, **content)]

    def open(self, asked: OpenSums) -> list[Message]:
        """Open the sums, if they can be what they should be.

        Raises:
            MetricError: they cannot: somebody planted something else for decryption.
        """
        if asked.sender != self._party.aggregator:
            raise self._party.unexpected(asked, "only the aggregator has sums opened")
        self._scheduled(asked, asked.evaluation, asked.scale)
        if not 1 <= asked.models <= MAXIMUM_PARTIES or not 1 <= asked.rows < MAXIMUM_PARTIES << MAXIMUM_ROWS_BITS:
            raise MetricError(f"{asked.models} models on {asked.rows} rows are not a measurement", asked.sender)
        sums = self._party.key.check(asked.sums, len(pairs(asked.models)), asked.sender)
        self._once(asked, asked.evaluation, 1)
        openings = self._key.open(sums, largest_sum(self._party.terms, asked.scale, asked.models, asked.rows) + 1)
        plaintexts, randomness = tuple(o.plaintext for o in openings), tuple(o.randomness for o in openings)
        if fault := range_fault(self._party.terms, plaintexts, asked.scale, asked.models, asked.rows):
            raise MetricError(f"measurement {asked.evaluation} stays closed: {fault}", asked.sender)
        content = {"evaluation": asked.evaluation, "plaintexts": plaintexts, "randomness": randomness}
        return [self._party.say(OpenedSums, asked.sender, asked.round, **content)]

    def _of_a_validator(self, asked: Message) -> None:
        if asked.sender == self._party.aggregator:
            raise self._party.unexpected(asked, "the aggregator measures nothing")

    def _scheduled(self, asked: Message, evaluation: int, scale: int) -> None:
        """Keep to the schedule's number of measurements: whoever may have any number of them opened has the model decrypted."""
        begun = self._begun.get((asked.kind, asked.sender, asked.round, scale), set())
        if len(begun | {evaluation}) > self._due[asked.round, scale]:
            raise self._party.unexpected(asked, f"another measurement at {scale} bits is not on the schedule")

    def _once(self, asked: MaskedErrors | ZeroTest | OpenSums, evaluation: int, attempt: int) -> None:
        """Answer nothing twice, and no third attempt: every answer is a measurement's worth of information, a refusal to open as well."""
        token = (asked.kind, asked.sender, evaluation, attempt)
        if not 1 <= attempt <= ATTEMPTS or token in self._answered:
            raise self._party.unexpected(asked, f"measurement {evaluation} was answered before")
        self._answered.add(token)
        if not isinstance(asked, ZeroTest):
            self._begun[asked.kind, asked.sender, asked.round, asked.scale].add(evaluation)
