"""Arithmetic on the node numbers of a left-balanced binary tree (RFC 9420 appendix C).

Leaf ``i`` is node ``2 * i``; a node's level is the number of its trailing one bits. Trees here are always full,
so that every parent has two children.
"""

from __future__ import annotations


def level(node: int) -> int:
    """Return the height of a node over the leaves."""
    return (node ^ (node + 1)).bit_length() - 1


def width(leaves: int) -> int:
    """Return the number of nodes of a full tree with so many leaves."""
    return 2 * leaves - 1


def root(leaves: int) -> int:
    """Return the root of a full tree with so many leaves, a power of two."""
    return leaves - 1


def left(node: int) -> int:
    """Return the left child of a parent."""
    return node ^ (1 << (level(node) - 1))


def right(node: int) -> int:
    """Return the right child of a parent."""
    return node ^ (3 << (level(node) - 1))


def parent(node: int) -> int:
    """Return the parent; the caller knows that the node is not the root."""
    height = level(node)
    return (node | (1 << height)) & ~(1 << (height + 1))


def sibling(node: int) -> int:
    """Return the other child of the node's parent."""
    return node ^ (2 << level(node))


def direct_path(node: int, leaves: int) -> list[int]:
    """Return the ancestors of a node from its parent up to the root."""
    top = root(leaves)
    path = []
    while node != top:
        node = parent(node)
        path.append(node)
    return path


def below(node: int, ancestor: int) -> bool:
    """Say whether a node lies in the subtree under ``ancestor`` (a node lies under itself)."""
    reach = (1 << level(ancestor)) - 1
    return ancestor - reach <= node <= ancestor + reach


def leaf_span(node: int) -> range:
    """Return the leaf indices under a node."""
    reach = (1 << level(node)) - 1
    return range((node - reach) // 2, (node + reach) // 2 + 1)


def full_size(leaves: int) -> int:
    """Return the smallest power of two that is not below ``leaves``."""
    return 1 << max(leaves - 1, 0).bit_length()
