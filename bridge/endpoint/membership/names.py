"""The names that an endpoint gives to its own people: what they were once, they stay."""

from __future__ import annotations

from bridge.endpoint.errors import MovedError
from bridge.endpoint.ledger.contract import Change, Ledger
from bridge.endpoint.membership.keys import ENDPOINT
from bridge.endpoint.settings import EndpointSettings

_NETWORK = "address-network"


async def keep_names(ledger: Ledger, settings: EndpointSettings) -> None:
    """See to it that the endpoint's people keep the network that stands in their addresses since its first start.

    Rooms, other networks' ghosts and what people have saved as contacts are all made of these names. Raises
    ``MovedError`` when the configuration, edited, would name everybody anew.
    """
    wanted = settings.address_network or settings.network
    stored = await ledger.get(ENDPOINT, _NETWORK)
    if stored is None:
        # A ledger that is older than this record is of a time when there was one account for each network.
        known = await ledger.get(ENDPOINT, "identity") is not None
        stored = (settings.network if known else wanted).encode()
        await ledger.commit(Change(records=[(ENDPOINT, _NETWORK, stored)]))
    before = stored.decode()
    if before != wanted:
        cure = "true" if before == settings.network else "false"
        raise MovedError(
            f"the people of the endpoint '{settings.name}' are named {before}~ since its first start, and by the"
            f" configuration they would be {wanted}~: write default = {cure} below [endpoint.{settings.name}]"
        )
