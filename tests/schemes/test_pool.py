"""Random factors made beforehand: each is used once, there are never many, and whoever finds none computes as before."""

from __future__ import annotations

import itertools
import os
import threading

import pytest
from gmpy2 import mpz
from helpers import key_pair

from deltaml_core import schemes
from deltaml_core.errors import RandomnessError, SettingError
from deltaml_core.randomness import Replayable
from deltaml_core.schemes.paillier import PaillierPrivateKey, PaillierPublicKey
from deltaml_core.schemes.pool import MOST, ZeroPool

KEY = key_pair("paillier", 256)
N = KEY.public.modulus


def counting_pool(size: int) -> ZeroPool:
    numbers = itertools.count()
    return ZeroPool(lambda: mpz(next(numbers)), size)


def fill(pool: ZeroPool | None) -> ZeroPool:
    assert pool is not None
    while pool.make_one():
        pass
    return pool


def public_pair(size: int) -> tuple[PaillierPublicKey, ZeroPool]:
    key, pool = schemes.with_pool(PaillierPublicKey(N), size)
    assert pool is not None
    return key, pool


# --- the pool ----------------------------------------------------------------------------------------------------


def test_it_is_filled_one_by_one_up_to_its_size() -> None:
    pool = counting_pool(3)
    assert len(pool) == 0
    assert [pool.make_one() for _ in range(5)] == [True, True, False, False, False]
    assert len(pool) == 3
    assert pool.take(2) == [0, 1]
    assert pool.take(2) == [2]
    assert pool.take(1) == []


@pytest.mark.parametrize(("asked", "given"), [(-1, 0), (0, 0), (5, 5), (MOST, MOST), (MOST + 1, MOST), (10**9, MOST)])
def test_its_size_is_bounded(asked: int, given: int) -> None:
    assert counting_pool(asked).size == given


@pytest.mark.parametrize(("setting", "given"), [("0", 0), ("7", 7), ("9999999", 20)])
def test_a_setting_makes_it_smaller(setting: str, given: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAML_POOL", setting)
    pool = fill(counting_pool(20))
    assert len(pool) == pool.size == given


@pytest.mark.parametrize("setting", ["", "-1", "many", "1.5"])
def test_a_setting_that_cannot_be_meant_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAML_POOL", setting)
    with pytest.raises(SettingError, match="DELTAML_POOL"):
        counting_pool(20)


def test_a_factor_is_handed_out_once_however_many_take() -> None:
    pool = fill(counting_pool(1000))
    taken: list[list[mpz]] = [[] for _ in range(8)]
    begin = threading.Barrier(len(taken))

    def take(mine: list[mpz]) -> None:
        begin.wait()
        while got := pool.take(3):
            mine += got

    threads = [threading.Thread(target=take, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain.from_iterable(taken)) == list(range(1000))


def test_a_forked_process_finds_it_empty_and_can_use_it() -> None:
    pool = fill(counting_pool(4))
    with pool._lock:  # as if another thread were taking one at that moment
        child = os.fork()
        if child == 0:
            os._exit(0 if pool.take(4) == [] and pool.make_one() and len(pool) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(pool) == 4


def test_what_is_forgotten_is_gone() -> None:
    pool = fill(counting_pool(4))
    pool.forget()
    assert pool.take(4) == []


# --- keys with a pool --------------------------------------------------------------------------------------------


def test_a_public_key_takes_from_its_pool_first_and_computes_the_rest() -> None:
    key, pool = public_pair(4)
    factors = list(fill(pool)._factors)
    ciphertexts = key.encrypt([5, -6, 7])
    assert len(pool) == 1
    assert [c * pow(1 + N * value, -1, N * N) % (N * N) for c, value in zip(ciphertexts, (5, -6, 7), strict=True)] == factors[:3]
    more = key.rerandomise(ciphertexts)
    assert len(pool) == 0
    assert KEY.decrypt(ciphertexts) == KEY.decrypt(more) == [5, -6, 7]
    assert len({*ciphertexts, *more}) == 6
    assert KEY.decrypt(key.affine(key.prepare([[1, 2, 3]]), [4], more)) == [5 - 12 + 21 + 4]


def test_factors_are_not_drawn_from_the_seat() -> None:
    """Its numbers can be drawn again, and then a factor would be used twice."""
    seat = Replayable(bytes(32))
    key, pool = schemes.with_pool(PaillierPublicKey(N, seat), 2)
    fill(pool)
    assert KEY.decrypt(key.encrypt([1, 2])) == [1, 2]
    with pytest.raises(RandomnessError):
        key.encrypt([3])
    again, pool = schemes.with_pool(PaillierPublicKey(N, Replayable(bytes(32))), 2)
    fill(pool)
    first, second = (list(one._factors) for one in (fill(schemes.with_pool(key, 2)[1]), fill(pool)))
    assert not {*first} & {*second}
    assert KEY.decrypt(again.encrypt([1, 2])) == [1, 2]


def test_the_key_it_was_made_of_takes_nothing() -> None:
    bare = PaillierPublicKey(N)
    _, pool = schemes.with_pool(bare, 2)
    fill(pool)
    bare.encrypt([1, 2])
    assert pool is not None
    assert len(pool) == 2


def test_the_buyers_key_takes_from_its_pool_also_with_another_source() -> None:
    assert isinstance(KEY, PaillierPrivateKey)
    key, pool = schemes.with_pool(KEY, 3)
    fill(pool)
    drawing = key.drawing_from(Replayable(bytes(32)))  # nothing was begun, so it cannot draw
    ciphertexts = drawing.encrypt([1, -2])
    assert KEY.decrypt(ciphertexts) == [1, -2]
    assert pool is not None
    assert len(pool) == 1
    assert len(key.encrypt([3, 4])) == 2
    assert len(pool) == 0


def test_schemes_without_random_factors_have_no_pool() -> None:
    key = key_pair("plain", 256).public
    assert schemes.with_pool(key, 5) == (key, None)
