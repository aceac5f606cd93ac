"""The desks that tests put against one another."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.mlsrs import RustDesk
from tests.interop.ours import OurDesk
from tests.interop.process import Inside, Peer, Program
from tests.interop.world import MLSRS, OURS, TSMLS, World

FOLDER = Path(__file__).parent / "tsmls"
ROOT = Path(__file__).parents[2]


def _installed() -> bool:
    """Whether every package is there in the version that is pinned."""
    pinned = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    manifests = {name: FOLDER / "node_modules" / name / "package.json" for name in pinned}
    return all(
        path.is_file() and json.loads(path.read_text())["version"] == pinned[name] for name, path in manifests.items()
    )


def _start_tsmls() -> Program:
    """ts-mls in a node process of its own, installed if it is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("ts-mls needs node and npm, and one of them is not installed")
    if not _installed():
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=300)
    return Program([node, "peer.mjs"], cwd=FOLDER)


class Peers(dict[str, Peer]):
    """All three implementations; ts-mls starts when it is first wanted."""

    def __missing__(self, kind: str) -> Peer:
        if kind != TSMLS:
            raise KeyError(kind)
        self[kind] = _start_tsmls()
        return self[kind]


@pytest.fixture(scope="session")
def peers():
    known = Peers({OURS: Inside(OurDesk()), MLSRS: Inside(RustDesk())})
    yield known
    for peer in known.values():
        peer.close()


@pytest.fixture
def world(peers):
    """An empty place for a group."""
    return World(peers)


@pytest.fixture
def program():
    """Our side as the program that others are put against."""
    ours = Program([sys.executable, "-m", "tests.interop.peer"], cwd=ROOT)
    yield ours
    ours.close()
