"""Places: ``m.location`` (Client-Server API, "m.location"), with or without what MSC3488 adds to it; pure."""

from __future__ import annotations

from typing import Any, Final

from protocol import commerce, geo
from protocol.content import MultiPart

MSGTYPE: Final = "m.location"
_EXTENSIBLE: Final = ("m.location", "org.matrix.msc3488.location")
_LONGEST: Final = 256


def decode(content: dict[str, Any], body: str) -> MultiPart | None:
    """Return the place that a message's content names, with its ``body`` as the words for it; None if it names none.

    ``body`` is a name of the place, unless it repeats the URI in a sentence, as many clients write it.
    """
    extensible = next((each for key in _EXTENSIBLE if isinstance(each := content.get(key), dict)), {})
    uri = next((each for each in (extensible.get("uri"), content.get("geo_uri")) if isinstance(each, str)), "")
    found = geo.parse(uri.strip())
    if found is None:
        return None
    described = extensible.get("description")
    name = described.strip() if isinstance(described, str) else ""
    if not name and "geo:" not in body.lower():
        name = body.strip()
    place = commerce.Location(latitude=found[0], longitude=found[1], name=_named(name))
    return commerce.message(place, body if "geo:" in body.lower() else "")


def encode(place: commerce.Location) -> dict[str, Any]:
    """Return the content that shows a place; its ``body`` says everything that there is to say of it."""
    uri = geo.write(place.latitude, place.longitude)
    extensible = {"uri": uri} | ({"description": place.name} if place.name else {})
    return {
        "msgtype": MSGTYPE,
        "body": commerce.text_of(place),
        "geo_uri": uri,
        "org.matrix.msc3488.location": extensible,
        "org.matrix.msc3488.asset": {"type": "m.pin"},
    }


def _named(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return ""  # a lone surrogate, which no other network could carry
    return " ".join(name.split())[:_LONGEST]
