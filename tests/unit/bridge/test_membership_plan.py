"""The plan of who is in a room, case by case: one question, one answer."""

from __future__ import annotations

from msgspec import structs

from bridge.policy.membership import (
    HEARING,
    PATIENCE,
    UNHEARD,
    Claim,
    ComeBack,
    Configured,
    Forget,
    Found,
    FoundAnew,
    GroupView,
    Hold,
    Invite,
    LedgerView,
    Reason,
    Rekey,
    Remove,
    Repeat,
    RouterView,
    Settle,
    Step,
    Unseen,
    Wait,
    plan,
)

SEA, SKY, SUN, MOON = "sea", "sky", "sun", "moon"
THREE = Configured((SEA, SKY, SUN), revision=1)
PAIR = Configured((SEA, SKY), direct=True)
NOW = 1_000_000


def inside(*members: str, epoch: int = 3, **changes: object) -> tuple[RouterView, LedgerView]:
    """A room in which router and ledger agree on these members."""
    router = RouterView(b"g", epoch, members, revision=1)
    group = GroupView(b"g", epoch, members, revision=1)
    ledger = LedgerView(founding=0, epoch=epoch, group=group, complete=True, since=NOW)
    return router, structs.replace(ledger, **changes)


def ask(
    me: str,
    router: RouterView | Unseen,
    ledger: LedgerView,
    configuration: Configured = THREE,
    *claims: Claim,
    later: int = 0,
) -> tuple[Step, ...]:
    return plan(me, router, ledger, configuration, claims, NOW + later)


def test_a_room_that_is_as_it_should_be_needs_nothing() -> None:
    for me in THREE.members:
        assert ask(me, *inside(SEA, SKY, SUN)) == ()


def test_the_first_configured_founds_at_once_and_the_next_after_its_patience() -> None:
    fresh = LedgerView(since=NOW)
    assert ask(SEA, Unseen.ABSENT, fresh) == (Found(),)
    assert ask(SKY, Unseen.ABSENT, fresh) == (Wait(NOW + PATIENCE, Reason.NEVER_FOUNDED),)
    assert ask(SKY, Unseen.ABSENT, fresh, later=PATIENCE) == (Found(),)
    assert ask(SUN, Unseen.ABSENT, fresh, later=PATIENCE) == (Wait(NOW + 2 * PATIENCE, Reason.NEVER_FOUNDED),)


def test_a_direct_room_is_founded_by_whoever_has_something_to_say() -> None:
    assert ask(SKY, Unseen.ABSENT, LedgerView(traffic=True), PAIR) == (Found(),)
    assert ask(SKY, Unseen.ABSENT, LedgerView(), PAIR) == ()


def test_a_founding_that_was_not_answered_is_asked_for_again() -> None:
    alone = GroupView(b"g", 0, (SKY,))
    assert ask(SKY, Unseen.ABSENT, LedgerView(0, 0, alone, announced=False)) == (Found(),)


def test_a_room_that_the_router_lost_is_founded_anew_by_its_keeper() -> None:
    _, ledger = inside(SEA, SKY, SUN)
    assert ask(SEA, Unseen.ABSENT, ledger) == (FoundAnew(1, Reason.ROUTER_LOST_IT), Repeat())
    assert ask(SKY, Unseen.ABSENT, ledger) == (Wait(NOW + PATIENCE, Reason.ROUTER_LOST_IT),)


def test_whoever_is_missing_is_added_and_whoever_is_not_named_removed_in_one_change() -> None:
    router, ledger = inside(SEA, SKY, MOON)
    assert ask(SEA, router, ledger) == (
        Hold(Reason.UNNAMED_MEMBER, (MOON,)),
        Remove((MOON,), Reason.UNNAMED_MEMBER),
        Invite((SUN,)),
    )
    assert ask(SKY, router, ledger)[1:] == (Wait(NOW + PATIENCE, Reason.UNNAMED_MEMBER),)


def test_a_keeper_that_is_no_member_is_no_keeper() -> None:
    assert ask(SKY, *inside(SKY, SUN)) == (Invite((SEA,)),)


def test_nobody_sends_until_everybody_was_there_once() -> None:
    router, ledger = inside(SEA, SKY, complete=False)
    assert ask(SEA, router, ledger) == (Hold(Reason.INCOMPLETE), Invite((SUN,)))
    assert ask(SKY, router, ledger)[0] == Hold(Reason.INCOMPLETE)


def test_an_older_configuration_removes_nobody_and_adds_nobody() -> None:
    router, ledger = inside(SEA, SKY, MOON)
    old = structs.replace(THREE, revision=0)
    assert ask(SEA, router, ledger, old) == (Hold(Reason.NEWER_CONFIGURATION, (MOON,)),)


def test_whom_a_newer_configuration_names_nobody_removes() -> None:
    router, ledger = inside(SEA, SKY, SUN, MOON)
    newer = Claim(SKY, 2, (SEA, SKY, SUN, MOON))
    assert ask(SEA, router, ledger, THREE, newer) == (Hold(Reason.NEWER_CONFIGURATION, (MOON,)),)
    assert Remove((MOON,), Reason.UNNAMED_MEMBER) in ask(SEA, router, ledger, THREE, Claim(SKY, 2, (SEA, SKY)))


def test_two_files_of_one_revision_that_differ_are_shown_and_remove_nobody() -> None:
    router, ledger = inside(SEA, SKY, SUN, MOON)
    other = Claim(SKY, 1, (SEA, SKY, SUN, MOON))
    assert ask(SEA, router, ledger, THREE, other) == (Hold(Reason.FILES_DIFFER, (MOON,)),)


def test_what_a_stranger_claims_counts_for_nothing() -> None:
    router, ledger = inside(SEA, SKY, SUN, MOON)
    for lie in (Claim(MOON, 9, (SEA, SKY, SUN, MOON)), Claim(MOON, 1, (MOON,))):
        assert Remove((MOON,), Reason.UNNAMED_MEMBER) in ask(SEA, router, ledger, THREE, lie)


def test_a_third_in_a_direct_room_is_removed_whatever_revision_the_room_has() -> None:
    router, ledger = inside(SEA, SKY, MOON)
    assert ask(SEA, router, ledger, PAIR) == (
        Hold(Reason.UNNAMED_MEMBER, (MOON,)),
        Remove((MOON,), Reason.UNNAMED_MEMBER),
    )
    assert ask(SKY, router, ledger, PAIR)[0] == Hold(Reason.UNNAMED_MEMBER, (MOON,))


def test_an_ungranted_leaf_is_removed_although_its_name_is_configured() -> None:
    router, ledger = inside(SEA, SKY, SUN)
    assert ledger.group is not None
    suspected = structs.replace(ledger, group=structs.replace(ledger.group, suspects=frozenset({SEA})))
    assert ask(SKY, router, suspected) == (
        Hold(Reason.UNGRANTED_MEMBER, (SEA,)),
        Remove((SEA,), Reason.UNGRANTED_MEMBER),
    )


def test_who_is_away_for_too_long_is_removed_and_called_back_only_when_it_is_heard_of_again() -> None:
    router, ledger = inside(SEA, SKY, SUN)
    assert ask(SKY, structs.replace(router, away=frozenset({SEA})), ledger) == (Remove((SEA,), Reason.AWAY),)
    router, ledger = inside(SKY, SUN)
    assert ask(SKY, structs.replace(router, away=frozenset({SEA})), ledger) == (Wait(0, Reason.AWAY),)
    assert ask(SKY, router, ledger) == (Invite((SEA,)),)


def test_new_keys_are_drawn_only_when_something_is_to_be_sent() -> None:
    assert ask(SEA, *inside(SEA, SKY, SUN, sealing=False)) == ()
    assert ask(SEA, *inside(SEA, SKY, SUN, sealing=False, traffic=True)) == (Rekey(),)


def test_a_staged_commit_is_settled_before_anything_else_is_changed() -> None:
    router, ledger = inside(SEA, SKY, MOON, staged=True)
    assert ask(SEA, router, ledger) == (Hold(Reason.UNNAMED_MEMBER, (MOON,)), Settle())


def test_a_router_that_went_back_is_not_followed() -> None:
    router, ledger = inside(SEA, SKY, SUN)
    back = structs.replace(router, epoch=2)
    assert ask(SEA, back, ledger) == (FoundAnew(1, Reason.ROUTER_WENT_BACK), Repeat())
    assert ask(SKY, back, ledger) == (Wait(NOW + PATIENCE, Reason.ROUTER_WENT_BACK),)


def test_the_same_epoch_with_other_members_or_another_transcript_is_a_fork() -> None:
    router, ledger = inside(SEA, SKY, SUN)
    assert ask(SEA, structs.replace(router, members=(SEA, SKY)), ledger)[0] == FoundAnew(1, Reason.ROUTER_DISAGREES)
    assert ledger.group is not None
    ours = structs.replace(ledger, group=structs.replace(ledger.group, transcript=b"one"))
    assert ask(SEA, structs.replace(router, transcript=b"two"), ours)[0] == FoundAnew(1, Reason.ROUTER_DISAGREES)
    assert ask(SEA, structs.replace(router, transcript=b"one"), ours) == ()


def test_who_cannot_follow_comes_back_into_a_higher_epoch_of_named_members() -> None:
    router, ledger = inside(SEA, SKY, SUN, diverged=True)
    ahead = structs.replace(router, epoch=4)
    assert ask(SUN, ahead, ledger) == (ComeBack(0, 3, Reason.DIVERGED), Repeat())
    assert ask(SUN, router, ledger) == (ComeBack(0, 3, Reason.DIVERGED), Repeat())
    crowded = structs.replace(ahead, members=(SEA, SKY, SUN, MOON))
    assert ask(SUN, crowded, ledger) == (FoundAnew(1, Reason.DIVERGED), Repeat())


def test_commits_that_are_not_heard_in_time_are_lost() -> None:
    router, ledger = inside(SEA, SKY, SUN)
    ahead = structs.replace(router, epoch=5)
    assert ask(SUN, ahead, ledger) == (Wait(NOW + UNHEARD, Reason.COMMITS_UNHEARD),)
    assert ask(SUN, ahead, ledger, later=UNHEARD) == (ComeBack(0, 3, Reason.COMMITS_UNHEARD), Repeat())


def test_a_lost_ledger_comes_back_and_never_below_what_it_knew() -> None:
    router, _ = inside(SEA, SKY, SUN)
    empty = LedgerView(since=NOW)
    assert ask(SUN, router, empty) == (Wait(NOW + HEARING, Reason.STATE_LOST),)
    assert ask(SUN, router, empty, later=HEARING) == (ComeBack(0, -1, Reason.STATE_LOST), Repeat())
    knew_more = LedgerView(founding=0, epoch=4, since=NOW)
    assert ask(SEA, router, knew_more, later=HEARING)[0] == FoundAnew(1, Reason.ROUTER_WENT_BACK)


def test_who_was_removed_waits_and_who_was_forgotten_founds_anew() -> None:
    _, ledger = inside(SEA, SKY, SUN)
    assert ask(SEA, Unseen.CLOSED, structs.replace(ledger, group=None, removed=True)) == (Wait(0, Reason.NOT_ADMITTED),)
    assert ask(SEA, Unseen.CLOSED, ledger) == (Wait(NOW + 2 * PATIENCE, Reason.NOT_ADMITTED),)
    assert ask(SEA, Unseen.CLOSED, ledger, later=2 * PATIENCE) == (FoundAnew(1, Reason.NOT_ADMITTED),)


def test_who_is_let_in_by_nobody_for_minutes_founds_the_room_anew() -> None:
    """Those whom the newest configuration names may be none of those who are in the room."""
    fresh = LedgerView(since=NOW)
    assert ask(SKY, Unseen.CLOSED, fresh, later=5 * PATIENCE) == (Wait(NOW + 11 * PATIENCE, Reason.NOT_ADMITTED),)
    assert ask(SKY, Unseen.CLOSED, fresh, later=11 * PATIENCE) == (FoundAnew(1, Reason.NOT_ADMITTED),)
    assert ask(SKY, Unseen.CLOSED, fresh, PAIR, later=11 * PATIENCE) == (Wait(0, Reason.NOT_ADMITTED),)


def test_a_room_that_is_configured_no_more_is_held_and_then_forgotten() -> None:
    router, ledger = inside(SEA, SKY)
    nothing = Configured(())
    assert ask(SEA, router, ledger, nothing) == (Hold(Reason.NOT_CONFIGURED),)
    assert ask(SEA, Unseen.CLOSED, ledger, nothing) == (Forget(),)
    assert ask(SEA, Unseen.ABSENT, LedgerView(), nothing) == ()


def test_what_nobody_has_answered_is_repeated() -> None:
    assert ask(SEA, *inside(SEA, SKY, SUN, unanswered=True)) == (Repeat(),)
