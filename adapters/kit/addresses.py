"""Whether somebody can be there at all, before anything is done for them. Pure."""

from __future__ import annotations

from protocol.address import address
from protocol.uri import Address, UriError


def flaw(person: Address) -> str:
    """Say in words why nobody can have this address, or that it is spelt in another way; '' if it is well.

    An adapter asks this about addresses that it has read out of its own names for people of other networks: what the
    endpoint would refuse later is refused where it was written.
    """
    try:
        spelt = address(person.network, person.id)
    except UriError as error:
        return str(error)
    return "" if spelt == person else f"{str(person)[:200]!r} is written {str(spelt)[:200]!r}"
