"""What becomes of files and their captions."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from protocol import degrade
from protocol.capabilities import Capabilities, FileRule, Level, Way
from protocol.content import MARKDOWN, Disposition, ExternalPart, Semantics, SinglePart, text
from protocol.degrade import Context, Loss, Planned, Refusal
from tests.unit.protocol.degrade.scene import BARE, CAT, content, files, parts, several, words


@pytest.mark.parametrize("rule", [{"caption": Level.FULL, "max_caption": 6}, {"caption": Level.PARTIAL}])
def test_a_file_goes_with_its_caption(rule):
    said = several(CAT, text("My cat"), semantics=Semantics.SINGLE_UNIT)
    plan = degrade.plan(content(said), files(**rule))
    assert plan == degrade.Plan(messages=(Planned(part=said),))
    other = several(text("My cat"), CAT, semantics=Semantics.SINGLE_UNIT)
    assert degrade.plan(content(other), files(**rule)) == plan


@pytest.mark.parametrize("caption", [Level.PARTIAL, Level.FULL])
def test_who_sends_a_file_is_said_in_its_caption(caption):
    here = Capabilities(send=Way(files={"*/*": FileRule(caption=caption)}), shows_sender=False)
    plan = degrade.plan(content(CAT), here, context=Context(sender="Romeo"))
    assert parts(plan) == [several(CAT, text("Romeo:"), semantics=Semantics.SINGLE_UNIT)]


def test_what_is_lost_of_a_file_is_said_of_one_with_a_caption_too():
    said = several(CAT, text("**My** cat", MARKDOWN), semantics=Semantics.SINGLE_UNIT)
    plan = degrade.plan(content(said), files(level=Level.PARTIAL, caption=Level.FULL))
    assert [loss.what for loss in plan.losses] == ["file", "bold"]


@pytest.mark.parametrize("semantics", [Semantics.SINGLE_UNIT, Semantics.PROCESS_ALL])
def test_one_part_that_is_refused_refuses_all(semantics):
    no_films = Way(files={"image/*": FileRule(caption=Level.FULL), "video/*": FileRule(level=Level.REJECTED)})
    film = ExternalPart(content_type="video/mp4", url="https://e.org/f")
    plan = degrade.plan(content(several(CAT, text("My cat"), film, semantics=semantics)), Capabilities(send=no_films))
    assert plan == degrade.Plan(refused=Refusal("media-refused", "the network refuses files of type video/mp4"))


def test_a_caption_that_cannot_go_along_follows():
    said = content(several(text("My cat"), CAT, semantics=Semantics.SINGLE_UNIT))
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
    ("rule", "reason", "why"),
    [
        ({"level": Level.REJECTED}, "media-refused", "the network refuses files of type image/png"),
        ({"level": Level.UNSUPPORTED}, "media-refused", "the network takes no files of type image/png"),
        ({"level": Level.DROPPED}, "unsupported", "a file (image/png) is left out"),
        ({"max_size": 5_099_999}, "media-too-large", "5,100,000 bytes are more than the network's 5,099,999"),
    ],
)
def test_a_file_that_cannot_be_sent_is_refused_if_it_is_all_there_is(rule, reason, why):
    cat = replace(CAT, content_type="image/png; name=cat")
    assert degrade.plan(content(cat), files(**rule)).refused == Refusal(reason, why)


def test_a_file_of_exactly_the_largest_size_goes():
    assert parts(degrade.plan(content(CAT), files(max_size=5_100_000))) == [CAT]


def test_beside_other_words_it_may_be_left_out():
    plan = degrade.plan(content(several(text("My cat"), CAT)), files(level=Level.DROPPED))
    assert words(plan) == ["My cat"]
    assert plan.losses == (Loss("file", Level.DROPPED, "a file (image/png) is left out"),)


@pytest.mark.parametrize("first", [0, 1])
def test_beside_other_words_it_leaves_a_notice(first):
    said = [text("My cat"), CAT]
    notice = ["My cat", "[cat.png (image/png, 5.1 MB) cannot be shown here]"]
    plan = degrade.plan(content(several(said[first], said[1 - first])), files(max_size=5_000_000))
    assert words(plan) == [notice[first], notice[1 - first]]
    assert plan.losses == (
        Loss(
            "file",
            Level.UNSUPPORTED,
            "a file is sent as a notice: 5,100,000 bytes are more than the network's 5,000,000",
        ),
    )


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "A cat (image/png): https://e.org/x"),
        (999, "A cat (image/png, 999 bytes): https://e.org/x"),
        (1000, "A cat (image/png, 1.0 kB): https://e.org/x"),
        (1500, "A cat (image/png, 1.5 kB): https://e.org/x"),
        (999_949, "A cat (image/png, 999.9 kB): https://e.org/x"),
        (999_950, "A cat (image/png, 1.0 MB): https://e.org/x"),
        (2_000_000_000, "A cat (image/png, 2.0 GB): https://e.org/x"),
        (3_000_000_000_000, "A cat (image/png, 3.0 TB): https://e.org/x"),
        (4_000_000_000_000_000, "A cat (image/png, 4000.0 TB): https://e.org/x"),
    ],
)
def test_a_file_that_everybody_may_fetch_is_a_link(size, said):
    public = ExternalPart(content_type="image/png; name=x", url="https://e.org/x", size=size, description="A cat")
    plan = degrade.plan(content(public), BARE)
    assert words(plan) == [said]
    assert plan.losses == (
        Loss("file", Level.UNSUPPORTED, "a file is sent as a link: the network takes no files of type image/png"),
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_only_who_has_the_key_could_read_what_is_encrypted(scheme):
    url = f"{scheme}://e.org/x"
    public, secret = (ExternalPart(content_type="text/x-a", url=url, enc_alg=alg) for alg in (0, 1))
    assert words(degrade.plan(content(several(text("a"), public)), BARE)) == ["a", f"File (text/x-a): {url}"]
    assert words(degrade.plan(content(several(text("a"), secret)), BARE)) == [
        "a",
        "[File (text/x-a) cannot be shown here]",
    ]


def test_the_name_of_a_file_stays_on_its_line():
    odd = ExternalPart(content_type="text/x-a", url="https://e.org", filename="\x00", description="A\ncat: " + "o" * 99)
    assert words(degrade.plan(content(odd), BARE)) == [f"A cat: {'o' * 72}… (text/x-a): https://e.org"]
    nameless = ExternalPart(content_type="text/x-a", url="https://e.org")
    assert words(degrade.plan(content(nameless), BARE)) == ["File (text/x-a): https://e.org"]


def test_a_converted_file_says_so():
    plan = degrade.plan(content(CAT), files(level=Level.PARTIAL))
    assert plan.losses == (Loss("file", Level.PARTIAL, "a file (image/png) is converted"),)


def test_a_file_inside_the_message_is_handed_over_like_any_other():
    inside = SinglePart("image/png", b"\x89PNG", disposition=Disposition.ATTACHMENT, language="de")
    (part,) = parts(degrade.plan(content(inside), files()))
    assert (part.content_type, part.size, part.enc_alg) == ("image/png", 4, 0)
    assert (part.disposition, part.language) == (Disposition.ATTACHMENT, "de")
    assert degrade.inline_bytes(part) == b"\x89PNG"


def test_its_bytes_are_found_whatever_it_calls_itself():
    plan = degrade.plan(content(SinglePart("image/png;base64,x", b"\x89PNG")), files())
    assert degrade.inline_bytes(plan.messages[0].part) == b"\x89PNG"


@pytest.mark.parametrize("url", ["https://e.org", "data:x;base64,!", "odd:x;base64,AA=="])
def test_other_files_have_no_bytes_inside(url):
    assert degrade.inline_bytes(ExternalPart(content_type="image/png", url=url)) is None
