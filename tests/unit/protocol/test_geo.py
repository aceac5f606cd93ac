"""Places as ``geo:`` URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import geo


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("geo:45.438,12.336", (45.438, 12.336)),
        ("geo:-90,180", (-90.0, 180.0)),
        ("GEO:45.438,-12.5,7.25", (45.438, -12.5)),
        ("geo:45.438,12.336;u=35", (45.438, 12.336)),
        ("geo:45.438,12.336;crs=WGS84;u=35", (45.438, 12.336)),
        ("geo:45.438,12.336?z=17&q=Rialto", (45.438, 12.336)),
    ],
)
def test_a_place_is_read(uri: str, place: tuple[float, float]) -> None:
    assert geo.parse(uri) == place


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "geo:",
        "geo:45.438",
        "geo:45.438,",
        "geo:90.1,0",
        "geo:0,180.1",
        "geo:45.438,12.336;crs=nad27",
        "geo:45.438, 12.336",
        "geo:45.438,12.336 is where I am",
        "I am at geo:45.438,12.336",
        "geo:nan,inf",
        "geo:1e1,0",
        "geo:٤٥,١٢",
        "http://45.438,12.336",
    ],
)
def test_what_names_no_place_is_none(uri: str) -> None:
    assert geo.parse(uri) is None


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_what_is_written_is_read_to_a_tenth_of_a_metre(latitude: float, longitude: float) -> None:
    read = geo.parse(geo.write(latitude, longitude))
    assert read is not None
    assert read == pytest.approx((latitude, longitude), abs=1e-6)
