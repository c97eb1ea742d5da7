"""What a participant computes to refute a deferred opening (protocol.md §7): the contract's own steps, off chain.

The contract checks `c = (1 + n m) r**n mod n**2` 256 bits of n at a time, most significant first; a refuter hands it the power
it reached before. `opening_holds` tells beforehand whether there is anything to refute.
"""

from __future__ import annotations

import gmpy2

from deltaml_core.chain.types import Opening, byte_length

STEP_BITS = 256


def opening_holds(opening: Opening) -> bool:
    """Whether the ciphertext opens to this plaintext with this randomness."""
    n = opening.modulus
    square = n * n
    return (1 + n * opening.plaintext) * int(gmpy2.powmod(opening.randomness, n, square)) % square == opening.ciphertext


def refutation_step_count(opening: Opening) -> int:
    """Steps the whole check takes: 8 for a modulus of 2048 bits, 12 for 3072."""
    return byte_length(opening.modulus) * 8 // STEP_BITS


def refutation_power(opening: Opening, steps: int) -> int:
    """The power that the first `steps` steps reach: randomness to the leading `256 * steps` bits of the modulus."""
    exponent = opening.modulus >> STEP_BITS * (refutation_step_count(opening) - steps)
    return int(gmpy2.powmod(opening.randomness, exponent, opening.modulus**2))
