"""Secret sharing among at least three computing parties, through MPyC: semi-honest, with an honest majority.

    owner, buyer  --control-->  party 0, 1, 2, ...  <--MPyC-->  each other

An owner splits its numbers into Shamir shares (A. Shamir, 1979) over a prime field and sends one to each party; any `t = (m-1) // 2`
of the m parties see uniform numbers, `t + 1` of them together see everything. The parties add shares, and multiply them with one
exchange (R. Gennaro, M. Rabin & T. Rabin, PODC 1998); the buyer puts a result together from shares that the parties send it.

Who is trusted: more than half of the parties follow the protocol and do not talk to each other beside it. A party that computes
wrongly can change a result unnoticed, unless the shares that are sent no longer lie on one polynomial.

MPyC has one runtime a process and reads the command line when it is imported, so it lives in the parties' processes (`party.py`) and
nowhere else. `client.py` is everybody else's side; `local.py` runs the parties of a test or an experiment on this machine.
"""

from deltaml_core.schemes.mpc.client import Parties, connect
from deltaml_core.schemes.mpc.local import local_parties
from deltaml_core.schemes.mpc.shares import FIELDS

__all__ = ["FIELDS", "Parties", "connect", "local_parties"]
