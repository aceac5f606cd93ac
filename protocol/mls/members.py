"""Members as callers see them, and for whom each may speak."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from protocol.leg import LegClass
from protocol.mls.leaf import LeafNode
from protocol.mls.leafext import leg_of
from protocol.mls.tree import RatchetTree


class Member(Struct, frozen=True):
    """One member: its leaf index, its credential's name, its claim, and its signature key."""

    leaf: int
    uri: str
    leg: LegClass
    namespaces: tuple[str, ...]
    signature_key: bytes


def member_at(index: int, leaf: LeafNode) -> Member:
    """Describe the member at a leaf; a credential that is not UTF-8 text shows its odd octets escaped."""
    claim = leg_of(leaf.content.extensions)
    uri = leaf.content.credential.data.decode("utf-8", "backslashreplace")
    return Member(index, uri, claim.leg, claim.namespaces, leaf.content.signature_key)


def members_of(tree: RatchetTree) -> Sequence[Member]:
    """Describe all members, by ascending leaf index."""
    return [member_at(index, leaf) for index, leaf in tree.leaves()]


def speaks_for(member: Member, uri: str) -> bool:
    """Say whether content that names ``uri`` as its sender may come from this member.

    A member speaks for itself and for every URI under one of the prefixes that its leaf states.
    """
    return uri == member.uri or any(uri.startswith(prefix) for prefix in member.namespaces)
