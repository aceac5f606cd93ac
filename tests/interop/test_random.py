"""Groups of several implementations live at random; after each commit all agree on the epoch authenticator."""

from __future__ import annotations

import os
import time
from random import Random

import pytest

from tests.interop.random_life import Life
from tests.interop.world import MLSRS, OURS, TSMLS

SEED = int(os.environ.get("RIALTO_INTEROP_SEED", "9420"))
EVENTS = int(os.environ.get("RIALTO_INTEROP_EVENTS", "300"))

MIXES = {
    "2 with ts-mls": [OURS, TSMLS],
    "2 with mls-rs": [OURS, MLSRS],
    "5 with mls-rs": [OURS, MLSRS, OURS, MLSRS, MLSRS],
    "5": [OURS, TSMLS, MLSRS, TSMLS, MLSRS],
    "33": [OURS] * 27 + [MLSRS] * 5 + [TSMLS],
}


@pytest.mark.parametrize("mix", MIXES)
def test_members_of_several_implementations_agree_for_all_their_life(world, mix):
    random, began = Random(f"{SEED} {mix}"), time.monotonic()
    kinds = MIXES[mix]
    life = Life(world, random, len(kinds), [OURS, *random.sample(kinds[1:], len(kinds) - 1)])
    print(f"\ngroup of {mix}, seed {SEED}, {EVENTS} events", flush=True)
    try:
        life.play(EVENTS)
    except BaseException:
        print("at the end:", *world.story[-40:], sep="\n  ")
        raise
    finally:
        took = time.monotonic() - began
        print(f"{life.done} events, {world.commits} commits, {took:.1f} s: {dict(life.played)}; {world.members}")
    assert world.commits > EVENTS // 3
