"""How tests reach a desk: as a program of its own that speaks the line protocol, or within this process."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.interop.lines import Desk, Refused, answer

PATIENCE = 120
"""Seconds until a program that does not answer is given up."""


def told(answered: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless it is an error: that is raised as ``Refused``."""
    if "error" in answered:
        raise Refused(answered["error"], answered["text"])
    return answered


class Peer:
    """A desk to send requests to; answers come in the order of the requests."""

    def send(self, op: str, **fields: Any) -> None:
        """Send a request; its answer is to be fetched by ``receive``."""
        raise NotImplementedError

    def receive(self) -> dict[str, Any]:
        """Wait for the next answer; raises ``Refused`` if it is an error."""
        return told(self.outcome())

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.send(op, **fields)
        return self.receive()

    def close(self) -> None:
        """Let go of it."""

    def outcome(self) -> dict[str, Any]:
        """Wait for the next answer, be it an error."""
        raise NotImplementedError


class Inside(Peer):
    """A desk in this very process."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._answers: deque[dict[str, Any]] = deque()

    def send(self, op: str, **fields: Any) -> None:
        self._answers.append(answer(self.desk, {"op": op, **fields}))

    def outcome(self) -> dict[str, Any]:
        return self._answers.popleft()


class Program(Peer):
    """A program that speaks the line protocol on its stdin and stdout."""

    def __init__(self, command: Sequence[str], cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def send(self, op: str, **fields: Any) -> None:
        self.write(json.dumps({"op": op, **fields}))

    def write(self, line: str) -> None:
        """Send any line, even one that is no request."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def outcome(self) -> dict[str, Any]:
        line = self._lines.get(timeout=PATIENCE)
        if not line:
            raise AssertionError(f"the program ended with status {self._process.wait()}; its stderr tells why")
        answered: dict[str, Any] = json.loads(line)
        return answered

    def close(self) -> None:
        """End its input and wait for it to go."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
