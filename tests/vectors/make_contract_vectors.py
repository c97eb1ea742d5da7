"""Writes the golden vectors that Python and Solidity both read: payouts.json and openings.json.

    python tests/vectors/make_contract_vectors.py

Both files come out the same each time. The payouts are computed here from exact fractions, not by the code under test: each
division of the rules is a floor of an exact quotient.
"""

from __future__ import annotations

import json
import random
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import gmpy2

FOLDER = Path(__file__).parent
ONE = 10**18
DEFAULT_SHARES = (7000, 2000, 1000)
LARGEST_METRIC = 2**192 - 1

# A payout case: escrow, initial, final, shares, minimum, gains, validators.
Case = tuple[int, int, int, tuple[int, int, int], int, list[int], int]


def payouts_of(case: Case) -> dict[str, Any]:
    """The expected payouts of a case, by the money rules as they are written down."""
    escrow, initial, final, shares, minimum, gains, validators = case
    rest = escrow - minimum * (len(gains) + validators)
    assert rest >= 0
    improvement = Fraction(0) if initial == 0 else max(Fraction(0), Fraction(initial - final, initial))
    improvement = Fraction(floor(improvement * ONE), ONE)
    pools = [floor(Fraction(rest * bps, 10_000)) for bps in shares]
    earned = floor(pools[0] * improvement)
    positive = [max(0, gain) for gain in gains]
    weights = [Fraction(gain, sum(positive)) if gain else Fraction(0) for gain in positive]
    trainers = [minimum + floor(earned * weight) for weight in weights]
    validator = minimum + floor(Fraction(pools[1], validators))
    refund = escrow - sum(trainers) - validator * validators - pools[2]
    return {
        "escrow_wei": str(escrow),
        "initial": str(initial),
        "final": str(final),
        "shares_bps": [str(share) for share in shares],
        "minimum_wei": str(minimum),
        "gains": [str(gain) for gain in gains],
        "validators": str(validators),
        "payouts_wei": {
            "trainers": [str(amount) for amount in trainers],
            "validators": [str(validator)] * validators,
            "aggregator": str(pools[2]),
        },
        "refund_wei": str(refund),
    }


def awkward_cases() -> list[Case]:
    """The cases somebody would forget."""
    ether, one, d = 10**18, ONE, DEFAULT_SHARES
    cases: list[Case] = [
        (5 * ether, 1000 * one, 500 * one, d, 0, [one, one], 1),  # the check value
        (5 * ether, 1000 * one, 500 * one, d, 0, [0, 0], 1),
        (5 * ether, 1000 * one, 500 * one, d, 0, [-one, -1], 1),
        (5 * ether, 1000 * one, 500 * one, d, 0, [one, -one], 1),
        (5 * ether, 1000 * one, 500 * one, d, 0, [0, 1], 1),
        (5 * ether, 1000 * one, 500 * one, d, 0, [one], 1),
        (5 * ether, 0, 0, d, 0, [one, one], 1),
        (5 * ether, 0, 500 * one, d, 0, [one, one], 1),
        (5 * ether, 1000 * one, 1000 * one, d, 0, [one, one], 1),
        (5 * ether, 1000 * one, 1000 * one + 1, d, 0, [one, one], 1),
        (5 * ether, 1000 * one, 1000 * one - 1, d, 0, [one, one], 1),
        (5 * ether, 1000 * one, 0, d, 0, [one, one], 1),
        (5 * ether, 1, 0, d, 0, [1, 2], 1),
        (5 * ether, 3, 1, d, 0, [1, 1, 1], 1),
        (5 * ether, 3, 2, d, 0, [1, 1, 1], 2),
        (1, 1000 * one, 0, d, 0, [one, one], 1),
        (2, 1000 * one, 0, d, 0, [one, one], 1),
        (9999, 1000 * one, 0, d, 0, [one, one], 1),
        (10_000, 1000 * one, 0, d, 0, [one, one], 1),
        (10_001, 1000 * one, 0, d, 0, [one, one], 1),
        (2**96, 1000 * one, 1, d, 0, [one, 2 * one, 3 * one], 2),
        (2**96 - 1, 997, 13, d, 0, [7, 11, 13], 3),
        (2**128 - 1, LARGEST_METRIC, 1, d, 0, [LARGEST_METRIC, LARGEST_METRIC], 1),
        (2**128 - 1, LARGEST_METRIC, LARGEST_METRIC - 1, d, 0, [LARGEST_METRIC, 1], 1),
        (2**128 - 1, 1, LARGEST_METRIC, d, 2**64, [-LARGEST_METRIC, LARGEST_METRIC], 1),
        (3, 1000, 500, d, 1, [1, 1], 1),
        (30, 1000, 500, d, 10, [1, 1], 1),
        (64 * ether, 1000, 0, d, ether, [1] * 45, 19),
        (64 * ether + 1, 1000, 0, d, ether, [1] * 45, 19),
        (64, 1000, 0, d, 1, [1] * 63, 1),
        (5 * ether, 27742 * one, 3312 * one, d, 0, [4 * one, 3 * one, 2 * one, -one], 1),
        (5 * ether, 1000, 500, (10_000, 0, 0), 0, [1, 1], 1),
        (5 * ether, 1000, 500, (0, 10_000, 0), 0, [1, 1], 3),
        (5 * ether, 1000, 500, (0, 0, 10_000), 0, [1, 1], 1),
        (5 * ether + 7, 1000, 0, (3333, 3333, 3334), 0, [1, 1, 1], 3),
        (7, 10, 0, (1, 9998, 1), 0, [1, 2], 5),
    ]
    cases += [(2**96 + k, 2**100, 2**99, d, 0, [1] * 45, 19) for k in range(4)]
    cases += [(10**k, 10**9, 10**8 * 3, d, 0, [1, 2, 4], 1) for k in range(1, 29)]
    return cases


def drawn_cases(count: int) -> list[Case]:
    """Cases of every size, from a fixed seed."""
    draw = random.Random("payouts")
    cases: list[Case] = []
    for _ in range(count):
        owners = draw.choice([2, 3, 5, 7, 10, draw.randint(2, 64), 64])
        validators = max(1, owners * 3 // 10) if draw.random() < 0.7 else draw.randint(1, owners - 1)
        escrow = draw.randint(1, 2 ** draw.randint(1, 128) - 1)
        minimum = draw.choice([0, 0, draw.randint(0, escrow // owners), escrow // owners])
        initial = draw.randint(0, 2 ** draw.randint(1, 191))
        final = draw.choice([draw.randint(0, initial), draw.randint(0, initial), draw.randint(0, 2 * initial), 0, initial])
        size = 2 ** draw.randint(1, 191)
        gains = [draw.choice([0, 1, draw.randint(-size, size), draw.randint(0, size)]) for _ in range(owners - validators)]
        cut = sorted(draw.randint(0, 10_000) for _ in range(2))
        shares = draw.choice([DEFAULT_SHARES, (cut[0], cut[1] - cut[0], 10_000 - cut[1])])
        cases.append((escrow, initial, final, shares, minimum, gains, validators))
    return cases


def opening(bits: int, scale: int, rows: int, squared_error: int, draw: random.Random) -> dict[str, str]:
    """An honest opening with a key of its own: `squared_error` is the sum of squared errors times 2**scale."""
    while True:
        p, q = (int(gmpy2.next_prime(draw.getrandbits(bits // 2) | (3 << (bits // 2 - 2)))) for _ in range(2))
        n = p * q
        if n.bit_length() == bits and gmpy2.gcd(n, (p - 1) * (q - 1)) == 1:
            break
    r = draw.randrange(1, n)
    c = (1 + n * squared_error) * int(gmpy2.powmod(r, n, n * n)) % (n * n)
    length = bits // 8
    kept = min(scale, 128)
    final = floor(Fraction((squared_error >> (scale - kept)) * ONE, rows << kept))
    return {
        "bits": str(bits),
        "modulus": "0x" + n.to_bytes(length).hex(),
        "ciphertext": "0x" + c.to_bytes(2 * length).hex(),
        "plaintext": "0x" + squared_error.to_bytes(length).hex(),
        "randomness": "0x" + r.to_bytes(length).hex(),
        "scale": str(scale),
        "rows": str(rows),
        "final": str(final),
    }


def openings() -> list[dict[str, str]]:
    """Openings at both sizes, with plaintexts shorter and longer than a word."""
    draw = random.Random("openings")
    return [
        opening(bits, scale, 442, (3311 * 442 << scale) + draw.getrandbits(scale), draw)
        for bits, scale in [(2048, 64), (2048, 220), (2048, 1500), (3072, 110), (3072, 300)]
    ]


def main() -> None:
    """Write both files."""
    payouts = [payouts_of(case) for case in awkward_cases() + drawn_cases(180)]
    (FOLDER / "payouts.json").write_text(json.dumps(payouts, indent=1) + "\n")
    (FOLDER / "openings.json").write_text(json.dumps(openings(), indent=1) + "\n")


if __name__ == "__main__":
    main()
