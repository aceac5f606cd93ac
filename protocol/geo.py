"""``geo:`` URIs (RFC 5870), as people's clients write them when they share a place."""

from __future__ import annotations

import re
from typing import Final

_DECIMALS: Final = r"-?[0-9]{1,3}(?:\.[0-9]{1,32})?"
_URI: Final = re.compile(
    rf"geo:({_DECIMALS}),({_DECIMALS})(?:,-?[0-9]{{1,8}}(?:\.[0-9]{{1,32}})?)?((?:;[^\s;?]{{1,200}}){{0,16}})(?:\?\S{{0,1000}})?",
    re.IGNORECASE,
)
_WGS84: Final = "wgs84"


def parse(uri: str) -> tuple[float, float] | None:
    """Return the latitude and longitude that a ``geo:`` URI names, in degrees on WGS 84; None if it names none.

    An altitude, an uncertainty and other parameters are passed over; another reference system is not understood.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        return None
    for parameter in found[3].lower().split(";"):
        name, _, value = parameter.partition("=")
        if name == "crs" and value != _WGS84:
            return None
    latitude, longitude = float(found[1]), float(found[2])
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def write(latitude: float, longitude: float) -> str:
    """Return the ``geo:`` URI of a place, to a tenth of a metre."""
    return f"geo:{latitude:.6f},{longitude:.6f}"
