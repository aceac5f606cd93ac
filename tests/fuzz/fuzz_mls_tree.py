"""Any bytes taken for a ratchet tree are refused in MLS's own words, or are a tree whose every question has an answer.

``python -m tests.fuzz.fuzz_mls_tree [-max_total_time=600] [CORPUS]``; needs atheris. The first octet chooses the cipher
suite. Signatures are believed.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol.mls.errors import MlsError
from protocol.mls.members import members_of
from protocol.mls.suites import SUITES
from protocol.mls.tree import RatchetTree
from protocol.mls.treecheck import check_tree
from protocol.mls.validation import check_members
from tests.fuzz.mls_world import World, believe_signatures, fuzz

_SUITES = tuple(SUITES.values())


def one_input(data: bytes) -> None:
    """Read a tree, judge it as one that arrives with a GroupInfo, and change it."""
    suite = _SUITES[data[0] % len(_SUITES)] if data else _SUITES[0]
    try:
        tree = RatchetTree.decode(suite, data[1:])
    except MlsError:
        return
    assert tree.encode() == data[1:]
    before, leaves = tree.hash(), [index for index, _ in tree.leaves()]
    _judged(tree)
    for place in range(len(tree.nodes)):
        resolution = tree.resolution(place)
        assert len(set(resolution)) == len(resolution) or tree.parent(place) is not None
    for index in leaves:
        assert [place for place, _ in tree.filtered_path(index)] == sorted(
            (place for place, _ in tree.filtered_path(index)), key=lambda place: place ^ (place + 1)
        )
    twin = tree.clone()
    twin.remove(leaves[0])
    assert tree.hash() == before
    assert RatchetTree.decode(suite, twin.encode()).hash() == twin.hash() if len(leaves) > 1 else True


def _judged(tree: RatchetTree) -> None:
    """What a joiner checks; a tree that passes has members that can be described."""
    try:
        check_tree(tree)
        tree.check_keys()
        check_members(tree, b"room", ())
    except MlsError:
        return
    members_of(tree)


def seeds() -> Iterator[bytes]:
    """Trees of two, with a path, and of three."""
    world = World()
    yield b"\0" + world.alice.view.tree.encode()
    world.alice.merge(world.stage(add=[world.carol.message]))
    yield b"\0" + world.alice.view.tree.encode()
    world.alice.merge(world.stage(path=True))
    yield b"\0" + world.alice.view.tree.encode()
    world.alice.merge(world.stage(remove=[1]))
    yield b"\0" + world.alice.view.tree.encode()


if __name__ == "__main__":
    believe_signatures()
    fuzz(one_input, seeds())
