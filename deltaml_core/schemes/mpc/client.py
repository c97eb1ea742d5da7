"""Owners' and buyer's side of a computation on shares: `Arithmetic` and `Holder` of `schemes/integers.py`, carried out by the parties.

The client splits what it encrypts, and knows numbers at the parties by names it gives them. It never holds more than its own numbers
and the results that are shown to it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deltaml_core.errors import ComputingPartyError, SettingError
from deltaml_core.schemes.integers import IntegerKeyring, IntegerVectors
from deltaml_core.schemes.mpc import wire
from deltaml_core.schemes.mpc.shares import FIELDS, from_bytes, join, split, to_bytes

TOKEN_VARIABLE = "DELTAML_MPC_TOKEN"
CONNECT_SECONDS = 30.0
_CHUNK = 1 << 20
_RETRY_SECONDS = 0.05


class Shared:
    """Numbers that the parties hold under a name; forgotten by them when nobody refers to it any more."""

    def __init__(self, parties: Parties, entries: int) -> None:
        """Take the next name."""
        self.name, self.entries = parties.next_name(), entries
        weakref.finalize(self, parties.forget, self.name)

    def __len__(self) -> int:
        """How many numbers."""
        return self.entries


@dataclass(frozen=True)
class SharedMap:
    """A matrix and an offset that the parties hold."""

    matrix: Shared
    offset: Shared


class Parties:
    """All computing parties, over one connection each.

    Attributes:
        last_words: what a party that is gone said at last, where somebody knows.
    """

    name = "mpc"
    multiplies = True

    def __init__(
        self,
        connections: Sequence[socket.socket],
        addresses: Sequence[str],
        depth: int,
        token: str,
        last_words: Callable[[int], str] = lambda party: "",
    ) -> None:
        """Greet the parties.

        Args:
            connections: to every party, in their order.
            addresses: what errors call them.
            depth: of the numbers, which says the field.
            token: what they were started with.
            last_words: see there.

        Raises:
            ComputingPartyError: one of them refuses, or computes in another field.
        """
        self.prime = FIELDS[depth]
        self.last_words = last_words
        self._connections, self._addresses = list(connections), list(addresses)
        self._names, self._forgotten, self._bytes, self._closed = 0, list[int](), 0, False
        for answer, _ in self._ask({"token": token}):
            if answer.get("prime") != format(self.prime, "x"):
                raise ComputingPartyError(f"the parties compute in another field: start them with --depth {depth}")

    def __repr__(self) -> str:
        """How many."""
        return f"Parties({len(self._connections)})"

    @property
    def capacity(self) -> int:
        """Of the field's signed integers."""
        return self.prime.bit_length() - 2

    @property
    def sent(self) -> int:
        """Bytes between clients and parties, and between parties."""
        return self._bytes + sum(int(answer["sent"]) for answer, _ in self._ask({"do": "count"}))

    def next_name(self) -> int:
        """A name for numbers."""
        self._names += 1
        return self._names

    def forget(self, name: int) -> None:
        """Let the parties drop it at the next occasion."""
        self._forgotten.append(name)

    # --- Arithmetic ---

    def encrypt(self, values: Sequence[int]) -> Shared:
        """One share to each party."""
        return self._hold([list(values)], [len(values)])

    def prepare(self, matrix: Sequence[Sequence[int]], offset: Sequence[int]) -> SharedMap:
        """Share M and v."""
        return SharedMap(self._hold(matrix, [len(matrix), len(matrix[0])]), self._hold([offset], [len(offset)]))

    def affine(self, linear: SharedMap, shift: int, values: Shared) -> Shared:
        """One exchange between the parties."""
        return self._do(linear.offset.entries, "affine", matrix=linear.matrix.name, offset=linear.offset.name, shift=shift, of=values.name)

    def add(self, left: Shared, right: Shared) -> Shared:
        """Each party by itself."""
        return self._do(len(left), "add", of=[left.name, right.name])

    def scale(self, values: Shared, factor: int) -> Shared:
        """Each party by itself."""
        return self._do(len(values), "scale", of=values.name, factor=format(factor % self.prime, "x"))

    def shift(self, values: Shared, known: Sequence[int]) -> Shared:
        """As a sharing of its own: what an owner knows is not known to the parties."""
        return self.add(values, self.encrypt(known))

    def multiply(self, left: Shared, right: Shared) -> Shared:
        """One exchange between the parties."""
        return self._do(len(left), "multiply", of=[left.name, right.name])

    def total(self, values: Shared) -> Shared:
        """Each party by itself."""
        return self._do(1, "total", of=values.name)

    # --- Holder ---

    def decrypt(self, values: Shared) -> list[int]:
        """From the shares that all parties send."""
        answers = self._ask({"do": "show", "of": values.name})
        shares = [self._elements(party, content, len(values)) for party, (_, content) in enumerate(answers)]
        return join(shares, self.prime)

    def cut(self, masked: Shared, drop: int, masks: Shared) -> Shared:
        """The parties open what is masked to each other."""
        return self._do(len(masked), "cut", masked=masked.name, masks=masks.name, drop=drop)

    def close(self) -> None:
        """Leave; the parties end."""
        self._closed = True
        for connection in self._connections:
            connection.close()

    # --- asking ---

    def _hold(self, rows: Sequence[Sequence[int]], shape: list[int]) -> Shared:
        entries = sum(len(row) for row in rows)
        shared = Shared(self, entries)
        payloads = [bytearray() for _ in self._connections]
        for row in rows:
            for payload, held in zip(payloads, split(row, self.prime, len(payloads)), strict=True):
                payload += to_bytes(held, self.prime)
        self._ask({"do": "hold", "as": shared.name, "shape": shape}, payloads)
        return shared

    def _do(self, entries: int, what: str, **content: Any) -> Shared:
        shared = Shared(self, entries)
        self._ask({"do": what, "as": shared.name, **content})
        return shared

    def _ask(self, content: dict[str, Any], payloads: Sequence[bytes | bytearray] | None = None) -> list[tuple[dict[str, Any], bytes]]:
        """The same of every party, each with bytes of its own; their answers."""
        if self._closed:
            raise ComputingPartyError("the computation was closed: start another one")
        if self._forgotten:
            names, self._forgotten = self._forgotten[:4096], self._forgotten[4096:]
            self._exchange({"do": "forget", "of": names}, None)
        return self._exchange(content, payloads)

    def _exchange(self, content: dict[str, Any], payloads: Sequence[bytes | bytearray] | None) -> list[tuple[dict[str, Any], bytes]]:
        """Write to and read from all at once: a party that waits for another must not keep that one from being told."""
        frames = [memoryview(wire.pack(content, bytes(p))) for p in payloads or [b""] * len(self._connections)]
        arrived = [bytearray() for _ in self._connections]
        answers: dict[int, tuple[dict[str, Any], bytes]] = {}
        with selectors.DefaultSelector() as selector:
            for party, connection in enumerate(self._connections):
                selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, party)
            while len(answers) < len(self._connections):
                for key, events in selector.select():
                    party, connection = key.data, self._connections[key.data]
                    try:
                        if events & selectors.EVENT_WRITE:
                            count = connection.send(frames[party][:_CHUNK])
                            frames[party] = frames[party][count:]
                            self._bytes += count
                            if not frames[party]:
                                selector.modify(connection, selectors.EVENT_READ, party)
                        if events & selectors.EVENT_READ:
                            received = connection.recv(_CHUNK)
                            self._bytes += len(received)
                            if not received:
                                raise ConnectionResetError("it closed the connection")
                            arrived[party] += received
                    except BlockingIOError:
                        continue
                    except OSError as error:
                        raise self._lost(party, error) from error
                    if (answer := self._whole(party, arrived[party])) is not None:
                        answers[party] = answer
                        selector.unregister(connection)
        return [answers[party] for party in range(len(self._connections))]

    def _whole(self, party: int, arrived: bytearray) -> tuple[dict[str, Any], bytes] | None:
        """The answer, when all of it is there."""
        if len(arrived) < wire.HEAD.size:
            return None
        line, size = wire.lengths(bytes(arrived[: wire.HEAD.size]))
        if len(arrived) < wire.HEAD.size + line + size:
            return None
        answer = wire.read(bytes(arrived[wire.HEAD.size : wire.HEAD.size + line]))
        if "error" in answer:
            raise ComputingPartyError(f"party {party} ({self._addresses[party]}) refuses: {answer['error']}")
        return answer, bytes(arrived[wire.HEAD.size + line :])

    def _elements(self, party: int, content: bytes, count: int) -> list[int]:
        values = from_bytes(content, self.prime)
        if len(values) != count:
            raise ComputingPartyError(f"party {party} ({self._addresses[party]}) sent {len(values)} shares where {count} are due")
        return values

    def _lost(self, party: int, error: OSError) -> ComputingPartyError:
        self.close()
        said = self.last_words(party)
        return ComputingPartyError(
            f"party {party} ({self._addresses[party]}) is gone ({error}); without it the others cannot go on: start all of them again"
            + (f". Its last words: {said}" if said else "")
        )


def connect(addresses: Sequence[str], depth: int = 2, token: str | None = None) -> IntegerKeyring:
    """Encrypted vectors that parties on this or other machines compute on.

    Args:
        addresses: each party's `--control`, in the order of its `--index`.
        depth: products in a row, as the parties were started with.
        token: as the parties were started with; by default from `DELTAML_MPC_TOKEN`.

    Raises:
        SettingError: fewer than three parties, or no token.
        ComputingPartyError: a party cannot be reached within half a minute, or refuses.
    """
    token = token or os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise SettingError(f"the parties want a token: set {TOKEN_VARIABLE} to what they were started with")
    if len(addresses) < 3:
        raise SettingError(f"{len(addresses)} parties have no honest majority: name at least three")
    with contextlib.ExitStack() as undo:
        connections = [undo.enter_context(contextlib.closing(reach(address))) for address in addresses]
        parties = Parties(connections, addresses, depth, token)
        undo.pop_all()
    return IntegerKeyring(IntegerVectors(parties, depth), parties)


def reach(address: str, alive: Callable[[], bool] = lambda: True) -> socket.socket:
    """A connection to a party that may be starting still.

    Args:
        address: host:port.
        alive: whether waiting makes sense.

    Raises:
        SettingError: that is no address.
        ComputingPartyError: nobody answered within half a minute, or nobody will.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise SettingError(f"a party's address is host:port, not {address!r}")
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            connection = socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS)
        except OSError as error:
            if time.monotonic() > deadline or not alive():
                raise ComputingPartyError(f"no party answers at {address}: {error}") from error
            time.sleep(_RETRY_SECONDS)
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            return connection
