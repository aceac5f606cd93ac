"""Finding adapters, and reading their accounts' settings.

Adapters are entry points of the group ``rialto.adapters``; ours are registered like a stranger's.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from msgspec import Struct

from adapters.contract import Adapter, AdapterInfo, Webhooks
from bridge.config import EndpointConfig, Loaded, convert, line_of
from bridge.errors import AdapterError, ConfigError
from protocol.uri import UriError, account_network, is_network

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
    if not is_network(loaded.info.id):
        raise AdapterError(
            f"the adapter '{name}' calls its network '{loaded.info.id}': a-z, 0-9 and - only, 32 at most"
        )
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
    accounts: dict[str, Struct] = {}
    kinds: dict[str, str] = {}
    for name, endpoint in loaded.config.endpoint.items():
        try:
            kind = of_endpoint(name, endpoint)
            kinds[name] = kind.info.id
            accounts[name] = account(loaded, name, kind)
            if issubclass(kind, Webhooks) and not endpoint.listen:
                line = line_of(loaded.text, ["endpoint", name])
                found.append(f"rialto.toml:{line}: endpoint.{name}.listen: its network calls us over HTTP: say where")
        except AdapterError as error:
            found.append(f"endpoint.{name}: {error}")
        except ConfigError as error:
            found.extend(error.findings)
    found.extend(_overlaps(loaded, accounts, kinds))
    if not found:
        try:
            address_networks(loaded)
        except AdapterError as error:
            found.append(str(error))
    return tuple(found)


def networks(loaded: Loaded) -> Mapping[str, str]:
    """Return the network (the adapter's id) of each configured endpoint whose adapter can be loaded.

    One that cannot be is that endpoint's matter: it says so when it is started, and by ``findings``.
    """
    found = {}
    for name, endpoint in loaded.config.endpoint.items():
        with contextlib.suppress(AdapterError):
            found[name] = of_endpoint(name, endpoint).info.id
    return found


def address_networks(loaded: Loaded) -> Mapping[str, str]:
    """Return, for each configured endpoint, the network in the addresses of its own people: no two have the same.

    It is the adapter's id for the network's default account, and ``id.endpoint`` for each other one. Raises
    ``AdapterError``.
    """
    found = networks(loaded)
    defaults = {network: _default(loaded, names) for network, names in _by_network(found).items()}
    try:
        return {
            name: network if defaults[network] == name else account_network(network, name)
            for name, network in found.items()
        }
    except UriError as error:
        raise AdapterError(f"an endpoint beside another of its network needs a short name: {error}") from error


def _default(loaded: Loaded, names: Sequence[str]) -> str:
    """Return which of one network's accounts is its default; '' if all of them say that they are not."""
    wishes = {name: loaded.config.endpoint[name].default for name in names}
    stated = [name for name, wish in wishes.items() if wish]
    return next(iter(stated or [name for name, wish in wishes.items() if wish is None]), "")


def _by_network(networks: Mapping[str, str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, network in networks.items():
        found.setdefault(network, []).append(name)
    return found


def _overlaps(loaded: Loaded, accounts: Mapping[str, Struct], networks: Mapping[str, str]) -> Iterator[str]:
    """Say which accounts of one network cannot be told apart."""
    for network, names in _by_network(networks).items():
        defaults = [name for name in names if loaded.config.endpoint[name].default]
        for name in defaults[1:]:
            line = line_of(loaded.text, ["endpoint", name, "default"])
            yield f"rialto.toml:{line}: endpoint.{name}.default: {defaults[0]} is the default of {network} already"
        for other, name in itertools.combinations(names, 2):
            line = line_of(loaded.text, ["endpoint", name, "account"])
            for mine, theirs in itertools.product(_exclusive(accounts.get(name)), _exclusive(accounts.get(other))):
                if _overlap(mine, theirs):
                    yield f"rialto.toml:{line}: endpoint.{name}.account: {mine}: endpoint.{other} has {theirs} already"


def _exclusive(account: Struct | None) -> Sequence[str]:
    return getattr(account, "exclusive", ())


def _overlap(one: str, other: str) -> bool:
    """Say whether two names may be the same; ``*`` in a name stands for anything."""
    kinds = [name.partition("*") for name in (one, other)]
    (start, star, end), (start2, star2, end2) = kinds
    if not star and not star2:
        return one == other
    if star and star2:
        return end == end2 and (start.startswith(start2) or start2.startswith(start))
    pattern, name = ((start, end), other) if star else ((start2, end2), one)
    return name.startswith(pattern[0]) and name.endswith(pattern[1])
