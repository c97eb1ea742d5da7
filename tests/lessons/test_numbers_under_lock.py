"""Chapter 2: the tiny Paillier against phe, its laws, the guess attack, key sizes, CKKS and secret shares."""

from __future__ import annotations

import numpy as np
import phe
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core import schemes
from deltaml_core.errors import PublicKeyError, TermsError
from deltaml_core.lessons import ckks, guessing, key_sizes, paillier_by_hand, reals, shares
from deltaml_core.lessons.paillier_by_hand import TinyPaillier

KEY = TinyPaillier()
NUMBERS = st.integers(-KEY.n // 4, KEY.n // 4)


def test_the_key_is_the_one_on_the_page() -> None:
    assert (KEY.n, KEY.n_squared, KEY.g, KEY.lam, KEY.mu) == (2537, 6436369, 2538, 1218, 427)
    assert KEY.lam * KEY.mu % KEY.n == 1


@given(NUMBERS)
def test_phe_unlocks_what_we_lock_and_we_what_phe_locks(a: int) -> None:
    public = phe.PaillierPublicKey(KEY.n)
    private = phe.PaillierPrivateKey(public, KEY.p, KEY.q)
    assert private.raw_decrypt(KEY.encrypt(a)) == a % KEY.n
    assert KEY.decrypt(public.raw_encrypt(a % KEY.n, r_value=KEY.randomness())) == a


@given(NUMBERS, NUMBERS, st.integers(-3, 3))
def test_products_are_sums_and_powers_are_multiples(a: int, b: int, k: int) -> None:
    first, second = KEY.encrypt(a), KEY.encrypt(b)
    assert KEY.decrypt(first * second % KEY.n_squared) == a + b or 2 * abs(a + b) >= KEY.n
    assert KEY.decrypt(first * pow(KEY.g, b, KEY.n_squared) % KEY.n_squared) == KEY.signed((a + b) % KEY.n)
    assert KEY.decrypt(pow(first, k, KEY.n_squared)) == KEY.signed(k * a % KEY.n)


@pytest.mark.parametrize(("p", "q", "why"), [(43, 43, "different primes"), (43, 57, "different primes"), (3, 7, "shares a factor")])
def test_what_is_no_key_is_refused(p: int, q: int, why: str) -> None:
    with pytest.raises(PublicKeyError, match=why):
        TinyPaillier(p, q)


def test_what_cannot_be_locked_is_refused() -> None:
    with pytest.raises(TermsError, match="between -1268 and 1268"):
        KEY.encrypt(1269)
    with pytest.raises(TermsError, match="factor in common"):
        KEY.encrypt(1, r=86)
    assert "unlocked it is -637" in reals.overflow(KEY, 1000, 900)


def test_the_steps_of_locking_and_unlocking_end_where_they_began() -> None:
    page = paillier_by_hand.LockAndUnlock(KEY)
    page.number.value, page.random.value = -321, 29
    texts = [row["cells"][2]["text"] for row in page.table.rows]
    assert texts[2] == str(KEY.encrypt(-321, 29))
    assert texts[-2:] == [str(KEY.n - 321), "-321"]
    page.random.value = 43
    assert "factor in common" in page.table.rows[0]["cells"][1]["text"]


def test_the_laws_hold_for_every_position_of_the_sliders() -> None:
    laws = paillier_by_hand.Laws(KEY)
    for a, b, k in ((400, 400, 3), (-400, -400, -3), (0, 7, 0)):
        laws.a.value, laws.b.value, laws.k.value = a, b, k
        assert [KEY.decrypt(ciphertext) for _, ciphertext, _ in laws.results()] == [expected for *_, expected in laws.results()]
        assert {row["cells"][2]["tone"] for row in laws.table.rows} == {"good"}


def test_the_age_is_found_unless_the_answer_is_rerandomised() -> None:
    key = schemes.generate("paillier", 512)
    bare, fresh = (guessing.ask_for_age(key, 67, rerandomised=yes) for yes in (False, True))
    assert guessing.ages_that_fit(bare, key.public.modulus) == [67]
    assert guessing.ages_that_fit(fresh, key.public.modulus) == []
    for answer in (bare, fresh):
        assert answer.received.plaintext >> 10 > 67 * answer.sent.plaintext  # the mask outgrows what it hides


def test_fixed_point_keeps_within_half_a_unit() -> None:
    page = reals.FixedPoint()
    page.bits.value = 20
    for what, _, value, exact in page.encoded():
        assert abs(value - exact) <= 2.0**-20 * (8 if what.startswith("product") else 1)


def test_key_sizes_are_measured_each_operation_at_each_size() -> None:
    timings = key_sizes.measure((256, 512), repetitions=2)
    assert {(timing.bits, timing.operation) for timing in timings} >= {(256, "encrypt"), (512, "decrypt"), (512, "make a key")}
    assert len(timings) == 8
    (sheet,) = [key_sizes.key_size_chart(timings)]
    assert "With 512 bits instead of 256" in sheet.children[-1].words.value


@given(st.integers(0, shares.PRIME - 1))
def test_shares_give_the_value_and_all_but_one_give_nothing(value: int) -> None:
    parts = shares.share(value)
    assert shares.join(parts) == value
    assert all(0 <= part < shares.PRIME for part in parts)


def test_the_first_share_is_as_likely_to_be_anything_whatever_is_shared() -> None:
    prime = 5
    counts = [[0] * prime for _ in range(2)]
    for value in (0, 3):
        for _ in range(4000):
            counts[value == 3][shares.share(value, prime=prime)[2]] += 1
    assert all(abs(count - 800) < 160 for row in counts for count in row)  # six standard deviations


def test_parties_add_their_own_parts() -> None:
    page = shares.SecretSharing()
    page.a.value, page.b.value = 111, 222
    assert shares.join(page.summed) == 333


def test_ckks_adds_and_multiplies_every_slot_with_little_noise() -> None:
    key = ckks.TinyCkks()
    x, y = np.linspace(-2, 2, ckks.SLOTS), np.linspace(1, 3, ckks.SLOTS)
    np.testing.assert_allclose(ckks.decode(ckks.encode(x), ckks.SCALE), x, atol=1e-5)
    first, second = key.encrypt(x), key.encrypt(y)
    np.testing.assert_allclose(key.decrypt(ckks.add(first, second)), x + y, atol=2e-4)
    np.testing.assert_allclose(key.decrypt(ckks.multiply(first, y)), x * y, atol=1e-3)
    assert not np.array_equal(key.decrypt(first), x), "CKKS is not exact"
    assert np.abs(ckks.TinyCkks().decrypt(first) - x).max() > 1e3, "another key reads noise"


def test_polynomials_are_multiplied_with_the_sign_turned_at_the_end() -> None:
    x = np.array([0, 1] + [0] * (ckks.DEGREE - 2), dtype=object)
    last = np.array([0] * (ckks.DEGREE - 1) + [1], dtype=object)
    assert ckks.product(x, last).tolist() == [-1] + [0] * (ckks.DEGREE - 1)
