"""An answer in words, and the option that it means."""

from __future__ import annotations

import re
import unicodedata

from protocol.commerce import Choice, Commerce, Option, options_of

_NUMBER = re.compile(r"[(\[#]?(\d{1,3})[.):\]]?")
_KEYCAP = "\ufe0f\u20e3"


def match_option(answer: str, request: Commerce) -> Choice | None:
    """Return the choice that ``answer`` makes among what ``request`` offers, or None if it is none.

    An answer is the number under which an option was shown ("2", "2.", "(2)", "②", the keycap emoji, the digits of any
    script), its title or its id; case and blanks do not count. A title that is itself a number wins over the numbering,
    and a title that two options share means neither. Ids are not shown to people: a number never means one.
    """
    options = options_of(request)
    said = _folded(answer)
    if not said:
        return None
    named = [option for option in options if said == _folded(option.title)]
    if not named:
        found = _NUMBER.fullmatch(_upright(answer).strip().rstrip(_KEYCAP))
        if found:
            number = int(found[1])
            named = list(options[number - 1 : number])
        else:
            named = [option for option in options if said == _folded(option.id)]
    return _choice(named[0]) if len(named) == 1 else None


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _upright(text: str) -> str:
    """Return ``text`` with plain characters for wide and circled ones; a power (``²``) is no number of an option."""
    return "".join(
        char if unicodedata.decomposition(char).startswith("<super>") else unicodedata.normalize("NFKC", char)
        for char in text
    )


def _choice(option: Option) -> Choice:
    return Choice(id=option.id, title=option.title, description=option.description)
