"""Networks that can do more or less, and what is said on the way to them."""

from __future__ import annotations

from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Limits, Unit, Way
from protocol.commerce import Menu, Option, QuickReplies, Section
from protocol.content import Content, ExternalPart, MultiPart, Semantics
from protocol.degrade import Context, Referenced

# --- networks ---------------------------------------------------------------------------------------------------------

RICH = Capabilities(
    send=Way(
        features=dict.fromkeys(Feature, Level.FULL),
        formatting=dict.fromkeys(Format, Level.FULL),
        files={"*/*": FileRule(caption=Level.FULL)},
    )
)
BARE = Capabilities()
NAMELESS = Capabilities(send=Way(files={"*/*": FileRule(caption=Level.FULL)}), shows_sender=False)


def network(*, text=Level.FULL, limits=None, **levels):
    """Return a network with these features, named as keywords, and nothing else."""
    features = {Feature(name.replace("_", "-")): level for name, level in levels.items()}
    return Capabilities(send=Way(features=features, text=text), limits=limits or Limits())


def files(**rule):
    """Return a network that treats pictures like this, and has no other files."""
    return Capabilities(send=Way(files={"image/*": FileRule(**rule)}))


def with_limit(limit, base=BARE, unit=Unit.CODE_POINTS):
    return Capabilities(send=base.send, limits=Limits(text=limit, unit=unit))


# --- what is said -----------------------------------------------------------------------------------------------------

ID = bytes(32)
ROMEO = Referenced(text="Wherefore art thou?", sender="Juliet")
KNOWN = Context(replaced=Referenced(), answered=ROMEO)
CAT = ExternalPart(content_type="image/png", url="https://e.org/x", size=5_100_000, enc_alg=1, filename="cat.png")
RED, BLUE, GREEN = (Option(id=name[0], title=name) for name in ("Red", "Blue", "Green"))
COLOURS = QuickReplies(body="Which?", options=(RED, BLUE, GREEN))
LISTED = Menu(body="Which?", button="Choose", sections=(Section(title="All of them", options=(RED, BLUE, GREEN)),))


def content(part, **fields):
    return Content(salt=bytes(16), part=part, **fields)


def several(*parts, semantics=Semantics.PROCESS_ALL):
    return MultiPart(semantics=semantics, parts=parts)


def choose(*parts):
    return several(*parts, semantics=Semantics.CHOOSE_ONE)


# --- what is sent -----------------------------------------------------------------------------------------------------


def parts(plan):
    return [message.part for message in plan.messages]


def words(plan):
    return [message.part.text for message in plan.messages]
