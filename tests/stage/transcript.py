"""Scenarios as transcripts: plain text that says who does what and who notices it.

One line is one thing that happens. Lines that are indented say what somebody notices; the play waits for it::

    Juliet to Romeo: Wherefore art thou Romeo?
      Romeo hears Juliet: Wherefore art thou Romeo?
    Romeo to Juliet, on "Wherefore": Call me but love
      Juliet hears Romeo, on "Wherefore": Call me but love

A message is spoken of by the beginning of its text in quotation marks (a file by its name); each client finds its own
id for it. A slash between blanks ends a line of a message, as when verse is quoted. The verbs are the functions below,
each with the line that it stands for. ``#`` begins a comment.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.stage.person import Did, Noticed, Person

FILES: Mapping[str, tuple[str, bytes]] = {
    # A picture of one pixel, and a file too large to be one row of anything.
    "balcony.png": (
        "image/png",
        bytes.fromhex(
            "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc000000301"
            "0100c9fe92ef0000000049454e44ae426082"
        ),
    ),
    "letter.txt": ("text/plain", b"My bounty is as boundless as the sea.\n" * 2000),
}


class Play:
    """A transcript's reader: ``people`` by name, ``rooms`` by name and then by person, the address each knows it by."""

    def __init__(
        self,
        people: Mapping[str, Person],
        rooms: Mapping[str, Mapping[str, str]] | None = None,
        told: Callable[[str, float | None], None] = lambda line, seconds: None,
    ) -> None:
        self.people, self.rooms, self.told = people, rooms or {}, told
        self._said_at: dict[str, float] = {}

    async def perform(self, text: str) -> None:
        """Perform a whole transcript, line by line; an AssertionError names the line that did not come true."""
        for number, line in enumerate(text.splitlines(), start=1):
            line = line.split("#", 1)[0].rstrip()
            if not line.strip():
                continue
            try:
                seconds = await self._line(line.strip())
            except AssertionError as error:
                raise AssertionError(f"line {number}: {line.strip()}\n{error}") from error
            self.told(line, seconds)

    async def _line(self, line: str) -> float | None:
        for pattern, act in _VERBS:
            if match := pattern.fullmatch(line):
                began = time.monotonic()
                said = {key: (value or "").replace(" / ", "\n") for key, value in match.groupdict().items()}
                noticed = await act(self, **said)
                if noticed is None:
                    self._said_at["last"] = began
                    return None
                return noticed.at - self._said_at.get("last", began)
        raise AssertionError(f"no verb for this line: {line!r}")

    # --- finding who and what ---

    def person(self, name: str) -> Person:
        """Return a person by name."""
        assert name in self.people, f"nobody on the stage is called {name}"
        return self.people[name]

    def address(self, who: str, to: str) -> str:
        """Return what ``who`` calls ``to``, a person or a room."""
        if to in self.rooms:
            return self.rooms[to][who]
        return self.person(who).addresses[to]

    def target(self, who: str, quoted: str) -> str:
        """Return the id by which ``who`` knows the message that begins with ``quoted``, the latest one."""
        known = self.person(who).known
        found = [native for text, native in known.items() if text.startswith(quoted)]
        assert found, f'{who} knows no message that begins "{quoted}", only {list(known)}'
        return found[-1]


Act = Callable[..., Awaitable[Noticed | None]]
_VERBS: list[tuple[re.Pattern[str], Act]] = []
_FORM = {
    "who": r"(?P<who>\w+)",
    "to": r"(?P<to>\w+)",
    "by": r"(?P<by>\w+)",
    "quoted": r"\"(?P<quoted>[^\"]+)\"",
    "on": r"(?:, on \"(?P<quoted>[^\"]+)\")?",
    "place": r"(?: in (?P<place>\w+))?",
    "text": r"(?P<text>.+)",
    "emoji": r"(?P<emoji>\S+)",
    "file": r"(?P<file>[\w.]+)",
    "uri": r"(?P<uri>geo:\S+)",
}


def verb(form: str) -> Callable[[Act], Act]:
    """Register a function for lines of this form."""

    def register(act: Act) -> Act:
        pattern = re.sub(r"\{(\w+)\}", lambda m: _FORM[m[1]], re.escape(form).replace(r"\{", "{").replace(r"\}", "}"))
        _VERBS.append((re.compile(pattern), act))
        return act

    return register


@verb("{who} to {to}{on}: {text}")
async def _says(play: Play, who: str, to: str, quoted: str, text: str) -> None:
    target = play.target(who, quoted) if quoted else ""
    await play.person(who).say(play.address(who, to), text, reply_to=target)


@verb("{who} hears {by}{place}{on}: {text}")
async def _hears(play: Play, who: str, by: str, place: str, quoted: str, text: str) -> Noticed:
    target = play.target(who, quoted) if quoted else None
    room = play.address(who, place) if place else ""
    return await play.person(who).wait(
        lambda n: (
            n.did is Did.SAY
            and n.text == text
            and n.sender == by
            and n.room == room
            and (target is None or n.target == target)
        ),
        f"{by} saying {text!r}" + (f" on {target}" if target else ""),
    )


@verb("{who} to {to} reacts {emoji} on {quoted}")
async def _reacts(play: Play, who: str, to: str, emoji: str, quoted: str) -> None:
    await play.person(who).react(play.address(who, to), play.target(who, quoted), emoji)


@verb("{who} sees {by} react {emoji} on {quoted}")
async def _sees_reaction(play: Play, who: str, by: str, emoji: str, quoted: str) -> Noticed:
    target = play.target(who, quoted)
    return await play.person(who).wait(
        lambda n: n.did is Did.REACT and n.text == emoji and n.target == target and n.sender == by,
        f"{by} reacting {emoji} on {target}",
    )


@verb("{who} to {to} corrects {quoted}: {text}")
async def _corrects(play: Play, who: str, to: str, quoted: str, text: str) -> None:
    await play.person(who).edit(play.address(who, to), play.target(who, quoted), text)


@verb("{who} sees {by} correct {quoted}: {text}")
async def _sees_correction(play: Play, who: str, by: str, quoted: str, text: str) -> Noticed:
    target = play.target(who, quoted)
    return await play.person(who).wait(
        lambda n: n.did is Did.EDIT and n.text == text and n.target == target and n.sender == by,
        f"{by} correcting {target} to {text!r}",
    )


@verb("{who} to {to} takes back {quoted}")
async def _takes_back(play: Play, who: str, to: str, quoted: str) -> None:
    await play.person(who).delete(play.address(who, to), play.target(who, quoted))


@verb("{who} sees {by} take back {quoted}")
async def _sees_taken_back(play: Play, who: str, by: str, quoted: str) -> Noticed:
    target = play.target(who, quoted)
    return await play.person(who).wait(
        lambda n: n.did is Did.DELETE and n.target == target and n.sender == by, f"{by} taking back {target}"
    )


@verb("{who} to {to} sends {file}")
async def _sends(play: Play, who: str, to: str, file: str) -> None:
    mime, data = FILES[file]
    await play.person(who).send_file(play.address(who, to), file, mime, data)


@verb("{who} receives {file} from {by}")
async def _receives(play: Play, who: str, file: str, by: str) -> Noticed:
    _, data = FILES[file]
    return await play.person(who).wait(
        lambda n: n.did is Did.FILE and n.data == data and n.sender == by, f"{file} from {by}, all {len(data)} octets"
    )


@verb("{who} to {to} shares {uri}")
async def _shares(play: Play, who: str, to: str, uri: str) -> None:
    await play.person(who).share(play.address(who, to), uri)


@verb("{who} to {to} types")
async def _types(play: Play, who: str, to: str) -> None:
    await play.person(who).type(play.address(who, to), active=True)


@verb("{who} sees {by} typing")
async def _sees_typing(play: Play, who: str, by: str) -> Noticed:
    return await play.person(who).wait(lambda n: n.did is Did.TYPING and n.sender == by, f"{by} typing")


@verb("{who} to {to} has read {quoted}")
async def _has_read(play: Play, who: str, to: str, quoted: str) -> None:
    await play.person(who).read(play.address(who, to), play.target(who, quoted))


@verb("{who} sees {quoted} read by {by}")
async def _sees_read(play: Play, who: str, quoted: str, by: str) -> Noticed:
    target = play.target(who, quoted)
    return await play.person(who).wait(
        lambda n: n.did is Did.READ and n.target == target and n.sender == by, f"{by} having read {target}"
    )


@verb("{who} is told that {quoted} failed")
async def _is_told(play: Play, who: str, quoted: str) -> Noticed:
    target = play.target(who, quoted)
    return await play.person(who).wait(lambda n: n.did is Did.ERROR and n.target == target, f"that {target} failed")


def acts(folder: Path) -> list[Path]:
    """Return the transcripts of a folder, in order of their names."""
    return sorted(folder.glob("*.play"))
