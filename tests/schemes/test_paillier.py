"""Paillier: the laws, the textbook's formulas, phe's ciphertexts, fresh randomness everywhere, and what is refused."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from types import SimpleNamespace

import gmpy2
import phe
import pytest
from behaviour import SchemeBehaviour
from helpers import key_pair
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core import schemes
from deltaml_core.errors import CiphertextError, PublicKeyError, TermsError
from deltaml_core.fixedpoint import Slots
from deltaml_core.schemes import modulus_proof, paillier
from deltaml_core.schemes.base import Opening
from deltaml_core.schemes.paillier import PaillierPrivateKey, PaillierPublicKey
from deltaml_core.schemes.powers import PowersModulo

KEY = key_pair("paillier", 256)
PUBLIC = KEY.public
N = PUBLIC.modulus
P_OF_N = KEY._key.p


class TestPaillier(SchemeBehaviour):
    private = KEY


# --- against phe and the textbook --------------------------------------------------------------------------------


def textbook_key() -> tuple[PaillierPrivateKey, int, int]:
    """A key whose primes the test knows: 2**89 - 1 and 2**107 - 1."""
    p, q = 2**89 - 1, 2**107 - 1
    return PaillierPrivateKey(phe.PaillierPrivateKey(phe.PaillierPublicKey(p * q), p, q)), p, q


@given(st.integers(-(2**190), 2**190))
@settings(max_examples=30)
def test_the_textbooks_decryption_reads_our_ciphertexts(value: int) -> None:
    key, p, q = textbook_key()
    n = p * q
    phi = (p - 1) * (q - 1)
    for ciphertext in (*key.encrypt([value]), *key.public.add_plain((1,), (value,))):
        assert (pow(ciphertext, phi, n * n) - 1) // n * pow(phi, -1, n) % n == value % n


@given(st.integers(0, 2**190))
@settings(max_examples=30)
def test_phe_reads_ours_and_we_read_phes(value: int) -> None:
    key, p, q = textbook_key()
    theirs = phe.PaillierPublicKey(p * q)
    reader = phe.PaillierPrivateKey(theirs, p, q)
    assert [reader.raw_decrypt(c) for c in key.encrypt([value])] == [value]
    assert key.decrypt((theirs.raw_encrypt(value),)) == [value]


def test_encrypted_randomness_is_an_nth_power_of_a_random_unit() -> None:
    """A ciphertext of 0 is an n-th power: its own power to phi(n) is 1, as for every encryption of 0 and nothing else."""
    key, p, q = textbook_key()
    zeros = {*key.encrypt([0] * 20), *key.public.encrypt([0] * 20)}
    assert len(zeros) == 40
    assert all(pow(zero, (p - 1) * (q - 1), (p * q) ** 2) == 1 for zero in zeros)


# --- fresh randomness --------------------------------------------------------------------------------------------

SLOTS = Slots(value_bits=10, width=60, per_plaintext=3)
FRESH: dict[str, Callable[[PaillierPublicKey, tuple[int, ...]], tuple[int, ...]]] = {
    "encrypt": lambda key, _: key.encrypt([1, 2, 3]),
    "affine": lambda key, vector: key.affine(key.prepare([[1, 0, 0], [0, 1, 0], [0, 0, 1]]), [0, 0, 0], vector),
    "add_plain": lambda key, vector: key.add_plain(vector, [0, 0, 0]),
    "rerandomise": lambda key, vector: key.rerandomise(vector),
    "packed": lambda key, vector: key.add_plain(key.combine(key.prepare(SLOTS.join_rows([[1, 0, 0], [0, 1, 0], [0, 0, 1]])), vector), [0]),
    "rerandomise_from": lambda key, vector: key.rerandomise_from(secrets.token_bytes(32), vector),
}


@pytest.mark.parametrize("name", FRESH)
def test_fresh_results_differ_from_their_inputs_and_each_time(name: str) -> None:
    vector = PUBLIC.encrypt([1, 2, 3])
    results = [FRESH[name](PUBLIC, vector) for _ in range(8)]
    everything = [value for result in results for value in result]
    assert len(set(everything)) == len(everything)
    assert not set(everything) & set(vector)
    assert len({tuple(KEY.decrypt(result)) for result in results}) == 1


def test_fresh_results_differ_from_the_deterministic_product() -> None:
    vector = PUBLIC.encrypt([3, -5])
    linear = PUBLIC.prepare([[7, -2], [0, 1]])
    n_squared = N * N
    product = pow(vector[0], 7, n_squared) * pow(vector[1], -2, n_squared) % n_squared, vector[1]
    assert PUBLIC.combine(linear, vector) == product
    moved = tuple(c * (1 + N * v) % n_squared for c, v in zip(product, (4, 9), strict=True))
    fresh = PUBLIC.affine(linear, [4, 9], vector)
    assert KEY.decrypt(fresh) == KEY.decrypt(moved) == [35, 4]
    assert all(a != b for a, b in zip(fresh, moved, strict=True))
    ratio = fresh[0] * pow(moved[0], -1, n_squared) % n_squared
    assert KEY.decrypt((ratio,)) == [0]
    assert ratio != 1


def test_every_participant_has_short_randomness_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same short exponent gives every object another power: none can recognise another's. Exponents are long enough."""
    lengths: list[int] = []

    def one(bits: int) -> int:
        lengths.append(bits)
        return 1

    monkeypatch.setattr(secrets, "randbits", one)
    zeros = {schemes.public_key("paillier", N).encrypt([0]) for _ in range(5)}
    assert len(zeros) == len(lengths) == 5
    assert all(KEY.decrypt(zero) == [0] for zero in zeros)
    assert min(lengths) >= 2 * 128


# --- openings ----------------------------------------------------------------------------------------------------


def test_an_opening_is_the_encryptions_own_randomness() -> None:
    key, p, q = textbook_key()
    n, r = p * q, 123456789
    ciphertext = (1 + n * 42) * pow(r, n, n * n) % (n * n)
    assert key.open((ciphertext,)) == [Opening(42, r)]


@pytest.mark.parametrize("randomness", [0, 1, -1, N, 2 * N], ids=["0", "1", "-1", "n", "2n"])
def test_other_randomness_does_not_pass(randomness: int) -> None:
    (ciphertext,) = PUBLIC.encrypt([7])
    (opening,) = KEY.open((ciphertext,))
    assert PUBLIC.verify(ciphertext, opening)
    assert not PUBLIC.verify(ciphertext, Opening(7, randomness))
    assert not PUBLIC.verify(ciphertext, Opening(7, opening.randomness + N)), "one form only"
    assert not PUBLIC.verify(ciphertext + N * N, opening)


@pytest.mark.parametrize("randomness", [0, 1, -1, N, 2 * N, P_OF_N], ids=["0", "1", "-1", "n", "2n", "a factor of n"])
def test_other_randomness_does_not_pass_among_others(randomness: int) -> None:
    values = PUBLIC.encrypt([7, 8, 9])
    openings = KEY.open(values)
    assert PUBLIC.verify_all(values, openings)
    assert not PUBLIC.verify_all(values, [openings[0], Opening(8, randomness), openings[2]])


@pytest.mark.parametrize("below", [None, 2**20])
@pytest.mark.parametrize("value", [0, 1, -1, 2**20 - 1, 1 - 2**20])
def test_openings_of_small_numbers_are_found_another_way(value: int, below: int | None) -> None:
    (ciphertext,) = PUBLIC.encrypt([value])
    (opening,) = KEY.open((ciphertext,), below)
    assert opening.plaintext == value
    assert PUBLIC.verify(ciphertext, opening)


@pytest.mark.parametrize("value", [2**20, -(2**20), N // 2, -(N // 2)], ids=["2^20", "-2^20", "n/2", "-n/2"])
def test_an_opening_beyond_the_bound_is_as_right(value: int) -> None:
    (ciphertext,) = PUBLIC.encrypt([value])
    assert KEY.open((ciphertext,), 2**20) == KEY.open((ciphertext,))


@pytest.mark.parametrize("below", [None, 2**20])
@pytest.mark.parametrize("fault", ["_roots", "_powers_squared"])
def test_an_opening_with_a_fault_in_one_half_is_not_shown(fault: str, below: int | None) -> None:
    """Its difference from the right one would share a factor with n."""
    key, _, _ = textbook_key()
    (ciphertext,) = key.public.encrypt([7])
    right, other = getattr(key, fault)
    setattr(key, fault, [right + 2 if fault == "_roots" else PowersModulo(key._squares[0] + 2), other])
    with pytest.raises(PublicKeyError, match="so it was not shown"):
        key.open((ciphertext,), below)


def test_powers_to_what_tells_the_factors_are_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decrypting, opening, encrypting with the key and proving the modulus use no other power than `secret_power`; nor do factors."""
    key, _, _ = textbook_key()
    (ciphertext,) = key.public.encrypt([7])

    def variable_time(*_: object) -> None:
        raise AssertionError("a power that takes as long as the exponent and the base make it")

    monkeypatch.setattr(PowersModulo, "public_power", variable_time)
    for module in (paillier, modulus_proof):
        monkeypatch.setattr(module, "gmpy2", SimpleNamespace(**{**vars(gmpy2), "powmod": variable_time}))
    assert key.decrypt((ciphertext,)) == [7]
    assert [opening.plaintext for below in (None, 100) for opening in key.open((ciphertext,), below)] == [7, 7]
    assert key.open_zero(key.encrypt([0])[0]) is not None
    assert key.prove_modulus()
    assert key.decrypt(key.public.scale((ciphertext, ciphertext), (12, -12))) == [84, -84]


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [0, -1, N * N, N * N + 1, N, 5 * N, N * (N - 1), 2**5000, -(2**5000)],
    ids=["0", "-1", "n^2", "n^2+1", "n", "5n", "n(n-1)", "huge", "-huge"],
)
@pytest.mark.parametrize("position", [0, 2])
def test_malformed_ciphertexts_are_refused_naming_the_sender(bad: int, position: int) -> None:
    values = list(PUBLIC.encrypt([1, 2, 3]))
    values[position] = bad
    with pytest.raises(CiphertextError, match=r"^from mallory: ") as refused:
        PUBLIC.check(values, 3, "mallory")
    assert refused.value.sender == "mallory"


def test_a_factor_of_n_is_refused() -> None:
    key, p, q = textbook_key()
    good = key.encrypt([1])[0]
    for factor in (p, q, p * p, good * p % (p * q) ** 2):
        with pytest.raises(CiphertextError, match="not coprime"):
            key.public.check([good, factor], 2, "mallory")


def test_units_that_are_nobodys_encryption_pass_and_decrypt_to_something() -> None:
    assert math.gcd(12345, N) == 1
    assert PUBLIC.check([12345], 1, "x") == (12345,)
    assert len(KEY.decrypt((12345,))) == 1


@pytest.mark.parametrize("modulus", [0, -15, 15, 2**127 - 1, 2**128, N + 1], ids=["0", "-15", "15", "127 bits", "even", "n+1"])
def test_what_cannot_be_a_modulus_is_refused(modulus: int) -> None:
    with pytest.raises(PublicKeyError, match="is odd and has at least 128 bits"):
        PaillierPublicKey(modulus)


@pytest.mark.parametrize("bits", [-2, 0, 64, 126, 129, 1023])
def test_lengths_no_key_can_have_are_refused(bits: int) -> None:
    with pytest.raises(TermsError, match="even length of at least 128 bits"):
        schemes.generate("paillier", bits)


def test_a_generated_key_has_exactly_the_length_asked_for() -> None:
    assert [schemes.generate("paillier", bits).public.bits for bits in (128, 130, 512)] == [128, 130, 512]


# --- secrets -----------------------------------------------------------------------------------------------------


def test_repr_shows_no_secret() -> None:
    key, p, q = textbook_key()
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr(key.public)):
        assert not any(str(secret) in shown or f"{secret:x}" in shown for secret in (p, q, (p - 1) * (q - 1)))
    assert repr(key) == "PaillierPrivateKey(196 bits)"
