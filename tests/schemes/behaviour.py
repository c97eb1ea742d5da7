"""The laws of schemes/base.py, which every scheme keeps: its test module imports this suite and says in `key` what to test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltaml_core.errors import CiphertextError, PublicKeyError
from deltaml_core.fixedpoint import Slots
from deltaml_core.schemes.base import PrivateKey, PublicKey

CAPACITY = 254
numbers = st.one_of(st.integers(-5, 5), st.integers(-(2**120), 2**120))
factors = st.one_of(st.integers(-3, 3), st.integers(-(2**100), 2**100))
vectors = st.lists(numbers, min_size=1, max_size=5)
shared = settings(max_examples=40, suppress_health_check=[HealthCheck.differing_executors])


class SchemeBehaviour:
    """Subclasses set `private`, a key of 256 bits."""

    private: PrivateKey

    @property
    def public(self) -> PublicKey:
        return self.private.public

    def read(self, values: tuple[int, ...]) -> list[int]:
        assert all(type(value) is int for value in values), "ciphertexts are plain integers"
        return self.private.decrypt(self.public.check(values, len(values), "a test"))

    def test_key_says_what_it_is(self) -> None:
        assert self.public.bits == 256
        assert self.public.modulus.bit_length() == 256
        assert self.public.capacity == CAPACITY

    @shared
    @given(vectors)
    def test_decrypt_undoes_encrypt(self, a: list[int]) -> None:
        assert self.read(self.public.encrypt(a)) == a
        assert self.read(self.private.encrypt(a)) == a

    def test_the_largest_numbers_fit_with_either_sign(self) -> None:
        largest = 2**CAPACITY - 1
        assert self.read(self.public.encrypt([largest, -largest, 0])) == [largest, -largest, 0]
        assert self.read(self.private.encrypt([largest, -largest])) == [largest, -largest]

    @shared
    @given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
    def test_sums(self, pairs: list[tuple[int, int]]) -> None:
        a, b = [p for p, _ in pairs], [q for _, q in pairs]
        expected = [p + q for p, q in pairs]
        assert self.read(self.public.add(self.public.encrypt(a), self.public.encrypt(b))) == expected
        assert self.read(self.public.add_plain(self.public.encrypt(a), b)) == expected

    @shared
    @given(st.lists(st.tuples(numbers, factors), min_size=1, max_size=5))
    def test_multiples(self, pairs: list[tuple[int, int]]) -> None:
        scaled = self.public.scale(self.public.encrypt([a for a, _ in pairs]), [f for _, f in pairs])
        assert self.read(scaled) == [a * f for a, f in pairs]

    @shared
    @given(st.data())
    def test_affine_maps(self, data: Any) -> None:
        a = data.draw(vectors)
        rows = data.draw(st.integers(1, 4))
        matrix = data.draw(st.lists(st.lists(factors, min_size=len(a), max_size=len(a)), min_size=rows, max_size=rows))
        offset = data.draw(st.lists(numbers, min_size=rows, max_size=rows))
        linear = self.public.prepare(matrix)
        products = [sum(m * x for m, x in zip(row, a, strict=True)) for row in matrix]
        assert linear.shape == (rows, len(a))
        assert self.read(self.public.combine(linear, self.public.encrypt(a))) == products
        result = self.public.affine(linear, offset, self.public.encrypt(a))
        assert self.read(result) == [p + v for p, v in zip(products, offset, strict=True)]

    @shared
    @given(st.lists(st.integers(-(2**20) + 1, 2**20 - 1), min_size=1, max_size=13), st.integers(1, 4))
    def test_packing(self, a: list[int], per_plaintext: int) -> None:
        slots = Slots(value_bits=20, width=60, per_plaintext=per_plaintext)
        joining = self.public.prepare(slots.join_rows([[int(i == j) for j in range(len(a))] for i in range(len(a))]))
        packed = self.public.combine(joining, self.public.encrypt(a))
        assert len(packed) == slots.plaintexts(len(a))
        shifted = self.public.add_plain(packed, slots.join_all([slots.offset] * len(a)))
        assert [digit - slots.offset for digit in slots.split_all(self.read(shifted), len(a))] == a

    @shared
    @given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
    def test_shifts(self, pairs: list[tuple[int, int]]) -> None:
        shifted = self.public.shift(self.public.encrypt([a for a, _ in pairs]), [b for _, b in pairs])
        assert self.read(shifted) == [a + b for a, b in pairs]

    def test_what_is_too_large_wraps_around_mod_n(self) -> None:
        n, half = self.public.modulus, self.public.modulus // 2
        value = self.public.encrypt([half])
        assert self.read(self.public.add(value, value)) == [2 * half - n]
        assert self.read(self.public.scale(value, [3])) == [(3 * half + half) % n - half]
        assert self.read(self.public.add_plain(value, [1])) == [half + 1 - n]

    @shared
    @given(vectors, st.binary(min_size=32, max_size=32))
    def test_rerandomising_from_a_seed_keeps_the_numbers_and_can_be_repeated(self, a: list[int], seed: bytes) -> None:
        values = self.public.encrypt(a)
        blinded = self.public.rerandomise_from(seed, values)
        assert self.read(blinded) == a
        assert self.public.rerandomise_from(seed, values) == blinded

    @shared
    @given(vectors)
    def test_rerandomising_keeps_the_numbers(self, a: list[int]) -> None:
        assert self.read(self.public.rerandomise(self.public.encrypt(a))) == a

    @shared
    @given(vectors, st.integers(0, 7))
    def test_check_lets_good_numbers_through_and_counts(self, a: list[int], count: int) -> None:
        values = self.public.encrypt(a)
        if count == len(a):
            assert self.public.check(list(values), count, "eve") == values
        else:
            with pytest.raises(CiphertextError, match=rf"^from eve: expected {count} .*, got {len(a)}$") as refused:
                self.public.check(values, count, "eve")
            assert refused.value.sender == "eve"

    @shared
    @given(vectors)
    def test_openings_say_what_is_held_and_prove_it(self, a: list[int]) -> None:
        values = self.public.encrypt(a)
        openings = self.private.open(values)
        assert [opening.plaintext for opening in openings] == a
        for value, opening in zip(values, openings, strict=True):
            assert self.public.verify(value, opening)
            assert not self.public.verify(value, replace(opening, plaintext=opening.plaintext + 1))
            assert not self.public.verify(value, replace(opening, plaintext=-opening.plaintext - 1))

    @shared
    @given(st.integers(-(1 << 100), 1 << 100))
    def test_a_zero_is_opened_and_nothing_else(self, a: int) -> None:
        zero, other = self.public.encrypt([0, a])
        opening = self.private.open_zero(zero)
        assert opening is not None
        assert self.public.verify(zero, opening)
        assert (self.private.open_zero(other) is None) == (a != 0)

    @shared
    @given(vectors, st.data())
    def test_openings_hold_together_or_not_at_all(self, a: list[int], data: st.DataObject) -> None:
        values = self.public.encrypt(a)
        openings = self.private.open(values)
        assert self.public.verify_all(values, openings)
        assert self.public.verify_all((), [])
        assert not self.public.verify_all(values, openings[:-1])
        place = data.draw(st.integers(0, len(a) - 1))
        shifted = [replace(o, plaintext=o.plaintext + 1) if k == place else o for k, o in enumerate(openings)]
        assert not self.public.verify_all(values, shifted)
        other = (place + 1) % len(a)
        if other != place:  # two faults that cancel in the plain sum
            shifted[other] = replace(openings[other], plaintext=openings[other].plaintext - 1)
            assert not self.public.verify_all(values, shifted)

    def test_an_opening_belongs_to_its_ciphertext(self) -> None:
        first, second = self.public.encrypt([5, 6])
        for_first, for_second = self.private.open((first, second))
        assert not self.public.verify_all((first, second), (for_second, for_first))
        assert not self.public.verify(first, for_second)
        assert not self.public.verify(second, for_first)

    def test_the_modulus_comes_with_its_proof(self) -> None:
        proof = self.private.prove_modulus()
        self.public.check_modulus(256, proof)
        with pytest.raises(PublicKeyError, match="the modulus has 256 bits, but the terms state 258"):
            self.public.check_modulus(258, proof)

    def test_rows_that_do_not_match_are_an_error(self) -> None:
        one, two = self.public.encrypt([1]), self.public.encrypt([1, 2])
        linear = self.public.prepare([[1, 2], [3, 4]])
        with pytest.raises(ValueError, match="argument"):
            self.public.add(one, two)
        with pytest.raises(ValueError, match="argument"):
            self.public.add_plain(two, [1])
        with pytest.raises(ValueError, match="argument"):
            self.public.affine(linear, [1], two)
