"""What the planner is told, and what it answers."""

from __future__ import annotations

from msgspec import Struct

from protocol.capabilities import Level
from protocol.commerce import Commerce
from protocol.content import Part


class Referenced(Struct, frozen=True, kw_only=True):
    """What the endpoint knows of a message that the content edits, deletes, answers or reacts to.

    ``known``: its native id on the destination network is known, so the adapter can name it. ``age`` is the time in
    milliseconds since it was accepted (None: unknown, taken as young). ``text`` is what it said, of which a short quote
    is made where one is needed; ``sender`` the display name of who said it. ``reaction`` says that it was a reaction,
    so that taking it back is judged as a reaction and not as the deletion of a message.
    """

    known: bool = True
    age: int | None = None
    text: str = ""
    sender: str = ""
    reaction: bool = False


class Context(Struct, frozen=True, kw_only=True):
    """What the planner needs beside the content.

    ``sender`` is the display name of who speaks. ``replaced`` is the message that ``content.replaces`` names and
    ``answered`` the one that ``content.in_reply_to`` names; None when the endpoint has never seen it.
    """

    sender: str = ""
    replaced: Referenced | None = None
    answered: Referenced | None = None


class Planned(Struct, frozen=True, kw_only=True):
    """One native message, in one of the few shapes of ``part`` that an adapter is ever handed.

    - ``NullPart``, with ``keeps_replaces``: a deletion, or a reaction taken back;
    - ``SinglePart`` of ``text/plain;charset=utf-8``; with disposition ``REACTION`` it is one emoji that reacts to the
      message answered;
    - ``SinglePart`` of ``text/markdown;variant=GFM-MIMI``, only if the network has formatting, and only with the kinds
      of formatting that it has;
    - ``SinglePart`` of one of the types of ``protocol.commerce`` whose feature the network has;
    - ``ExternalPart``: a file, within the limits of its ``FileRule``;
    - ``MultiPart`` (``SINGLE_UNIT``) of an ``ExternalPart`` and a ``SinglePart`` of text: a file with its caption;
    - ``SinglePart`` of any other type (message status, typing) that stood alone in the content: passed on as it is.

    A file whose bytes stand in the content itself is an ``ExternalPart`` with a ``data:`` URL; ``inline_bytes`` reads
    it.

    ``keeps_replaces`` and ``keeps_in_reply_to`` say whether the native message still edits (or deletes) and answers
    what the content does; the endpoint then puts the native ids in, and otherwise leaves them out.
    """

    part: Part
    keeps_replaces: bool = False
    keeps_in_reply_to: bool = False


class Loss(Struct, frozen=True):
    """Something that the other side will not get as it was said.

    ``what`` is the value of a ``Feature`` or ``Format``, or ``text``, ``file``, ``caption``, ``sender``, ``part``;
    ``level`` how well it passes all the same; ``text`` says it to a person.
    """

    what: str
    level: Level
    text: str


class Refusal(Struct, frozen=True):
    """Nothing will be sent. ``reason`` is a word of the adapters' vocabulary: ``unsupported``, ``media-refused``,
    ``media-too-large``, ``too-large``; ``text`` says it to a person.
    """

    reason: str
    text: str


class Plan(Struct, frozen=True, kw_only=True):
    """What will be sent, in this order, what is lost by it, or why nothing is.

    The first of ``messages`` carries the edit, the reply or the deletion. Without messages and without a refusal
    there is nothing to send and nobody misses it (typing, on a network that cannot show it). ``offers`` is the part
    that is sent in words and can be answered in words (``match_option``, or a location that is asked for), if there is
    just one.
    """

    messages: tuple[Planned, ...] = ()
    losses: tuple[Loss, ...] = ()
    refused: Refusal | None = None
    offers: Commerce | None = None
