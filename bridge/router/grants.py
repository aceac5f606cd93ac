"""Who may speak to the router, and for whom: one grant for each endpoint, from the configuration."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator

from msgspec import Struct


class EndpointGrant(Struct, frozen=True):
    """What an endpoint may do: be ``uri``, and speak for users whose URIs start with one of ``namespaces``.

    ``token_hash`` is ``hash_token`` of its bearer token; empty if it never comes over HTTP.
    """

    uri: str
    namespaces: tuple[str, ...]
    token_hash: bytes = b""

    def covers(self, namespaces: Iterable[str]) -> bool:
        """Say whether a leaf that claims these namespaces stays within this grant."""
        return all(namespace.startswith(self.namespaces) for namespace in namespaces)


def hash_token(token: str) -> bytes:
    """Return what is kept of a bearer token: its SHA-256, enough for a random token of 128 bits or more."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()  # a header may hold any octets


class Grants:
    """All grants, found by the endpoint's URI, by token, or by a user whom the endpoint speaks for."""

    def __init__(self, grants: Iterable[EndpointGrant]) -> None:
        self._by_uri = {grant.uri: grant for grant in grants}

    def __iter__(self) -> Iterator[EndpointGrant]:
        return iter(self._by_uri.values())

    def get(self, uri: str) -> EndpointGrant | None:
        """Return an endpoint's grant."""
        return self._by_uri.get(uri)

    def allows(self, uri: str, namespaces: Iterable[str]) -> bool:
        """Say whether ``uri`` is an endpoint of ours that may claim these namespaces."""
        grant = self._by_uri.get(uri)
        return grant is not None and grant.covers(namespaces)

    def authenticate(self, token: str) -> EndpointGrant | None:
        """Return the grant that this token opens. Takes the same time whichever it is, if any."""
        digest = hash_token(token)
        found = None
        for grant in self._by_uri.values():
            if hmac.compare_digest(grant.token_hash, digest):
                found = grant
        return found

    def speakers(self, user: str) -> tuple[str, ...]:
        """Return the endpoints that speak for a user URI, sorted: those with the longest namespace that it starts with.

        One today, several when one account's leaves are spread over several endpoints.
        """
        matches = [
            (len(namespace), grant.uri)
            for grant in self._by_uri.values()
            for namespace in grant.namespaces
            if user.startswith(namespace)
        ]
        longest = max((length for length, _ in matches), default=0)
        return tuple(sorted({uri for length, uri in matches if length == longest}))
