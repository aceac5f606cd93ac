"""The operator's authority: what it vouches for, and how an endpoint comes by its grant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.authority import (
    Granting,
    OperatorAuthority,
    Wanted,
    issue,
    issue_number,
    mark_of,
    read_grant,
    read_public,
    write_grant,
    write_public,
)
from bridge.errors import NotGrantedError
from protocol.grant import key_id, public_of
from protocol.leg import LegClass
from protocol.mls import Identity, UngrantedError
from protocol.mls.leaf import LeafNode, LeafSource

DOMAIN = "bridge.example"
PRIVATE, OTHER = os.urandom(32), os.urandom(32)
NOW = 1_800_000_000_000
SEA = Identity.generate(
    f"mimi://{DOMAIN}/d/sea", leg=LegClass.OPERATOR, namespaces=[f"mimi://{DOMAIN}/u/xmpp~"], random=os.urandom
)
WANTED = Wanted(
    name="sea", uri=SEA.uri, public=SEA.public, leg=LegClass.OPERATOR, namespaces=(f"mimi://{DOMAIN}/u/xmpp~",)
)


def judge(*private: bytes, now: int = NOW, **revoked: int) -> OperatorAuthority:
    keys = [public_of(one) for one in private or (PRIVATE,)]
    lowest = {f"mimi://{DOMAIN}/d/{name}": number for name, number in revoked.items()}
    return OperatorAuthority(keys, DOMAIN, lambda: now, revoked=lowest)


def leaf(identity: Identity) -> LeafNode:
    return identity.leaf(os.urandom(32), LeafSource.UPDATE, binding=(b"group", 0))


def granted(number: int = 1, not_after: int | None = None, private: bytes = PRIVATE) -> LeafNode:
    return leaf(SEA.saying(WANTED.leg, WANTED.namespaces, issue(private, WANTED, number, not_after)))


def test_a_granted_leaf_is_vouched_for_again_and_again() -> None:
    authority = judge()
    for _ in range(3):
        authority.judge(granted())


def test_both_keys_are_believed_while_the_authority_is_rotated_and_then_one() -> None:
    for private in (PRIVATE, OTHER):
        judge(PRIVATE, OTHER).judge(granted(private=private))
    with pytest.raises(UngrantedError, match="not this bridge's"):
        judge(OTHER).judge(granted())


def test_a_revoked_grant_is_void_and_a_later_one_is_good() -> None:
    authority = judge(sea=5)
    with pytest.raises(UngrantedError, match="revoked"):
        authority.judge(granted(number=4))
    authority.judge(granted(number=5))
    judge(sky=5).judge(granted(number=4))


def test_a_grant_ends_by_the_judges_own_clock() -> None:
    end = NOW // 1000
    judge(now=NOW).judge(granted(not_after=end))
    with pytest.raises(UngrantedError, match="ended"):
        judge(now=NOW + 1000).judge(granted(not_after=end))


def test_a_grant_for_namespaces_of_another_bridge_is_not_good() -> None:
    wide = replace(WANTED, namespaces=("mimi://elsewhere.example/u/xmpp~",))
    signed = issue(PRIVATE, wide, 1)
    with pytest.raises(UngrantedError, match="no namespace of this bridge"):
        judge().judge(leaf(SEA.saying(wide.leg, wide.namespaces, signed)))
    with pytest.raises(UngrantedError, match="no namespace of this bridge"):
        judge().check(issue(PRIVATE, replace(WANTED, namespaces=(f"mimi://{DOMAIN}.evil.example/u/",)), 1))


def test_a_forged_grant_that_names_the_authority_is_not_good() -> None:
    """The signature is looked at, also after a good grant of the same endpoint was."""
    authority = judge()
    authority.judge(granted())
    good = issue(PRIVATE, WANTED, 1)
    forged = replace(good, grant=replace(good.grant, leg=LegClass.DEVICES))
    with pytest.raises(UngrantedError, match="did not sign"):
        authority.judge(leaf(SEA.saying(LegClass.DEVICES, WANTED.namespaces, forged)))


def test_a_leaf_from_before_grants_is_borne_as_it_was_until_its_time_is_over() -> None:
    authority, later = judge(), judge(now=NOW + 10)
    for one in (authority, later):
        one.bear({mark_of(leaf(SEA))}, NOW + 10)
    authority.judge(leaf(SEA))
    with pytest.raises(UngrantedError):
        later.judge(leaf(SEA))
    worse = SEA.saying(LegClass.OPEN, WANTED.namespaces, None)
    other = Identity.generate(SEA.uri, leg=LegClass.OPERATOR, namespaces=WANTED.namespaces, random=os.urandom)
    for stranger in (worse, other):
        with pytest.raises(UngrantedError):
            authority.judge(leaf(stranger))


# --- how an endpoint comes by one -------------------------------------------------------------------------------------


def test_where_the_key_is_an_endpoint_is_granted_unasked_and_keeps_what_serves(tmp_path: Path) -> None:
    granting = Granting(judge(), tmp_path, lambda: NOW, private=PRIVATE)
    first = granting.grant(WANTED, None)
    judge().check(first)
    assert granting.grant(WANTED, first) == first
    worse = replace(WANTED, leg=LegClass.PROVIDER)
    second = granting.grant(worse, first)
    assert second.grant.leg is LegClass.PROVIDER
    assert second.grant.number > first.grant.number


def test_under_a_new_key_a_grant_is_signed_anew(tmp_path: Path) -> None:
    old = issue(PRIVATE, WANTED, 7)
    new = Granting(judge(OTHER, PRIVATE), tmp_path, lambda: NOW, private=OTHER).grant(WANTED, old)
    assert new.grant.authority == key_id(public_of(OTHER))
    assert new.grant.number > 7


def test_a_revoked_endpoint_is_not_granted_anew_by_itself(tmp_path: Path) -> None:
    held = issue(PRIVATE, WANTED, 7)
    granting = Granting(judge(sea=8), tmp_path, lambda: NOW, private=PRIVATE)
    with pytest.raises(NotGrantedError, match="rialto key grant sea"):
        granting.grant(WANTED, held)
    (tmp_path / "sea").write_text(write_grant(issue(PRIVATE, WANTED, 8)))
    assert granting.grant(WANTED, held).grant.number == 8


def test_without_the_key_a_grant_is_brought_in_a_file(tmp_path: Path) -> None:
    apart = Granting(judge(), tmp_path, lambda: NOW)
    with pytest.raises(NotGrantedError, match=f"rialto key admit sea {WANTED.fingerprint}"):
        apart.grant(WANTED, None)
    wider = replace(WANTED, leg=LegClass.DEVICES, namespaces=(f"mimi://{DOMAIN}/u/",))
    (tmp_path / "sea").write_text(write_grant(issue(PRIVATE, wider, 3)) + "\n")
    brought = apart.grant(WANTED, None)
    assert brought.grant.number == 3
    (tmp_path / "sea").unlink()
    assert apart.grant(WANTED, brought) == brought


@pytest.mark.parametrize(
    "bent",
    [
        {"uri": f"mimi://{DOMAIN}/d/sky"},
        {"public": bytes(32)},
        {"leg": LegClass.PROVIDER},
        {"namespaces": (f"mimi://{DOMAIN}/u/matrix~",)},
    ],
)
def test_a_grant_for_something_else_is_none(tmp_path: Path, bent: dict[str, object]) -> None:
    (tmp_path / "sea").write_text(write_grant(issue(PRIVATE, replace(WANTED, **bent), 3)))
    with pytest.raises(NotGrantedError, match="has no grant"):
        Granting(judge(), tmp_path, lambda: NOW).grant(WANTED, None)


def test_numbers_grow_also_when_the_clock_does_not() -> None:
    held = issue(PRIVATE, WANTED, NOW // 1000 + 50)
    assert issue_number(NOW, 0, None) == NOW // 1000
    assert issue_number(NOW, 0, held) == NOW // 1000 + 51
    assert issue_number(NOW, NOW, held) == NOW


def test_what_is_no_grant_and_no_key_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "sea"
    assert read_grant(file) is None
    for text in ("!", "AAAA", ""):
        file.write_text(text)
        with pytest.raises(NotGrantedError, match="not a grant"):
            read_grant(file)
    assert read_public(write_public(public_of(PRIVATE))) == public_of(PRIVATE)
    for text in ("!", "AAAA"):
        with pytest.raises(ValueError, match=text):
            read_public(text)
