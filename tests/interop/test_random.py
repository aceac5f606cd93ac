"""Groups of several implementations live at random; after each commit all agree on the epoch authenticator.

``RIALTO_INTEROP_SEED`` draws another life, ``RIALTO_INTEROP_EVENTS`` a longer one (300 events if not given).
"""

from __future__ import annotations

import os
import time
from random import Random

import pytest

from tests.interop.random_life import Life
from tests.interop.world import MLSRS, OURS, TSMLS, World

SEED = int(os.environ.get("RIALTO_INTEROP_SEED", "9420"))
EVENTS = int(os.environ.get("RIALTO_INTEROP_EVENTS", "300"))

MIXES = {
    "2 with ts-mls": [OURS, TSMLS],
    "2 with mls-rs": [OURS, MLSRS],
    "5 with mls-rs": [OURS, MLSRS, OURS, MLSRS, MLSRS],
    "5": [OURS, TSMLS, MLSRS, TSMLS, MLSRS],
    "33": [OURS] * 25 + [MLSRS] * 6 + [TSMLS] * 2,
}


def live(world, name, kinds, events):
    """Play a life and tell of it; whatever goes wrong can be had again with its seed."""
    random, began = Random(f"{SEED} {name}"), time.monotonic()
    print(f"\ngroup of {name}, seed {SEED}, {events} events", flush=True)
    life = Life(world, random, len(kinds), [OURS, *random.sample(kinds[1:], len(kinds) - 1)])
    try:
        life.play(events)
    except BaseException:
        print("at the end:", *world.story[-40:], sep="\n  ")
        raise
    finally:
        took = time.monotonic() - began
        print(f"{life.done} events, {world.commits} commits, {took:.1f} s: {dict(life.played)}; {world.members}")
    assert life.done == events
    assert world.commits > events // 3


@pytest.mark.parametrize("mix", MIXES)
def test_members_of_several_implementations_agree_for_all_their_life(world, mix):
    live(world, mix, MIXES[mix], EVENTS)


@pytest.mark.parametrize("suite", [2, 3, 7])
def test_so_they_do_in_other_cipher_suites(peers, suite):
    live(World(peers, suite), f"4 in suite {suite}", [OURS, TSMLS, OURS, TSMLS], EVENTS // 6)
