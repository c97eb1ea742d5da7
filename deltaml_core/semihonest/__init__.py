"""Trainings whose participants are trusted to follow the protocol: on CKKS, on shares, and with a cubic sigmoid.

The federated rounds, measurements and contributions are those of the market's protocol, on the encrypted vectors of
`schemes/vectors.py`; what is missing are the proofs. Who sees what:

| | sees |
|---|---|
| trainer, validator | its own rows; encrypted weights (with secret sharing not even those) |
| aggregator | ciphertexts; errors and coalition errors once they are published; every owner's number of rows |
| buyer (CKKS: it holds the key) | masked weights at every refresh, errors, coalition errors, the final weights |
| computing parties (secret sharing) | one share of everything: uniform numbers; masked weights |

CKKS: buyer and aggregator together decrypt everything. Secret sharing: so do two of three parties. Nobody checks anybody: an aggregator
that leaves out an owner, a buyer that misreports an error, a party that computes wrongly go unnoticed.
"""

from deltaml_core.semihonest.linear import LinearWork
from deltaml_core.semihonest.run import SCHEMES, Outcome, follow, open_keyring, run

__all__ = ["SCHEMES", "LinearWork", "Outcome", "follow", "open_keyring", "run"]
