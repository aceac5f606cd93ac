"""The fuzz targets' own seeds, and each of them cut short; MLS and the business API have such tests of their own."""

from __future__ import annotations

from itertools import islice
from types import ModuleType

import pytest

from tests.fuzz import (
    fuzz_attachment,
    fuzz_cbor,
    fuzz_commerce,
    fuzz_content,
    fuzz_degrade,
    fuzz_grant,
    fuzz_html,
    fuzz_markdown,
    fuzz_marks,
    fuzz_matrix,
    fuzz_matrix_arrivals,
    fuzz_status,
    fuzz_uri,
    fuzz_wire,
    fuzz_xmpp,
    fuzz_xmpp_inbox,
)

TARGETS = (
    fuzz_attachment,
    fuzz_cbor,
    fuzz_commerce,
    fuzz_content,
    fuzz_degrade,
    fuzz_grant,
    fuzz_html,
    fuzz_markdown,
    fuzz_marks,
    fuzz_matrix,
    fuzz_matrix_arrivals,
    fuzz_status,
    fuzz_uri,
    fuzz_wire,
    fuzz_xmpp,
    fuzz_xmpp_inbox,
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__.rpartition("fuzz_")[2])
def test_every_seed_and_what_is_left_of_it_when_cut(target: ModuleType) -> None:
    target.one_input(b"")
    for seed in islice(target.seeds(), 60):
        target.one_input(seed)
        target.one_input(seed[: len(seed) // 2])
