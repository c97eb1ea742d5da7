"""What the tables of the encrypted arithmetic hold in memory, in bytes: docs/memory.md, as formulas that tests compare with the tables.

A number modulo n is an `mpz`: 40 bytes and its limbs of 8. It has at least the limbs that n has, and one more if a division made it;
gmpy2 reuses freed numbers of up to 64 limbs with all the room they had, so it may have those. A pair of them is a tuple of 56 bytes
in a list's slot of 8. `python -m deltaml_core.schemes.memory` prints the page's table.
"""

from __future__ import annotations

from typing import NamedTuple

from deltaml_core.schemes.tables import Subsets

_MPZ, _LIMB, _REUSED_LIMBS, _PAIR, _LIST = 40, 8, 64, 56 + 8, 56
_STEP, _PROGRAM = 2 * 4, 64 + 8 + 2 * 80 + 32


class Bytes(NamedTuple):
    """Between what and what."""

    least: int
    most: int


def number(key_bits: int) -> Bytes:
    """One number modulo n."""
    limbs = -(-key_bits // 64)
    return Bytes(_MPZ + _LIMB * limbs, _MPZ + _LIMB * max(limbs + 1, _REUSED_LIMBS))


def fixed_base(key_bits: int, teeth: int, blocks: int) -> Bytes:
    """`multiexp.FixedBase`: `2**teeth` pairs a block, the first of them 1."""
    least, most = number(key_bits)
    pairs = blocks << teeth
    return Bytes((pairs - blocks) * (_PAIR + 2 * least), pairs * (_PAIR + 2 * most + 1) + blocks * 3 * _LIST)  # a list has 1/8 more room


def odd_powers(key_bits: int, columns: int, window: int) -> Bytes:
    """The powers that `multiexp.multiply` makes, of a matrix of so many columns, and throws away when it is done; in every worker."""
    least, most = number(key_bits)
    pairs = columns << (window - 1)
    return Bytes(pairs * (_PAIR + 2 * least), pairs * (_PAIR + 2 * most) * 9 // 8 + _LIST)  # a list grows by an eighth beyond its need


def subsets(key_bits: int, columns: int, group: int) -> Bytes:
    """The products of subsets that it makes where many rows are dense, and throws away likewise."""
    least, most = number(key_bits)
    pairs = 1 + Subsets(group, 0).products(columns)
    return Bytes((pairs - columns) * (_PAIR + 2 * least), pairs * (_PAIR + 2 * most) * 9 // 8 + 4 * _LIST)


def programs(rows: int, steps: int) -> Bytes:
    """`multiexp.ExponentMatrix` with so many steps in all."""
    return Bytes(steps * _STEP, steps * _STEP + rows * _PROGRAM + 2 * _LIST)


def pool(key_bits: int, factors: int) -> int:
    """`pool.ZeroPool`, full, at most: numbers modulo n**2, in blocks of 64 slots."""
    limbs = -(-2 * key_bits // 64)
    return factors * (_MPZ + _LIMB * max(limbs + 1, _REUSED_LIMBS)) + (factors // 64 + 2) * 640


def main() -> None:
    """The table of docs/memory.md."""
    print("| key | fixed base | odd powers, d = 11 | subsets, d = 100 | d = 1000 | pool, d = 11 | pool, full |", "|---" * 7 + "|", sep="\n")
    for key_bits in (1024, 2048, 3072):
        products = [odd_powers(key_bits, 11, 5).most, subsets(key_bits, 100, 10).most, subsets(key_bits, 1000, 10).most]
        cells = [fixed_base(key_bits, 9, 4).most, *products, pool(key_bits, 33), pool(key_bits, 1024)]
        print(f"| {key_bits} | " + " | ".join(f"{cell / 1e6:.2f} MB" for cell in cells) + " |")


if __name__ == "__main__":
    main()
