"""Leg classes: a chain is as strong as its weakest leg."""

from __future__ import annotations

import pytest

from protocol.leg import LegClass, assurance


@pytest.mark.parametrize(
    ("legs", "worst"),
    [
        ([LegClass.DEVICES], LegClass.DEVICES),
        ([LegClass.DEVICES, LegClass.OPEN, LegClass.OPERATOR], LegClass.OPEN),
        ([LegClass.OWN_BRIDGE, LegClass.PROVIDER], LegClass.PROVIDER),
        ([], LegClass.OPEN),  # nobody is there who could keep a promise
    ],
)
def test_a_room_is_as_good_as_its_worst_leg(legs: list[LegClass], worst: LegClass) -> None:
    assert assurance(legs) is worst


def test_every_class_has_words_of_its_own_and_none_of_ours_is_called_audited() -> None:
    labels = [leg.label for leg in LegClass]
    assert len(set(labels)) == len(labels) == 5
    assert all(("unaudited" in label) == label.startswith("end-to-end") for label in labels)
