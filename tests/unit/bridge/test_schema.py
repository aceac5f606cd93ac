"""``specs/config.schema.json`` is what editors check a configuration against; it is generated, and this keeps it true.

``python -m tests.unit.bridge.test_schema`` writes it anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from bridge.config import Config

PAGE = Path(__file__).parents[3] / "specs" / "config.schema.json"


def generated() -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "rialto.toml"}
    return json.dumps(schema | msgspec.json.schema(Config), indent=2) + "\n"


def test_the_schema_is_that_of_the_configuration() -> None:
    assert PAGE.read_text() == generated(), "write it anew: python -m tests.unit.bridge.test_schema"


if __name__ == "__main__":
    PAGE.write_text(generated())
