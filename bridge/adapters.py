"""Finding adapters, and reading their accounts' settings.

Adapters are entry points of the group ``rialto.adapters``; ours are registered like a stranger's.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from msgspec import Struct

from adapters.contract import Adapter, AdapterInfo
from bridge.config import EndpointConfig, Loaded, convert
from bridge.errors import AdapterError, ConfigError

GROUP = "rialto.adapters"


def find(name: str) -> type[Adapter[Any]]:
    """Load the adapter of this entry point name. Raises ``AdapterError``."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(sorted(known)) or 'none'}"
        raise AdapterError(f"there is no adapter '{name}'{hint}")
    try:
        loaded = known[name].load()
    except (ImportError, AttributeError) as error:
        raise AdapterError(f"the adapter '{name}' cannot be loaded: {error}") from error
    if not isinstance(getattr(loaded, "info", None), AdapterInfo):
        raise AdapterError(f"the adapter '{name}' has no AdapterInfo")
    found: type[Adapter[Any]] = loaded
    return found


def of_endpoint(name: str, endpoint: EndpointConfig) -> type[Adapter[Any]]:
    """Load the adapter of a configured endpoint. Raises ``AdapterError``."""
    return find(endpoint.adapter or name)


def account(loaded: Loaded, name: str, kind: type[Adapter[Any]]) -> Struct:
    """Read ``[endpoint.NAME.account]`` into the adapter's own settings. Raises ``ConfigError``.

    Settings that name a file or a folder are taken from the configuration's own folder when they are relative.
    """
    endpoint = loaded.config.endpoint[name]
    table = {key: _absolute(key, value, loaded.folder) for key, value in endpoint.account.items()}
    return convert(table, kind.info.config, loaded.text, "rialto.toml", ("endpoint", name, "account"))


def _absolute(key: str, value: object, folder: Path) -> object:
    if isinstance(value, str) and value and key.endswith(("_file", "_folder")) and not value.startswith("$"):
        return str(folder / value)
    return value


def findings(loaded: Loaded) -> tuple[str, ...]:
    """Say everything that is wrong with the configured endpoints, adapters and their settings."""
    found: list[str] = []
    for name, endpoint in loaded.config.endpoint.items():
        try:
            account(loaded, name, of_endpoint(name, endpoint))
        except AdapterError as error:
            found.append(f"endpoint.{name}: {error}")
        except ConfigError as error:
            found.extend(error.findings)
    return tuple(found)


def networks(loaded: Loaded) -> Mapping[str, str]:
    """Return the network (the adapter's id) of each configured endpoint. Raises ``AdapterError``."""
    return {name: of_endpoint(name, endpoint).info.id for name, endpoint in loaded.config.endpoint.items()}
