"""Making the daemon's parts out of the configuration."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL

from adapters.contract import AdapterInfo
from bridge import adapters
from bridge.authority import Granting, OperatorAuthority, read_public
from bridge.config import Config, EndpointConfig, Loaded
from bridge.directory import Person, PlumbedRoom
from bridge.endpoint.ledger.retention import Keep
from bridge.endpoint.settings import EndpointSettings, MediaLimits, RetryLimits
from bridge.errors import SecretError
from bridge.router.configuration import DAY, RoomConfiguration
from bridge.router.grants import EndpointGrant, hash_token
from bridge.router.hub import Hub, Limits, Retention, wall_clock
from bridge.router.mls_groups import MlsGroups
from bridge.secrets import AUTHORITY_PUBLIC, authority_key, authority_public, router_token
from protocol.leg import LegClass
from protocol.uri import endpoint_uri, namespace, room_uri


def split_address(listen: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (``[::1]:80`` too), which the configuration has checked."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def grants(loaded: Loaded) -> dict[str, EndpointGrant]:
    """Return what the router knows of each endpoint: its name, whom it speaks for, and a hash of its token.

    Raises ``AdapterError`` and ``SecretError``.
    """
    config = loaded.config
    return {
        name: EndpointGrant(
            uri=endpoint_uri(config.domain, name),
            namespaces=(namespace(config.domain, network),),
            token_hash=hash_token(router_token(loaded.data, name)),
        )
        for name, network in adapters.address_networks(loaded).items()
    }


def hub(loaded: Loaded) -> Hub:
    """Make the router. It reads the endpoints' tokens, to know them, and no key.

    Raises ``AdapterError`` and ``SecretError``.
    """
    config = loaded.config
    return Hub(
        database(config.router.database, loaded.data / "router.db"),
        loaded.data / "blobs",
        grants(loaded),
        config.domain,
        limits=Limits(message=config.router.max_message_bytes, blob=config.router.max_blob_bytes),
        bounds=config.limits,
        rooms=room_configuration(config),
        groups=MlsGroups(authority(loaded)),
        retention=Retention(blobs=config.router.retention_days * DAY, receipts=config.router.retention_days * DAY),
    )


def room_configuration(config: Config) -> RoomConfiguration:
    """Return what the router is told of plumbed rooms: which endpoints belong into each."""
    return RoomConfiguration(
        rooms={
            room_uri(config.domain, room.id): frozenset(endpoint_uri(config.domain, name) for name in room.members)
            for room in config.room
        },
        revision=config.revision,
        away=int(config.rooms.away_days * DAY),
    )


def authority(loaded: Loaded) -> OperatorAuthority:
    """Return who judges leaves: by the keys that the configuration names, or those beside the data. It holds no secret.

    Raises ``SecretError`` if there are neither, but endpoints to be judged.
    """
    config = loaded.config
    keys = authority_keys(loaded)
    if not keys and config.endpoint:
        raise SecretError(
            f"{loaded.data / AUTHORITY_PUBLIC} is not there, and [authority] names no keys: 'rialto init' makes "
            "an authority where everything runs in one folder, 'rialto key authority' prints the key of one elsewhere"
        )
    revoked = {endpoint_uri(config.domain, name): number for name, number in config.authority.revoked.items()}
    return OperatorAuthority(keys, config.domain, wall_clock, revoked=revoked)


def authority_keys(loaded: Loaded) -> tuple[bytes, ...]:
    """Return the authority's public keys: those of the configuration, else those in ``authority.pub``; perhaps none."""
    return tuple(map(read_public, loaded.config.authority.keys)) or authority_public(loaded.data)


def granting(loaded: Loaded, judge: OperatorAuthority) -> Granting:
    """Return what gives the endpoints of this process their grants. Raises ``SecretError``."""
    return Granting(judge, loaded.data / "grants", wall_clock, private=authority_key(loaded.data))


def endpoint_settings(loaded: Loaded, name: str, adapter: AdapterInfo, *, distrust: bool = False) -> EndpointSettings:
    """Return what an endpoint is told of itself; ``distrust``: its ledger is an older copy."""
    config = loaded.config
    address_network = adapters.address_networks(loaded)[name]
    leg = config.endpoint[name].leg
    return EndpointSettings(
        name=name,
        domain=config.domain,
        network=adapter.id,
        address_network=address_network,
        leg=adapter.leg if leg is None else LegClass(leg),
        namespaces=(namespace(config.domain, address_network),),
        rooms=_plumbed(config, name),
        persons=tuple(Person(person.name, tuple(person.addresses)) for person in config.person),
        retry=RetryLimits(attempts=config.delivery.max_attempts, age=config.delivery.max_age_hours * 3600),
        parallel=config.delivery.parallel,
        media=MediaLimits(folder=str(spool(loaded.data)), link_age=int(config.delivery.link_minutes * 60)),
        limits=config.limits,
        keep=_keep(config),
        distrust=distrust,
        revision=config.revision,
        away=config.rooms.away_days * 86_400,
        grace=config.authority.grace_days * 86_400,
    )


def _keep(config: Config) -> Keep:
    days, deadline = config.retention, int(config.delivery.max_age_hours * 3_600_000)
    return Keep(
        excerpts=int(days.excerpt_days * DAY),
        timeline=int(days.timeline_days * DAY),
        log=int(days.log_days * DAY),
        parked=int(days.parked_days * DAY),
        statuses=max(7 * DAY, int(days.status_days * DAY), 2 * deadline),
    )


def endpoint_database(loaded: Loaded, name: str, endpoint: EndpointConfig) -> str:
    """Return the URL of an endpoint's ledger."""
    return database(endpoint.database, loaded.data / f"endpoint-{name}.db")


def database(configured: str, file: Path) -> str:
    """Return the configured database URL (``$VARIABLES`` put in), or that of an SQLite file."""
    if configured:
        return os.path.expandvars(configured)
    return URL.create("sqlite", database=str(file.absolute())).render_as_string(hide_password=False)


def spool(data: Path) -> Path:
    """Return the folder for attachments on their way, which only its owner may read."""
    folder = data / "spool"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _plumbed(config: Config, name: str) -> tuple[PlumbedRoom, ...]:
    return tuple(
        PlumbedRoom(
            id=room.id,
            name=room.name or room.id,
            conversation=room.members[name],
            creator=next(iter(room.members)) == name,
            members=tuple(room.members),
        )
        for room in config.room
        if name in room.members
    )
