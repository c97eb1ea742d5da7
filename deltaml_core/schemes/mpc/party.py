r"""A computing party: a process that holds one share of every number, and computes on shares with the other parties through MPyC.

    python -m deltaml_core.schemes.mpc.party --index 1 --depth 2 --control 127.0.0.1:21001 \
        --parties 127.0.0.1:21010,127.0.0.1:21011,127.0.0.1:21012

`--parties` is where the parties reach each other, `--control` where owners and buyer reach this one; the token that they must show is in
the environment, `DELTAML_MPC_TOKEN`. It serves one client at a time, and ends when that client is gone.

What it sees: uniform numbers; and masked values, which a refresh opens to all parties. The links are not encrypted: across machines, run
them through a private network or tunnels.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import hmac
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from deltaml_core.errors import ComputingPartyError, SettingError
from deltaml_core.extras import require
from deltaml_core.schemes.mpc import wire
from deltaml_core.schemes.mpc.shares import FIELDS, from_bytes, to_bytes

TOKEN_VARIABLE = "DELTAML_MPC_TOKEN"


class Party:
    """The shares of this party, and what a client may ask to be done with them, in the order of its requests."""

    def __init__(self, runtime: Any, numpy: Any, depth: int) -> None:
        """`runtime`: MPyC's, with the other parties connected."""
        self._mpc, self._numpy, self.prime = runtime, numpy, FIELDS[depth]
        self._type = runtime.SecFld(self.prime)
        self._held: dict[int, Any] = {}

    async def obey(self, asked: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Do one thing.

        Raises:
            ComputingPartyError: it cannot be done.
        """
        match asked:
            case {"do": "hold", "as": int(name), "shape": list(shape)}:
                self._held[name] = self._array(from_bytes(payload, self.prime)).reshape(shape)
            case {"do": "affine", "as": int(name), "matrix": int(matrix), "offset": int(offset), "shift": int(shift), "of": int(of)}:
                product = await self._mpc.gather(self._type.array(self._held[matrix]) @ self._type.array(self._held[of]))
                self._held[name] = product + self._held[offset] * (1 << shift)
            case {"do": "multiply", "as": int(name), "of": [int(left), int(right)]}:
                self._held[name] = await self._mpc.gather(self._type.array(self._held[left]) * self._type.array(self._held[right]))
            case {"do": "add", "as": int(name), "of": [int(left), int(right)]}:
                self._held[name] = self._held[left] + self._held[right]
            case {"do": "scale", "as": int(name), "of": int(of), "factor": str(factor)}:
                self._held[name] = self._held[of] * (int(factor, 16) % self.prime)
            case {"do": "total", "as": int(name), "of": int(of)}:
                self._held[name] = self._array([sum(self._held[of].value.tolist())])
            case {"do": "cut", "as": int(name), "masked": int(masked), "masks": int(masks), "drop": int(drop)}:
                self._held[name] = await self._cut(self._held[masked], drop) - self._held[masks]
            case {"do": "show", "of": int(of)}:
                return {}, to_bytes([int(value) for value in self._held[of].value.reshape(-1)], self.prime)
            case {"do": "forget", "of": list(names)}:
                for name in names:
                    self._held.pop(name, None)
            case {"do": "count"}:
                peers = [peer for peer in self._mpc.parties if peer.pid != self._mpc.pid]
                return {"sent": sum(peer.protocol.nbytes_sent for peer in peers)}, b""
            case _:
                raise ComputingPartyError("a client asked for something that no party does; are both of one version?")
        return {}, b""

    async def _cut(self, masked: Any, drop: int) -> Any:
        """Open what is masked to all parties, and cut the same bits off at each."""
        opened = await self._mpc.output(self._type.array(masked), raw=True)
        values = map(int, opened.value.tolist())
        return self._array([(value - self.prime if value > self.prime // 2 else value) >> drop for value in values])

    def _array(self, values: Sequence[int]) -> Any:
        return self._type.field.array(self._numpy.array([value % self.prime for value in values], dtype=object))


async def serve(party: Party, host: str, port: int, token: str) -> None:
    """Serve one client until it is gone, also while something that it asked for waits for a party that is gone as well."""
    gone = asyncio.Event()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames: asyncio.Queue[tuple[dict[str, Any], bytes]] = asyncio.Queue()
        try:
            asked, _ = await _frame(reader)
            if not hmac.compare_digest(str(asked.get("token", "")).encode(), token.encode()):
                raise ComputingPartyError(f"the token is not that of this party: set {TOKEN_VARIABLE} alike on both sides")
        except (ComputingPartyError, asyncio.IncompleteReadError) as error:
            await _answer(writer, {"error": str(error)})
            writer.close()
            return
        await _answer(writer, {"prime": format(party.prime, "x")})
        working = asyncio.ensure_future(_work(party, frames, writer))
        try:
            while True:
                frames.put_nowait(await _frame(reader))
        except (ComputingPartyError, asyncio.IncompleteReadError, ConnectionError):
            working.cancel()
            writer.close()
            gone.set()

    async with await asyncio.start_server(client, host, port):
        await gone.wait()


async def _work(party: Party, frames: asyncio.Queue[tuple[dict[str, Any], bytes]], writer: asyncio.StreamWriter) -> None:
    """One thing after the other: all parties do the same in the same order, or MPyC's messages would not meet."""
    while True:
        asked, payload = await frames.get()
        try:
            answer, content = await party.obey(asked, payload)
        except (ComputingPartyError, KeyError, TypeError, ValueError) as error:
            answer, content = {"error": f"{type(error).__name__}: {error}"}, b""
        await _answer(writer, answer, content)


async def _frame(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    line, size = wire.lengths(await reader.readexactly(wire.HEAD.size))
    return wire.read(await reader.readexactly(line)), await reader.readexactly(size)


async def _answer(writer: asyncio.StreamWriter, content: dict[str, Any], payload: bytes = b"") -> None:
    writer.write(wire.pack(content, payload))
    await writer.drain()


def start_runtime(index: int, addresses: Sequence[str]) -> tuple[Any, Any]:
    """MPyC's runtime, for which its command line is written, and its numpy."""
    own = [f":{address.rsplit(':', 1)[1]}" if number == index else address for number, address in enumerate(addresses)]
    listed = [argument for address in own for argument in ("-P", address)]
    # Field elements as bytes on the wire: MPyC pickles arrays unless machines may differ.
    sys.argv = [sys.argv[0], *listed, "--no-log", "--mix32-64bit"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "numpy.core is deprecated", DeprecationWarning)
        mpc, np = require("mpyc.runtime", "mpc").mpc, require("mpyc.numpy", "mpc").np
    create_server = mpc._loop.create_server
    mpc._loop.create_server = functools.partial(create_server, host=addresses[index].rsplit(":", 1)[0])  # MPyC's own takes all interfaces
    mpc.run(mpc.start())
    mpc._loop.create_server = create_server
    mpc.parties[index].protocol = mpc._loop.create_future()  # MPyC sets it when all others are gone, perhaps before this one
    return mpc, np


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a party until its client is gone."""
    parser = argparse.ArgumentParser(prog="party", description="one party of a computation on shares")
    parser.add_argument("--index", type=int, required=True, help="which of the parties this is, from 0")
    parser.add_argument("--parties", required=True, help="where all parties reach each other: host:port,host:port,...")
    parser.add_argument("--control", required=True, help="host:port on which owners and buyer reach this party")
    parser.add_argument("--depth", type=int, choices=sorted(FIELDS), default=2, help="products in a row, which choose the field")
    chosen = parser.parse_args(arguments)
    token = os.environ.pop(TOKEN_VARIABLE, "")
    if len(token) < 16:
        raise SettingError(f"{TOKEN_VARIABLE} must hold the token of this computation, 16 characters or more")
    addresses = chosen.parties.split(",")
    if len(addresses) < 3 or not 0 <= chosen.index < len(addresses):
        raise SettingError("name at least three parties, and the index of this one among them: no two of fewer would be a majority")
    host, port = chosen.control.rsplit(":", 1)
    runtime, numpy = start_runtime(chosen.index, addresses)
    runtime.run(serve(Party(runtime, numpy, chosen.depth), host, int(port), token))
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # MPyC's farewell exchanges pickles; the parties' work is done when the client is gone
