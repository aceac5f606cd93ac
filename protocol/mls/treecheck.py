"""Checks of a ratchet tree that arrives from someone else (RFC 9420 §7.9.2 and §12.4.3.1)."""

from __future__ import annotations

from protocol.mls import treemath as tm
from protocol.mls.errors import ParentHashError, TreeError
from protocol.mls.leaf import LeafNode
from protocol.mls.tree import Node, ParentNode, RatchetTree


def check_tree(tree: RatchetTree) -> None:
    """Refuse a tree with odd unmerged leaves, broken parent hashes or doubled keys."""
    check_unmerged(tree)
    check_parent_hashes(tree)
    tree.check_keys()


def check_unmerged(tree: RatchetTree) -> None:
    """Refuse inner nodes without a usable key, or with unmerged leaves blank, foreign, doubled or merged below."""
    for place in range(1, len(tree.nodes), 2):
        node = tree.parent(place)
        if node is None:
            continue
        node.public(tree.suite)
        if list(node.unmerged) != sorted(set(node.unmerged)):
            raise TreeError(f"the unmerged leaves of node {place} do not ascend")
        span = tm.leaf_span(place)
        for leaf in node.unmerged:
            if leaf not in span or tree.leaf(leaf) is None:
                raise TreeError(f"leaf {leaf} cannot be unmerged at node {place}")
            _check_between(tree, leaf, place)


def _check_between(tree: RatchetTree, leaf: int, top: int) -> None:
    place = tm.parent(2 * leaf)
    while place != top:
        node = tree.parent(place)
        if node is not None and leaf not in node.unmerged:
            raise TreeError(f"leaf {leaf} is unmerged at node {top} but not at node {place} below")
        place = tm.parent(place)


def check_parent_hashes(tree: RatchetTree) -> None:
    """Refuse a parent node that no descendant vouches for by its parent hash."""
    for place in range(1, len(tree.nodes), 2):
        node = tree.parent(place)
        if node is not None and not _vouched(tree, place, node):
            raise ParentHashError(f"no node below node {place} carries its parent hash")


def _vouched(tree: RatchetTree, place: int, node: ParentNode) -> bool:
    for child in (tm.left(place), tm.right(place)):
        covered = tree.resolution(child)
        unmerged = {2 * leaf for leaf in node.unmerged if tm.below(2 * leaf, child)}
        expected = tree.parent_hash(place, tm.sibling(child))
        for candidate in covered:
            found = tree.nodes[candidate]
            if _parent_hash_of(found) == expected and set(covered) - {candidate} == unmerged:
                return True
    return False


def _parent_hash_of(node: Node | None) -> bytes | None:
    if isinstance(node, LeafNode):
        return node.content.parent_hash or None
    return None if node is None else node.parent_hash
