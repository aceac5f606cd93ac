"""``specs/config.schema.json`` is what editors check a configuration against; it is generated, and this keeps it true.

``python -m tests.unit.bridge.test_schema`` writes it anew.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from bridge.config import Config

PAGE = Path(__file__).parents[3] / "specs" / "config.schema.json"


def generated() -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "rialto.toml"}
    return json.dumps(_cleaned(schema | msgspec.json.schema(Config)), indent=2) + "\n"


def _cleaned(schema: Any) -> Any:
    """Write docstrings without their indentation, which Python 3.13 takes away and earlier ones leave."""
    if isinstance(schema, dict):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _cleaned(value)
            for key, value in schema.items()
        }
    return [_cleaned(each) for each in schema] if isinstance(schema, list) else schema


def test_the_schema_is_that_of_the_configuration() -> None:
    assert PAGE.read_text() == generated(), "write it anew: python -m tests.unit.bridge.test_schema"


if __name__ == "__main__":
    PAGE.write_text(generated())
