"""What becomes of a message on a network that cannot show all of it."""

from __future__ import annotations

import pytest

from protocol import commerce, degrade
from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Limits, Unit, Way
from protocol.commerce import Card, Carousel, LinkButton, LinkTo, Menu, Option, QuickReplies, Section, Template
from protocol.content import (
    HTML,
    MARKDOWN,
    MIMI_STATUS,
    TYPING,
    Content,
    Disposition,
    Expiration,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    text,
)
from protocol.degrade import Context, Loss, Planned, Referenced, Refusal
from protocol.degrade.splitting import excerpt, shorten, split

ID = bytes(32)
RICH = Capabilities(
    send=Way(
        features=dict.fromkeys(Feature, Level.FULL),
        formatting=dict.fromkeys(Format, Level.FULL),
        files={"*/*": FileRule(caption=Level.FULL)},
    )
)
BARE = Capabilities()
ROMEO = Referenced(text="Wherefore art thou?", sender="Juliet")


def content(part, **fields):
    return Content(salt=bytes(16), part=part, **fields)


def network(*, text=None, limits=None, **levels):
    """Return a network with these features, and formatting or files where named so."""
    features = {Feature(name.replace("_", "-")): level for name, level in levels.items()}
    return Capabilities(send=Way(features=features, text=text or Level.FULL), limits=limits or Limits())


def several(*parts, semantics=Semantics.PROCESS_ALL):
    return MultiPart(semantics=semantics, parts=parts)


def words(plan):
    return [message.part.text for message in plan.messages]


# --- nothing to do ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [text("Hello"), text("**Hello**", MARKDOWN)])
def test_where_everything_can_be_shown_nothing_changes(part):
    plan = degrade.plan(
        content(part, replaces=ID, in_reply_to=ID, topic_id=b"t", expires=Expiration(True, 60)),
        RICH,
        context=Context(replaced=Referenced(), answered=Referenced()),
    )
    assert plan == degrade.Plan(messages=(Planned(part=part, keeps_replaces=True, keeps_in_reply_to=True),))


@pytest.mark.parametrize("kind", [MIMI_STATUS, TYPING])
def test_status_and_typing_pass_through(kind):
    part = SinglePart(kind, b"\x80")
    assert degrade.plan(content(part), BARE).messages == (Planned(part=part),)


@pytest.mark.parametrize("part", [NullPart(), text(""), text(" \n "), several(NullPart(), NullPart())])
def test_who_says_nothing_sends_nothing(part):
    assert degrade.plan(content(part), RICH) == degrade.Plan()


# --- text -------------------------------------------------------------------------------------------------------------


def test_formatting_falls_back_to_words():
    plan = degrade.plan(content(text("**Hi** [shop](https://e.org)\n\n- a", MARKDOWN)), BARE)
    assert words(plan) == ["Hi shop (https://e.org)\n\n• a"]
    assert [(loss.what, loss.level) for loss in plan.losses] == [
        ("bold", Level.UNSUPPORTED),
        ("bullets", Level.UNSUPPORTED),
        ("link", Level.UNSUPPORTED),
    ]


def test_only_the_formatting_that_is_missing_goes():
    some = Capabilities(send=Way(formatting={Format.BOLD: Level.FULL, Format.ITALIC: Level.PARTIAL}))
    plan = degrade.plan(content(text("**a** _b_ ~~c~~", MARKDOWN)), some)
    assert plan.messages[0].part == text("**a** _b_ c", MARKDOWN)
    assert plan.losses == (
        Loss("italic", Level.PARTIAL, "italic converted"),
        Loss("strike", Level.UNSUPPORTED, "strike sent as plain words and characters"),
    )


def test_html_becomes_markdown_and_unformatted_markdown_plain_text():
    assert degrade.plan(content(SinglePart(HTML, b"<b>a</b>")), RICH).messages[0].part == text("**a**", MARKDOWN)
    assert degrade.plan(content(text("a\\*", MARKDOWN)), RICH).messages[0].part == text("a*")
    assert degrade.plan(content(SinglePart("text/x-odd", b"a")), RICH).messages[0].part == text("a")


def test_a_mention_keeps_its_name():
    said = content(text("[Romeo](mimi://e.org/u/r) come", MARKDOWN))
    assert degrade.plan(said, RICH).losses == ()
    linking = {Format.LINK: Level.FULL}
    none = degrade.plan(said, Capabilities(send=Way(formatting=linking)))
    assert words(none) == ["Romeo come"]
    assert none.losses == (Loss("mention", Level.UNSUPPORTED, "a mention is sent as a name only"),)
    partial = Capabilities(send=Way(formatting=linking, features={Feature.MENTION: Level.PARTIAL}))
    assert degrade.plan(said, partial).losses == (Loss("mention", Level.PARTIAL, "a mention is converted"),)


def test_a_network_may_refuse_text_or_a_kind_of_it():
    assert degrade.plan(content(text("a")), network(text=Level.REJECTED)).refused
    assert degrade.plan(content(text("a")), network(text=Level.DROPPED)).refused == Refusal(
        "unsupported", "a text is left out"
    )
    tables = Capabilities(send=Way(formatting={Format.TABLE: Level.REJECTED}))
    refused = degrade.plan(content(text("| a |\n|---|", MARKDOWN)), tables).refused
    assert refused == Refusal("unsupported", "the network refuses text with table")


def test_long_text_is_cut_between_words():
    plan = degrade.plan(content(text("one two three"), in_reply_to=ID, replaces=ID), with_limit(7, RICH), context=KNOWN)
    assert words(plan) == ["one two", "three"]
    assert [message.keeps_in_reply_to for message in plan.messages] == [True, False]
    assert [message.keeps_replaces for message in plan.messages] == [True, False]
    assert plan.losses == (Loss("text", Level.PARTIAL, "it is sent in 2 messages"),)


KNOWN = Context(replaced=Referenced(), answered=ROMEO)


def with_limit(limit, base=BARE, unit=Unit.CODE_POINTS):
    return Capabilities(send=base.send, limits=Limits(text=limit, unit=unit))


def test_long_formatted_text_is_cut_between_blocks():
    plan = degrade.plan(content(text("**one**\n\n**two**\n\n**a b c d e f**\n\n_x_", MARKDOWN)), with_limit(16, RICH))
    assert words(plan) == ["**one**\n\n**two**", "**a b c d e f**", "_x_"]
    tight = degrade.plan(content(text("**a b c d e f**", MARKDOWN)), with_limit(5, RICH))
    assert words(tight) == ["a b c", "d e f"]


def test_a_flood_is_refused():
    assert degrade.plan(content(text("ab " * 200)), with_limit(2)).refused == Refusal(
        "too-large", "it would take more than 64 messages"
    )
    assert degrade.plan(content(text("ab")), with_limit(0)).refused == Refusal(
        "too-large", "the network takes no text at all"
    )


@pytest.mark.parametrize(
    ("said", "limit", "unit", "pieces"),
    [
        ("a b", None, Unit.UTF8, ["a b"]),
        ("one\n\ntwo three", 10, Unit.CODE_POINTS, ["one\n\ntwo", "three"]),
        ("12345\n\n89 1", 9, Unit.CODE_POINTS, ["12345", "89 1"]),
        ("12345\n789 1", 9, Unit.CODE_POINTS, ["12345", "789 1"]),
        ("abcdefgh", 3, Unit.CODE_POINTS, ["abc", "def", "gh"]),
        ("a👩‍👧b", 4, Unit.CODE_POINTS, ["a👩‍👧", "b"]),
        ("ab👩‍👧", 4, Unit.CODE_POINTS, ["ab", "👩‍👧"]),
        ("👩‍👧", 2, Unit.CODE_POINTS, ["👩\u200d", "👧"]),
        ("éé", 3, Unit.UTF8, ["é", "é"]),
        ("é", 1, Unit.UTF8, ["?"]),
        ("   a", 2, Unit.CODE_POINTS, ["a"]),
        ("", 1, Unit.UTF8, []),
    ],
)
def test_text_is_cut_where_a_reader_would_cut_it(said, limit, unit, pieces):
    assert list(split(said, limit, unit)) == pieces


def test_an_excerpt_is_one_short_line():
    assert excerpt("a\n b" + "c" * 100, 5) == "a bc…"
    assert shorten("abc", 3) == "abc"
    assert shorten("abc", 0) == ""
    assert shorten("abc", None) == "abc"


# --- replies ----------------------------------------------------------------------------------------------------------


def test_a_reply_carries_a_quote_where_it_cannot_point():
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), BARE, context=Context(answered=ROMEO))
    assert words(plan) == ["> Juliet: Wherefore art thou?\nHere"]
    assert plan.losses == (Loss("reply", Level.UNSUPPORTED, "a reply is sent with a quote"),)
    assert not plan.messages[0].keeps_in_reply_to


def test_the_quote_is_a_real_one_where_there_are_quotes():
    quoting = Capabilities(send=Way(formatting={Format.QUOTE: Level.FULL}))
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), quoting, context=Context(answered=ROMEO))
    assert plan.messages[0].part == text("> Juliet: Wherefore art thou?\n\nHere", MARKDOWN)


def test_formatted_text_is_quoted_in_front_too():
    bold = Capabilities(send=Way(formatting={Format.BOLD: Level.FULL}))
    plan = degrade.plan(content(text("**Here**", MARKDOWN), in_reply_to=ID), bold, context=Context(answered=ROMEO))
    assert words(plan) == ["\\> Juliet: Wherefore art thou?\n\n**Here**"]


@pytest.mark.parametrize("answered", [None, Referenced(known=False), Referenced(text="  ", known=False)])
def test_what_nobody_knows_cannot_be_quoted(answered):
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), RICH, context=Context(answered=answered))
    assert words(plan) == ["Here"]
    assert "not shown" in plan.losses[0].text or "quote" in plan.losses[0].text
    assert not plan.messages[0].keeps_in_reply_to


def test_replies_may_be_dropped_refused_or_converted():
    said, context = content(text("Here"), in_reply_to=ID), Context(answered=ROMEO)
    dropped = degrade.plan(said, network(reply=Level.DROPPED), context=context)
    assert words(dropped) == ["Here"]
    assert dropped.losses[0].level is Level.DROPPED
    assert degrade.plan(said, network(reply=Level.REJECTED), context=context).refused
    partial = degrade.plan(said, network(reply=Level.PARTIAL), context=context)
    assert partial.messages[0].keeps_in_reply_to
    assert partial.losses == (Loss("reply", Level.PARTIAL, "a reply is converted"),)


# --- edits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "replaced", "why"),
    [
        (Level.UNSUPPORTED, Referenced(), "the network has no edits"),
        (Level.FULL, None, "the network does not know what it edits"),
        (Level.FULL, Referenced(known=False), "the network does not know what it edits"),
        (Level.FULL, Referenced(age=1001), "what it edits is too old"),
    ],
)
def test_an_edit_that_cannot_be_made_is_a_marked_new_message(level, replaced, why):
    here = Capabilities(send=Way(features={Feature.EDIT: level}), edit_age=1000)
    plan = degrade.plan(content(text("Better"), replaces=ID), here, context=Context(replaced=replaced))
    assert plan.messages == (Planned(part=text("Edited: Better")),)
    assert plan.losses == (Loss("edit", Level.UNSUPPORTED, f"an edit is sent as a marked new message: {why}"),)


@pytest.mark.parametrize("age", [None, 1000])
def test_a_young_message_can_be_edited(age):
    here = Capabilities(send=Way(features={Feature.EDIT: Level.PARTIAL}), edit_age=1000)
    plan = degrade.plan(content(text("Better"), replaces=ID), here, context=Context(replaced=Referenced(age=age)))
    assert plan.messages == (Planned(part=text("Better"), keeps_replaces=True),)
    assert plan.losses == (Loss("edit", Level.PARTIAL, "an edit is converted"),)


def test_edits_may_be_dropped_or_refused():
    said = content(text("Better"), replaces=ID)
    assert degrade.plan(said, network(edit=Level.REJECTED), context=KNOWN).refused
    dropped = degrade.plan(said, network(edit=Level.DROPPED), context=KNOWN)
    assert (dropped.messages, dropped.refused) == ((), None)
    assert dropped.losses == (Loss("edit", Level.DROPPED, "an edit is not carried"),)


def test_an_edited_list_is_marked_above_it():
    lists = Capabilities(send=Way(formatting={Format.BULLETS: Level.FULL}))
    assert words(degrade.plan(content(text("- a", MARKDOWN), replaces=ID), lists)) == ["Edited:\n\n- a"]
    bold = Capabilities(send=Way(formatting={Format.BOLD: Level.FULL}))
    assert words(degrade.plan(content(text("**a**", MARKDOWN), replaces=ID), bold)) == ["Edited: **a**"]


# --- deletions --------------------------------------------------------------------------------------------------------


def test_a_deletion_is_carried_or_told():
    gone = content(NullPart(), replaces=ID)
    carried = degrade.plan(gone, RICH, context=Context(replaced=ROMEO))
    assert carried.messages == (Planned(part=NullPart(), keeps_replaces=True),)
    told = degrade.plan(gone, BARE, context=Context(replaced=ROMEO))
    assert words(told) == ["Deleted a message: “Wherefore art thou?”"]
    assert told.losses == (Loss("delete", Level.UNSUPPORTED, "deleting is sent as a notice"),)
    assert words(degrade.plan(gone, BARE, context=Context(replaced=Referenced()))) == ["Deleted a message"]


def test_a_deletion_that_comes_too_late_is_told():
    here = Capabilities(send=Way(features={Feature.DELETE: Level.PARTIAL}), delete_age=1000)
    gone = content(NullPart(), replaces=ID)
    assert words(degrade.plan(gone, here, context=Context(replaced=Referenced(age=1001)))) == ["Deleted a message"]
    young = degrade.plan(gone, here, context=Context(replaced=Referenced(age=1000)))
    assert young.losses == (Loss("delete", Level.PARTIAL, "deleting is converted"),)
    assert degrade.plan(gone, here, context=Context(replaced=Referenced(known=False))).messages[0].part == text(
        "Deleted a message"
    )


def test_what_was_never_here_need_not_be_deleted():
    plan = degrade.plan(content(NullPart(), replaces=ID), RICH)
    assert plan.messages == ()
    assert plan.losses[0].text == "what it deletes was never here"


def test_deletions_may_be_dropped_or_refused():
    gone = content(NullPart(), replaces=ID)
    assert degrade.plan(gone, network(delete=Level.REJECTED), context=KNOWN).refused == Refusal(
        "unsupported", "the network refuses deleting"
    )
    dropped = degrade.plan(gone, network(delete=Level.DROPPED), context=KNOWN)
    assert dropped == degrade.Plan(losses=(Loss("delete", Level.DROPPED, "deleting is not carried"),))


# --- reactions --------------------------------------------------------------------------------------------------------

HEART = text("❤️", disposition=Disposition.REACTION)


def test_a_reaction_is_carried():
    context = Context(answered=ROMEO, replaced=Referenced(reaction=True))
    plan = degrade.plan(content(HEART, in_reply_to=ID, replaces=ID), RICH, context=context)
    assert plan == degrade.Plan(messages=(Planned(part=HEART, keeps_in_reply_to=True, keeps_replaces=True),))


def test_several_reactions_are_several_messages():
    thumb = text("👍", disposition=Disposition.REACTION)
    only_hearts = Capabilities(
        send=Way(features={Feature.REACTION: Level.PARTIAL, Feature.REPLY: Level.FULL}, reactions=frozenset({"❤️"}))
    )
    plan = degrade.plan(content(several(HEART, thumb), in_reply_to=ID), only_hearts, context=Context(answered=ROMEO))
    assert words(plan) == ["❤️", "Reacted with 👍"]
    assert all(message.keeps_in_reply_to for message in plan.messages)
    assert [loss.level for loss in plan.losses] == [Level.PARTIAL, Level.UNSUPPORTED]


@pytest.mark.parametrize(
    ("here", "answered", "said", "points"),
    [
        (BARE, ROMEO, "Reacted with ❤️ to “Wherefore art thou?”", False),
        (BARE, None, "Reacted with ❤️", False),
        (network(reply=Level.FULL), ROMEO, "Reacted with ❤️", True),
        (RICH, Referenced(known=False, text="Ay me"), "Reacted with ❤️ to “Ay me”", False),
    ],
)
def test_a_reaction_that_cannot_be_made_is_a_short_reply(here, answered, said, points):
    plan = degrade.plan(content(HEART, in_reply_to=ID), here, context=Context(answered=answered))
    assert plan.messages == (Planned(part=text(said), keeps_in_reply_to=points),)
    assert plan.losses == (Loss("reaction", Level.UNSUPPORTED, "a reaction is sent as a short reply"),)


def test_what_is_no_emoji_is_no_reaction():
    long = text("x" * 33, disposition=Disposition.REACTION)
    plan = degrade.plan(content(long, in_reply_to=ID), RICH, context=Context(answered=ROMEO))
    assert words(plan) == [f"Reacted with {'x' * 31}…"]
    empty = text(" ", disposition=Disposition.REACTION)
    assert degrade.plan(content(empty, in_reply_to=ID), RICH, context=Context(answered=ROMEO)) == degrade.Plan()


def test_a_reaction_to_nothing_is_a_text():
    assert words(degrade.plan(content(HEART), RICH)) == ["❤️"]


def test_reactions_may_be_dropped_or_refused():
    said, context = content(HEART, in_reply_to=ID), Context(answered=ROMEO)
    assert degrade.plan(said, network(reaction=Level.REJECTED), context=context).refused
    assert degrade.plan(said, network(reaction=Level.DROPPED), context=context).messages == ()
    silent = Capabilities(limits=Limits(text=0))
    assert degrade.plan(said, silent, context=context).refused == Refusal(
        "too-large", "the network takes no text at all"
    )


def test_a_reaction_taken_back():
    back = content(NullPart(), replaces=ID)
    context = Context(replaced=Referenced(reaction=True, text="❤️", age=10**12))
    fast = Capabilities(send=Way(features={Feature.REACTION: Level.FULL}), delete_age=0)
    assert degrade.plan(back, fast, context=context).messages == (Planned(part=NullPart(), keeps_replaces=True),)
    assert words(degrade.plan(back, BARE, context=context)) == ["Took back the reaction ❤️"]
    unknown = Context(replaced=Referenced(reaction=True))
    assert words(degrade.plan(back, BARE, context=unknown)) == ["Took back a reaction"]


# --- files ------------------------------------------------------------------------------------------------------------

CAT = ExternalPart(content_type="image/png", url="https://e.org/x", size=5_100_000, enc_alg=1, filename="cat.png")


def files(**rule):
    return Capabilities(send=Way(files={"image/*": FileRule(**rule)}))


def test_a_file_goes_with_its_caption():
    said = several(CAT, text("My cat"), semantics=Semantics.SINGLE_UNIT)
    plan = degrade.plan(content(said), files(caption=Level.FULL))
    assert plan == degrade.Plan(messages=(Planned(part=said),))
    other = several(text("My cat"), CAT, semantics=Semantics.SINGLE_UNIT)
    assert degrade.plan(content(other), files(caption=Level.FULL)) == plan


def test_a_caption_that_cannot_go_along_follows():
    said = content(several(CAT, text("My cat"), semantics=Semantics.SINGLE_UNIT))
    apart = degrade.plan(said, files())
    assert [message.part for message in apart.messages] == [CAT, text("My cat")]
    assert apart.losses == (Loss("caption", Level.PARTIAL, "a caption is sent as a message of its own"),)
    long = degrade.plan(said, files(caption=Level.FULL, max_caption=5))
    assert [message.part for message in long.messages] == [CAT, text("My cat")]


def test_parts_that_are_no_unit_follow_one_another():
    plan = degrade.plan(content(several(text("My cat"), CAT)), files(caption=Level.FULL))
    assert [message.part for message in plan.messages] == [text("My cat"), CAT]
    three = several(text("a"), text("b"), CAT, semantics=Semantics.SINGLE_UNIT)
    assert len(degrade.plan(content(three), files(caption=Level.FULL)).messages) == 3


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"level": Level.REJECTED}, "media-refused"),
        ({"level": Level.UNSUPPORTED}, "media-refused"),
        ({"level": Level.DROPPED}, "unsupported"),
        ({"max_size": 5_000_000}, "media-too-large"),
    ],
)
def test_a_file_that_cannot_be_sent_is_refused_if_it_is_all_there_is(rule, reason):
    assert degrade.plan(content(CAT), files(**rule)).refused.reason == reason


def test_beside_other_words_it_leaves_a_notice():
    plan = degrade.plan(content(several(text("My cat"), CAT)), files(max_size=5_000_000))
    assert words(plan) == ["My cat", "[cat.png (image/png, 5.1 MB) cannot be shown here]"]
    assert plan.losses == (
        Loss(
            "file",
            Level.UNSUPPORTED,
            "a file is sent as a notice: 5100000 bytes are more than the network's 5000000",
        ),
    )


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "A cat (image/png): https://e.org/x"),
        (999, "A cat (image/png, 999 bytes): https://e.org/x"),
        (1500, "A cat (image/png, 1.5 kB): https://e.org/x"),
        (2_000_000_000, "A cat (image/png, 2.0 GB): https://e.org/x"),
        (3_000_000_000_000, "A cat (image/png, 3000 GB): https://e.org/x"),
    ],
)
def test_a_file_that_everybody_may_fetch_is_a_link(size, said):
    public = ExternalPart(content_type="image/png", url="https://e.org/x", size=size, description="A cat")
    assert words(degrade.plan(content(public), BARE)) == [said]


def test_a_converted_file_says_so():
    plan = degrade.plan(content(CAT), files(level=Level.PARTIAL))
    assert plan.losses == (Loss("file", Level.PARTIAL, "a file (image/png) is converted"),)


def test_a_file_inside_the_message_is_handed_over_like_any_other():
    plan = degrade.plan(content(SinglePart("image/png", b"\x89PNG")), files())
    part = plan.messages[0].part
    assert (part.content_type, part.size, part.enc_alg) == ("image/png", 4, 0)
    assert degrade.inline_bytes(part) == b"\x89PNG"


@pytest.mark.parametrize("url", ["https://e.org", "data:x;base64,!", "odd:x;base64,AA=="])
def test_other_files_have_no_bytes_inside(url):
    assert degrade.inline_bytes(ExternalPart(content_type="image/png", url=url)) is None


def test_small_print_is_left_out():
    icon = ExternalPart(content_type="image/png", url="https://e.org", disposition=Disposition.ICON)
    plan = degrade.plan(content(several(text("a"), icon)), RICH)
    assert words(plan) == ["a"]
    assert plan.losses == (Loss("part", Level.DROPPED, "a icon is left out"),)


def test_what_only_rialto_could_read_is_left_out():
    odd = SinglePart("application/vnd.rialto.unknown+cbor", b"")
    broken = SinglePart("application/vnd.rialto.choice+cbor", b"")
    assert degrade.plan(content(odd), RICH).refused.reason == "unsupported"
    assert words(degrade.plan(content(several(broken, text("a"))), RICH)) == ["a"]


# --- alternatives -----------------------------------------------------------------------------------------------------


def choose(*parts):
    return several(*parts, semantics=Semantics.CHOOSE_ONE)


def test_the_first_alternative_of_which_nothing_is_lost_is_sent():
    said = choose(text("**a**", MARKDOWN), text("plain"))
    assert words(degrade.plan(content(said), RICH)) == ["**a**"]
    plan = degrade.plan(content(said), BARE)
    assert words(plan) == ["plain"]
    assert plan.losses == (
        Loss("part", Level.UNSUPPORTED, "another rendering is sent: bold sent as plain words and characters"),
    )


def test_a_refused_alternative_does_not_refuse_the_rest():
    said = choose(CAT, text("A cat"))
    plan = degrade.plan(content(said), files(level=Level.REJECTED))
    assert words(plan) == ["A cat"]
    assert plan.losses[0].text == "another rendering is sent: the network takes no image/png"
    assert degrade.plan(content(choose(CAT, CAT)), files(level=Level.REJECTED)).refused
    assert degrade.plan(content(choose(NullPart(), text("a"))), BARE).losses == ()
    assert degrade.plan(content(choose()), BARE) == degrade.Plan()


# --- what stands beside -----------------------------------------------------------------------------------------------


def test_threads_and_vanishing_are_lost_with_a_word():
    said = content(text("a"), topic_id=b"t", expires=Expiration(True, 60))
    assert [loss.what for loss in degrade.plan(said, BARE).losses] == ["topic", "expiry"]
    assert degrade.plan(said, network(topic=Level.FULL, expiry=Level.REJECTED)).refused == Refusal(
        "unsupported", "the network refuses a message with expiry"
    )


NAMELESS = Capabilities(send=Way(files={"*/*": FileRule(caption=Level.FULL)}), shows_sender=False)


def test_who_speaks_is_said_where_the_network_does_not_show_it():
    romeo = Context(sender="Romeo", answered=ROMEO, replaced=ROMEO)
    plan = degrade.plan(content(text("Hi"), in_reply_to=ID, replaces=ID), NAMELESS, context=romeo)
    assert words(plan) == ["> Juliet: Wherefore art thou?\nRomeo: Edited: Hi"]
    assert plan.losses[-1] == Loss("sender", Level.PARTIAL, "the sender's name is put before the text")
    captioned = degrade.plan(content(CAT), NAMELESS, context=romeo)
    assert captioned.messages[0].part.parts == (CAT, text("Romeo:"))
    gone = degrade.plan(content(NullPart(), replaces=ID), NAMELESS, context=romeo)
    assert words(gone) == ["Romeo: Deleted a message: “Wherefore art thou?”"]
    uncaptioned = Capabilities(send=Way(files={"*/*": FileRule()}), shows_sender=False)
    apart = degrade.plan(content(CAT), uncaptioned, context=romeo)
    assert [message.part for message in apart.messages] == [text("Romeo:"), CAT]
    assert degrade.plan(
        content(several(CAT, text("x"), semantics=Semantics.SINGLE_UNIT)), NAMELESS, context=romeo
    ).messages[0].part.parts == (CAT, text("Romeo: x"))


def test_a_name_that_cannot_be_written_does_no_harm():
    strange = Context(sender="Ro\ud800meo\x00\n" + "o" * 1000)
    said = words(degrade.plan(content(text("Hi")), NAMELESS, context=strange))
    assert said == ["Romeo " + "o" * 73 + "…: Hi"]


# --- business parts ---------------------------------------------------------------------------------------------------

RED, BLUE, GREEN = (Option(id=name[0], title=name) for name in ("Red", "Blue", "Green"))
COLOURS = QuickReplies(body="Which?", options=(RED, BLUE, GREEN))
LISTED = Menu(body="Which?", button="Choose", sections=(Section(title="All of them", options=(RED, BLUE, GREEN)),))


def shown(plan):
    return commerce.find(plan.messages[0].part)


def test_buttons_become_numbered_text_and_a_number_finds_its_option():
    plan = degrade.plan(content(commerce.message(COLOURS)), BARE)
    assert words(plan) == ["Which?\n1. Red\n2. Blue\n3. Green"]
    assert plan.losses == (
        Loss("quick-replies", Level.UNSUPPORTED, "quick replies sent in words, the options numbered"),
    )
    assert degrade.match_option("2", COLOURS) == commerce.Choice(id="B", title="Blue")


@pytest.mark.parametrize("answer", ["2", " 2. ", "(2)", "#2", "2️⃣", "blue", " BLUE ", "B", "\uff22\uff4c\uff55\uff45"])
def test_an_answer_may_be_a_number_a_title_or_an_id(answer):
    assert degrade.match_option(answer, COLOURS).id == "B"


@pytest.mark.parametrize("answer", ["", "0", "4", "22", "2 please", "-", "blu", "²"])
def test_anything_else_is_no_answer(answer):
    assert degrade.match_option(answer, COLOURS) is None


def test_a_title_wins_over_the_numbering_and_a_shared_one_means_neither():
    odd = QuickReplies(body="x", options=(Option(id="a", title="2"), Option(id="b", title="1")))
    assert degrade.match_option("2", odd).id == "a"
    twins = QuickReplies(body="x", options=(Option(id="a", title="Yes"), Option(id="b", title="yes")))
    assert degrade.match_option("yes", twins) is None
    assert degrade.match_option("2", twins).id == "b"
    assert degrade.match_option("1", commerce.LocationRequest(body="Where?")) is None


def test_where_there_are_buttons_they_are_shown():
    plan = degrade.plan(content(commerce.message(COLOURS)), network(quick_replies=Level.FULL))
    assert shown(plan) == COLOURS
    assert plan.losses == ()
    converted = degrade.plan(content(commerce.single(COLOURS)), network(quick_replies=Level.PARTIAL))
    assert converted.losses == (Loss("quick-replies", Level.PARTIAL, "quick replies converted"),)


def test_too_many_buttons_become_a_list_and_a_short_list_buttons():
    both = {"quick_replies": Level.FULL, "list": Level.FULL}
    few = Limits(buttons=2)
    plan = degrade.plan(content(commerce.message(COLOURS)), network(limits=few, **both))
    assert commerce.options_of(shown(plan)) == COLOURS.options
    assert plan.losses == (Loss("quick-replies", Level.PARTIAL, "quick replies sent as list"),)
    buttons = degrade.plan(content(commerce.message(LISTED)), network(quick_replies=Level.FULL))
    assert isinstance(shown(buttons), QuickReplies)


def test_a_long_list_is_no_set_of_buttons():
    rows = tuple(Option(id=str(number), title=f"Row {number}") for number in range(30))
    plan = degrade.plan(
        content(commerce.single(Menu(body="x", button="y", sections=(Section(options=rows),)))),
        network(quick_replies=Level.FULL),
    )
    assert words(plan)[0].endswith("30. Row 29")


@pytest.mark.parametrize(
    ("part", "limits", "fitting"),
    [
        (COLOURS, Limits(button_title=4), ("Red", "Blue", "Gre…")),
        (COLOURS, Limits(button_title=1), None),
        (COLOURS, Limits(button_title=0), None),
        (COLOURS, Limits(buttons=2), None),
        (COLOURS, Limits(button_id=0), None),
        (COLOURS, Limits(body=3), None),
        (
            QuickReplies(body="x", options=(RED,), header="A header", footer="A footer"),
            Limits(header=4, footer=0),
            ("Red",),
        ),
        (LISTED, Limits(row_title=4), ("Red", "Blue", "Gre…")),
        (LISTED, Limits(list_rows=2), None),
        (LISTED, Limits(list_sections=0), None),
        (LISTED, Limits(button_title=0), None),
        (Template(name="t", language="de", body="x"), Limits(), ()),
        (Template(name="t", language="de", body="x", options=(RED, BLUE)), Limits(buttons=1), None),
        (Carousel(cards=(Card(body="a", options=(RED,)), Card(body="b"))), Limits(), ("Red",)),
        (Carousel(cards=(Card(body="a"), Card(body="b"))), Limits(cards=1), None),
        (Carousel(cards=(Card(body="a", options=(RED, BLUE)),)), Limits(buttons=1), None),
        (Carousel(cards=(Card(body="abc"),)), Limits(body=2), None),
        (
            Carousel(cards=(Card(body="a", link=LinkTo(title="Open it", url="https://e.org")),)),
            Limits(button_title=4),
            (),
        ),
        (
            Carousel(cards=(Card(body="a", link=LinkTo(title="Open it", url="https://e.org")),)),
            Limits(button_title=0),
            None,
        ),
        (LinkButton(body="a", title="Open it", url="https://e.org"), Limits(button_title=4), ()),
        (LinkButton(body="a", title="Open it", url="https://e.org"), Limits(button_title=0), None),
        (commerce.Location(latitude=1.0, longitude=1.0), Limits(), ()),
        (
            commerce.ProductList(
                body="a",
                sections=(commerce.ProductSection(products=(commerce.Product(id="p", title="P"),) * 2),),
            ),
            Limits(products=1),
            None,
        ),
        (
            commerce.ProductList(
                body="a", sections=(commerce.ProductSection(products=(commerce.Product(id="p", title="P"),)),)
            ),
            Limits(products=1),
            (),
        ),
    ],
)
def test_a_part_is_shortened_or_said_in_words(part, limits, fitting):
    feature = commerce.feature_of(part)
    plan = degrade.plan(
        content(commerce.single(part)), network(limits=limits, **{feature.replace("-", "_"): Level.FULL})
    )
    if fitting is None:
        assert isinstance(plan.messages[0].part, SinglePart)
        assert plan.messages[0].part.text == commerce.text_of(part)
    else:
        assert tuple(option.title for option in commerce.options_of(shown(plan))) == fitting
        assert bool(plan.losses) is (shown(plan) != part)


def test_a_part_without_options_may_leave_the_words_to_its_sender():
    asked = commerce.message(commerce.LocationRequest(body="Wo?"), "Wo bist du?")
    plan = degrade.plan(content(asked), BARE)
    assert words(plan) == ["Wo bist du?"]
    assert plan.losses == (
        Loss("part", Level.UNSUPPORTED, "another rendering is sent: location request sent in words"),
    )


def test_a_part_may_be_dropped_or_refused():
    single = content(commerce.single(COLOURS))
    assert degrade.plan(single, network(quick_replies=Level.REJECTED)).refused == Refusal(
        "unsupported", "the network refuses quick replies"
    )
    assert degrade.plan(single, network(quick_replies=Level.DROPPED)).refused.text == "quick replies left out"
    alternative = degrade.plan(content(commerce.message(COLOURS)), network(quick_replies=Level.REJECTED))
    assert words(alternative) == ["Which?\n1. Red\n2. Blue\n3. Green"]


def test_what_is_said_of_a_business_part_stands_before_it():
    plan = degrade.plan(
        content(commerce.single(COLOURS), replaces=ID),
        network(quick_replies=Level.FULL),
    )
    assert [message.part for message in plan.messages] == [text("Edited:"), commerce.single(COLOURS)]
