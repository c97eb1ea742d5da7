"""Runs programs side by side: prefixes what they say, starts anew what is killed, ends all of them together."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import psutil

from deltaml_core.errors import NodeError

STOP_SECONDS = 15.0
_LAST_WORDS = 5
_MOST_RESTARTS = 20

Say = Callable[[str, str], None]
"""Told a program's name and a line it said."""


@dataclass(frozen=True)
class ProcessFigures:
    """One process of a market: how often it was started anew, the processor time and the most memory it has used."""

    process: int
    restarts: int
    cpu_seconds: float
    memory_bytes: int


class _Program:
    """One program, through all of its lives."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], say: Say, log: Path | None) -> None:
        self.name = name
        self.restarts = -1
        self.process: subprocess.Popen[bytes]
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._command = list(command)
        self._environment = dict(environment)
        self._say = say
        self._log = log
        self._cpu_before, self._cpu_now, self._memory = 0.0, 0.0, 0
        self._reader: threading.Thread
        self.start()

    def start(self) -> None:
        """Begin a life. The program ends by itself when the pipe to its standard input closes: also when this process is killed."""
        self.restarts += 1
        self._cpu_before += self._cpu_now
        self._cpu_now = 0.0
        self.process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def measure(self) -> None:
        """Look at what it uses, as long as it lives."""
        try:
            process = psutil.Process(self.process.pid)
            times = process.cpu_times()
            self._cpu_now = times.user + times.system + times.children_user + times.children_system
            self._memory = max(self._memory, process.memory_info().rss)
        except psutil.Error:  # it has just ended
            return

    def close(self) -> None:
        """Close its pipes, once it has ended."""
        self._reader.join()
        for stream in (self.process.stdin, self.process.stderr):
            cast("IO[bytes]", stream).close()

    @property
    def figures(self) -> ProcessFigures:
        """What it used in all its lives."""
        return ProcessFigures(self.process.pid, self.restarts, round(self._cpu_before + self._cpu_now, 2), self._memory)

    def _read(self, stream: IO[bytes]) -> None:
        with ExitStack() as stack:
            file = None if self._log is None else stack.enter_context(self._log.open("ab"))
            for line in stream:
                text = line.decode(errors="replace").rstrip()
                self.last_words.append(text)
                if file is None:
                    self._say(self.name, text)
                else:
                    file.write(line)
                    file.flush()


class Supervisor:
    """Programs that run as long as the `with` block."""

    def __init__(self, say: Say) -> None:
        """`say` is told every line that a program says; several threads call it."""
        self._say = say
        self._programs: dict[str, _Program] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, log: Path | None = None) -> None:
        """Start a program; with a `log`, what it says goes to that file instead of to `say`."""
        self._programs[name] = _Program(name, command, environment, self._say, log)

    def watch(self) -> None:
        """Look after the programs; to be called again and again.

        Raises:
            NodeError: one gave up by itself, with its last words; starting it again would change nothing.
        """
        for program in self._programs.values():
            program.measure()
            code = program.process.poll()
            if code is None or code == 0:
                continue
            if code > 0 or program.restarts >= _MOST_RESTARTS:
                program.close()
                raise NodeError(f"{program.name} gave up: {' '.join(program.last_words) or f'exit code {code}'}")
            program.close()
            self._say(program.name, f"was killed by signal {-code}, starting it again")
            program.start()

    def stop(self) -> None:
        """End all programs and wait for them; what does not end in time is killed."""
        for program in self._programs.values():
            program.measure()
            if program.process.poll() is None:
                program.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for program in self._programs.values():
            try:
                program.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()
            program.close()

    @property
    def figures(self) -> dict[str, ProcessFigures]:
        """Of every program, by name."""
        return {name: program.figures for name, program in self._programs.items()}
