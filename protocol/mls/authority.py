"""Who vouches for a leaf: the hook that RFC 9420 §5.3.1 calls the Authentication Service.

MLS itself shows that a leaf was signed by the key that stands in it, and no more. Whose key it is, an ``Authority``
judges: wherever a leaf comes into a group, by its founding, a key package, an add, an update, a commit's path, a
Welcome, an external join or a GroupInfo.

It is asked in two ways. At the door, where nothing is lost by a refusal (a founding, a key package that we are to add,
a Welcome, a GroupInfo by which we are to join), a leaf that it does not vouch for raises ``UngrantedError``. Inside,
where all members must follow the same commits, a valid commit that brings such a leaf is followed, and the leaf is a
``Suspect`` until it goes or is granted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from protocol.mls.errors import UngrantedError
from protocol.mls.extensions import ExtensionType, find
from protocol.mls.leaf import LeafNode


class Authority(Protocol):
    """Vouches for leaves. It may keep a clock and a list of revocations; its answer may change with either."""

    def judge(self, leaf: LeafNode) -> None:
        """Return if this leaf is who it says it is and may claim what it claims; raise ``UngrantedError`` if not."""
        ...


class Suspect(Struct, frozen=True):
    """A leaf in a group that the authority does not vouch for: its index, its credential's name, and why not.

    ``bare``: it carries no grant at all, as a leaf from before there were grants.
    """

    leaf: int
    uri: str
    reason: str
    bare: bool = False


def suspicion(authority: Authority | None, leaf: LeafNode) -> str:
    """Return why the authority does not vouch for a leaf; '' if it does, or if there is no authority."""
    if authority is None:
        return ""
    try:
        authority.judge(leaf)
    except UngrantedError as error:
        return str(error)
    return ""


def suspects(authority: Authority | None, leaves: Iterable[tuple[int, LeafNode]]) -> tuple[Suspect, ...]:
    """Return the leaves, given with their index, that the authority does not vouch for."""
    judged = ((index, leaf, suspicion(authority, leaf)) for index, leaf in leaves)
    return tuple(Suspect(index, name_of(leaf), reason, _is_bare(leaf)) for index, leaf, reason in judged if reason)


def _is_bare(leaf: LeafNode) -> bool:
    return find(leaf.content.extensions, ExtensionType.GRANT) is None


def admit(authority: Authority | None, leaves: Iterable[LeafNode]) -> None:
    """Refuse, at the door, leaves of which the authority does not vouch for every one. Raises ``UngrantedError``."""
    if authority is not None:
        for leaf in leaves:
            authority.judge(leaf)


def name_of(leaf: LeafNode) -> str:
    """Return the name in a leaf's credential; octets that are not UTF-8 are shown escaped."""
    return leaf.content.credential.data.decode("utf-8", "backslashreplace")
