"""The fuzz targets' own seeds, what fuzzing once found, and each seed cut short."""

from __future__ import annotations

import pytest

from tests.fuzz import fuzz_mls_handshake, fuzz_mls_join, fuzz_mls_messages, fuzz_mls_stored, fuzz_mls_tree

TARGETS = (fuzz_mls_handshake, fuzz_mls_join, fuzz_mls_messages, fuzz_mls_stored, fuzz_mls_tree)
FOUND = (
    (fuzz_mls_stored, bytes.fromhex("0410")),
    (fuzz_mls_stored, bytes.fromhex("040800010003430303032603030303030303010303020303030a01")),
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__.rsplit("_", 1)[1])
def test_every_seed_and_what_is_left_of_it_when_cut(target):
    target.one_input(b"")
    for seed in target.seeds():
        target.one_input(seed)
        target.one_input(seed[: len(seed) // 2])


@pytest.mark.parametrize(("target", "data"), FOUND)
def test_what_fuzzing_found(target, data):
    target.one_input(data)
