"""All four schemes keep the laws of encrypted vectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from helpers import key_pair
from vector_behaviour import LARGEST, Array, VectorBehaviour

from deltaml_core.errors import ScaleBudgetError, TermsError
from deltaml_core.schemes import ckks, integers, mpc
from deltaml_core.schemes.ckks import CkksKeyring, CkksVector
from deltaml_core.schemes.integers import FixedMask, FixedVector, IntegerKeyring


def opened_with_mask(ring: IntegerKeyring, vector: FixedVector) -> Array:
    """The integers that a holder, or all parties, see at a refresh, as reals."""
    mask = ring.public.mask(vector)
    values = ring.public.arithmetic.add(vector.values, mask.full)
    return ring.decrypt(FixedVector(values, vector.entries, vector.scale, vector.depth))


class OfIntegers(VectorBehaviour):
    def masked(self, ring: IntegerKeyring, vector: FixedVector) -> Array:  # type: ignore[override]
        return opened_with_mask(ring, vector)

    def test_masks_for_another_scale_are_refused(self, ring: IntegerKeyring) -> None:
        public = ring.public
        fresh = public.encrypt(np.ones(2))
        deeper = public.affine(public.prepare(np.eye(2), np.zeros(2)), fresh)
        with pytest.raises(TermsError, match="another scale"):
            ring.refresh(deeper, [public.mask(fresh)])

    def test_masks_are_eighty_bits_longer_than_what_they_hide(self, ring: IntegerKeyring) -> None:
        vector = ring.public.affine(ring.public.prepare(np.eye(8), np.zeros(8)), ring.public.encrypt(np.ones(8)))
        mask: FixedMask = ring.public.mask(vector)
        decode = FixedVector(mask.full, 8, vector.scale, 0)
        longest = np.abs(ring.decrypt(decode)).max()
        assert 2.0**116 < longest <= 2.0**120  # eight draws below 2**(40 + 80): all short with probability 2**-32


class TestPlainVectors(OfIntegers):
    @pytest.fixture
    def ring(self) -> IntegerKeyring:
        return integers.of_key(key_pair("plain", 512))


class TestDeepPlainVectors(OfIntegers):
    @pytest.fixture
    def ring(self) -> IntegerKeyring:
        return integers.of_key(key_pair("plain", 1280), depth=4)


class TestPaillierVectors(OfIntegers):
    @pytest.fixture
    def ring(self) -> IntegerKeyring:
        return integers.of_key(key_pair("paillier", 512))


class TestSharedVectors(OfIntegers):
    @pytest.fixture(scope="class")
    @classmethod
    def ring(cls) -> Iterator[IntegerKeyring]:
        ring = mpc.local_parties()
        yield ring
        ring.close()


class TestCkksVectors(VectorBehaviour):
    @pytest.fixture(scope="class")
    @classmethod
    def ring(cls) -> CkksKeyring:
        return ckks.generate(LARGEST)

    def masked(self, ring: CkksKeyring, vector: CkksVector) -> Array:  # type: ignore[override]
        return ring.decrypt(ring.public.add(vector, ring.public.mask(vector)))

    def test_a_mask_hides_every_slot_and_both_parts_of_it(self, ring: CkksKeyring) -> None:
        """The noise in unused slots and imaginary parts is a function of the owners' matrices too."""
        public = ring.public
        mask = public.mask(public.encrypt(np.zeros(1)))
        plaintext = public.seal.Plaintext()
        ring._decryptor.decrypt(mask.ciphertext, plaintext)
        slots = public.decode(plaintext)
        width = 2.0**53 * np.sqrt(ckks.SLOTS)
        assert len(slots) == ckks.SLOTS
        assert slots.real.std() == pytest.approx(width, rel=0.05)
        assert slots.imag.std() == pytest.approx(width, rel=0.05)

    def test_a_blur_covers_every_slot_and_both_parts_of_it(self, ring: CkksKeyring) -> None:
        public = ring.public
        plaintext = public.seal.Plaintext()
        ring._decryptor.decrypt(public.blur(public.encrypt(np.zeros(1)), 1e-3).ciphertext, plaintext)
        slots = public.decode(plaintext)
        assert slots.real.std() == pytest.approx(1e-3, rel=0.05)
        assert slots.imag.std() == pytest.approx(1e-3, rel=0.05)

    def test_published_numbers_carry_noise_of_the_holders_own(self, ring: CkksKeyring) -> None:
        vector = ring.public.encrypt(np.zeros(LARGEST))
        first, second = ring.publish(vector, 1e-3), ring.publish(vector, 1e-3)
        assert np.abs(first - second).max() > 1e-4

    def test_the_key_shows_nothing_of_itself(self, ring: CkksKeyring) -> None:
        assert repr(ring) == f"CkksKeyring({LARGEST} numbers, depth 2)"

    def test_more_numbers_than_the_key_was_made_for_are_refused(self, ring: CkksKeyring) -> None:
        with pytest.raises(ScaleBudgetError, match="17 numbers do not fit a key for 16"):
            ring.public.encrypt(np.zeros(17))
        with pytest.raises(ScaleBudgetError, match="does not fit a key for 16"):
            ring.public.prepare(np.zeros((2, 17)), np.zeros(2))

    def test_entries_that_would_overflow_are_refused(self, ring: CkksKeyring) -> None:
        with pytest.raises(ScaleBudgetError, match="similar ranges"):
            ring.public.prepare(np.full((2, 2), 2.0**25), np.zeros(2))

    def test_too_many_masks_are_refused(self, ring: CkksKeyring) -> None:
        vector = ring.public.encrypt(np.zeros(1))
        with pytest.raises(TermsError, match="1 to 64 masks, not 65"):
            ring.refresh(vector, [ring.public.mask(vector)] * 65)


def test_parameters_come_from_the_table_or_not_at_all() -> None:
    assert all(primes * ckks.PRIME_BITS <= ckks.LARGEST_MODULUS_BITS for primes in ckks.PRIMES.values())
    with pytest.raises(ScaleBudgetError, match="no parameters bear 3 products"):
        ckks.generate(11, 3)
    for dimension in (0, ckks.SLOTS + 1):
        with pytest.raises(ScaleBudgetError, match="holds 1 to 8192 numbers"):
            ckks.generate(dimension)


def test_the_table_is_within_what_seal_takes_for_128_bits() -> None:
    from tenseal import sealapi

    assert sealapi.CoeffModulus.MaxBitCount(ckks.DEGREE, sealapi.SEC_LEVEL_TYPE.TC128) == ckks.LARGEST_MODULUS_BITS


def test_a_key_too_short_for_the_products_is_refused_before_anything_is_encrypted() -> None:
    with pytest.raises(ScaleBudgetError, match="2 products in a row of paillier need integers of 290 bits, and these hold 254"):
        integers.of_key(key_pair("paillier", 256))
    with pytest.raises(ScaleBudgetError, match="4 products in a row of plain"):
        integers.of_key(key_pair("plain", 1024), depth=4)


def test_normal_numbers_are_normal() -> None:
    drawn = ckks.complex_normal(20_000)
    for part in (drawn.real, drawn.imag):
        assert abs(part.mean()) < 0.05
        assert part.std() == pytest.approx(1, abs=0.05)
        assert np.abs(part).max() < 9
    assert abs(np.corrcoef(drawn.real, drawn.imag)[0, 1]) < 0.05
