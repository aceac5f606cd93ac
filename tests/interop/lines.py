"""The line protocol's frame: one JSON object a line each way, and what every desk that answers it shares.

A *desk* has one method for each operation of ``OPERATIONS``; ``tests.interop.peer`` documents what they mean.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from protocol.errors import ProtocolError

OPERATIONS = (
    "keypackage",
    "create",
    "add",
    "remove",
    "update",
    "psk",
    "commit",
    "join",
    "external_join",
    "knock",
    "reinit",
    "restart",
    "branch",
    "encrypt",
    "process",
    "exporter",
    "state",
    "forget",
)


class Refused(Exception):
    """A desk's answer that is an error: its stable ``code`` and a text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class Request:
    """One request, with its fields checked as they are read."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields

    def get(self, name: str, kind: type, default: Any = ...) -> Any:
        """A field of this kind; without a default it must be there."""
        value = self.fields.get(name, default)
        if value is ...:
            raise Refused("request", f"the field {name!r} is missing")
        if value is not default and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise Refused("request", f"the field {name!r} is not of type {kind.__name__}")
        return value

    def octets(self, name: str, default: Any = ...) -> bytes:
        """A field of hexadecimal octets."""
        value = self.get(name, str, default)
        return value if value is default and default is not ... else _octets(name, value)

    def components(self, name: str) -> dict[int, bytes]:
        """Application components: a decimal number each, and its octets; empty if the field is missing."""
        given = self.get(name, dict, {})
        if not all(number.isdecimal() and isinstance(data, str) for number, data in given.items()):
            raise Refused("request", f"the field {name!r} does not map numbers to octets")
        return {int(number): _octets(name, data) for number, data in given.items()}

    def pairs(self, name: str) -> list[tuple[int, bytes]]:
        """A list of numbers with octets each, empty if the field is missing."""
        given = self.get(name, list, [])
        for pair in given:
            if not (isinstance(pair, list) and [type(one) for one in pair] == [int, str]):
                raise Refused("request", f"the field {name!r} is no list of numbers with octets")
        return [(number, _octets(name, data)) for number, data in given]

    def list_of(self, name: str, kind: type) -> list[Any]:
        """A list, empty if the field is missing; ``bytes`` reads hexadecimal octets."""
        values = self.get(name, list, [])
        wanted = str if kind is bytes else kind
        if any(not isinstance(value, wanted) for value in values):
            raise Refused("request", f"the field {name!r} holds something else than {wanted.__name__}")
        return [_octets(name, value) for value in values] if kind is bytes else values


def _octets(name: str, value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise Refused("request", f"the field {name!r} is not hexadecimal") from None


class Desk(Protocol):
    """Whatever has a method for each operation; each returns the answer or raises."""

    def __getattr__(self, operation: str) -> Any: ...


def answer(desk: Desk, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one request; a refusal is an answer too, a fault of the desk itself is raised."""
    operation = fields.get("op")
    if operation not in OPERATIONS:
        return {"error": "request", "text": f"no operation {operation!r}"}
    try:
        answered: dict[str, Any] = getattr(desk, operation)(Request(fields))
    except Refused as refusal:
        return {"error": refusal.code, "text": refusal.text}
    except ProtocolError as error:
        return {"error": error.code, "text": str(error)}
    return answered


def parse(line: str) -> dict[str, Any]:
    """Read one line; raises ``Refused`` if it is no JSON object."""
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise Refused("request", f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Refused("request", "a request is a JSON object")
    return fields


def serve(desk: Desk) -> None:
    """Answer the lines of stdin on stdout until stdin ends."""
    for line in sys.stdin:
        try:
            answered = answer(desk, parse(line))
        except Refused as refusal:
            answered = {"error": refusal.code, "text": refusal.text}
        print(json.dumps(answered), flush=True)
