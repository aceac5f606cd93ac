"""Answers in words: "2" becomes the choice that it means, and only where it can mean nothing else."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from adapters.contract import Delivery, Direct, Group, Message, Outcome, Permanent, Retry, Unsure
from bridge.endpoint.ledger.contract import Change, OfferRow
from bridge.endpoint.offers import offers
from protocol import commerce
from protocol.capabilities import Feature, Level, Way
from protocol.commerce import Choice, Location, LocationRequest, Menu, Option, QuickReplies, Section
from protocol.content import MARKDOWN, Disposition, ExternalPart, NullPart, text
from tests.unit.endpoint.crash import Fuse, MortalAdapter, MortalRouter, kill, mortal_ledger
from tests.unit.endpoint.fake_adapter import EVERYTHING, FakeAdapter, FakeNetwork, Taken
from tests.unit.endpoint.house import House, now, until
from tests.unit.endpoint.test_crash import ALL, SEED

WORDS = structs.replace(
    EVERYTHING,
    send=Way(
        features=dict.fromkeys(
            (Feature.REPLY, Feature.REACTION, Feature.EDIT, Feature.DELETE, Feature.LOCATION), Level.FULL
        ),
        files=EVERYTHING.send.files,
    ),
)
COLOURS = QuickReplies(body="Which colour?", options=(Option(id="r", title="Red"), Option(id="b", title="Blue")))
PAINTS = Menu(body="Which paint?", button="Look", sections=(Section(options=(Option(id="o", title="Oil"),)),))
WHERE = LocationRequest(body="Where are you?")
HERE = Location(latitude=45.4, longitude=11.0)


class Shop:
    """The sea has a shop with buttons; the sky shows words. ``shop`` and ``anna`` are the two ends of one talk."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.sea, self.sky = house.networks["sea"], house.networks["sky"]
        self.shop = house.direct("sea", "shop", "sky", "anna")
        self.anna = house.direct("sky", "anna", "sea", "shop")
        self._count = 0

    async def asks(self, said: commerce.Commerce | Message | str) -> Taken:
        """The shop says something; return what Anna was shown of it."""
        if isinstance(said, commerce.Commerce):
            said = Message(commerce.message(said))
        before = len(self.sky.taken)
        self._count += 1
        self.sea.say(self.shop, said, f"q{self._count}")
        await until(lambda: len(self.sky.taken) > before)
        native = f"q{self._count}"
        await until(lambda: self.sea.statuses(native))
        return self.sky.taken[-1]

    async def hears(self, said: Message | str, native_id: str = "") -> Taken:
        """Anna says something; return what the shop got."""
        before = len(self.sea.taken)
        self._count += 1
        self.sky.say(self.anna, said, native_id or f"a{self._count}")
        await until(lambda: len(self.sea.taken) > before)
        return self.sea.taken[-1]


@pytest.fixture
async def shop(house: House) -> Shop:
    house.networks["sky"].capabilities = WORDS
    await house.start()
    return Shop(house)


def choice(taken: Taken) -> Choice | None:
    found = commerce.find(taken.message.part)
    return found if isinstance(found, Choice) else None


async def test_a_number_becomes_the_choice_that_it_means(shop: Shop) -> None:
    shown = await shop.asks(COLOURS)
    assert shown.text == "Which colour?\n1. Red\n2. Blue"
    answer = await shop.hears("2")
    assert choice(answer) == Choice(id="b", title="Blue")
    assert answer.message.in_reply_to == "q1"


async def test_the_persons_own_words_stay_beside_the_choice(shop: Shop) -> None:
    shop.sea.capabilities = WORDS  # the shop's program knows no choices either
    await shop.asks(COLOURS)
    assert (await shop.hears(" blue ")).text == " blue "


async def test_titles_of_a_list_are_chosen_and_what_is_none_stays_text(shop: Shop) -> None:
    await shop.asks(PAINTS)
    other = await shop.hears("Have you gold?")
    assert (other.text, other.message.in_reply_to) == ("Have you gold?", None)
    assert choice(await shop.hears("OIL")) == Choice(id="o", title="Oil")


async def test_an_offer_is_answered_once_unless_it_is_quoted(shop: Shop) -> None:
    shown = await shop.asks(COLOURS)
    assert choice(await shop.hears("1")) is not None
    assert (await shop.hears("2")).text == "2"
    again = await shop.hears(Message(text("2"), in_reply_to=shown.native_id))
    assert choice(again) == Choice(id="b", title="Blue")
    assert again.message.in_reply_to == "q1"


async def test_two_answers_that_come_at_once_are_one_choice(shop: Shop) -> None:
    await shop.asks(COLOURS)
    shop.sky.say(shop.anna, "2", "a1")
    shop.sky.say(shop.anna, "1", "a2")
    await until(lambda: len(shop.sea.taken) == 2)
    assert choice(shop.sea.taken[0]) == Choice(id="b", title="Blue")
    assert shop.sea.taken[1].text == "1"


async def test_whatever_is_said_later_closes_an_offer(shop: Shop) -> None:
    shown = await shop.asks(COLOURS)
    await shop.asks("How many do you want?")
    assert (await shop.hears("2")).text == "2"
    assert choice(await shop.hears(Message(text("2"), in_reply_to=shown.native_id))) is not None


async def test_the_newer_of_two_offers_is_the_one_that_is_answered(shop: Shop) -> None:
    await shop.asks(COLOURS)
    await shop.asks(PAINTS)
    assert choice(await shop.hears("1")) == Choice(id="o", title="Oil")


async def test_a_reaction_is_nothing_that_was_said(shop: Shop) -> None:
    await shop.hears("Good morrow", "a0")
    await shop.asks(COLOURS)
    smile = Message(text("!", disposition=Disposition.REACTION), in_reply_to=shop.sea.taken[0].native_id)
    await shop.asks(smile)
    assert choice(await shop.hears("1")) == Choice(id="r", title="Red")


async def test_a_quote_of_something_else_is_no_answer(shop: Shop) -> None:
    greeting = await shop.asks("Good morrow")
    await shop.asks(COLOURS)
    other = await shop.hears(Message(text("2"), in_reply_to=greeting.native_id))
    assert (other.text, other.message.in_reply_to) == ("2", "q1")
    assert choice(await shop.hears("2")) is not None


async def test_a_quote_may_be_only_words(shop: Shop) -> None:
    await shop.asks(COLOURS)
    await shop.asks("How many?")
    quoting = await shop.hears(Message(text("> Which colour?\\\n> 1\\. Red\n\n2", MARKDOWN)))
    assert choice(quoting) == Choice(id="b", title="Blue")
    assert quoting.message.in_reply_to == "q1"
    other = await shop.hears(Message(text("> How many?\n\n2", MARKDOWN)))
    assert choice(other) is None
    assert choice(await shop.hears(Message(text("> 2", MARKDOWN)))) is None


async def test_formatted_words_are_read_and_long_ones_are_not(shop: Shop) -> None:
    await shop.asks(COLOURS)
    assert choice(await shop.hears("Red " * 4000)) is None
    assert choice(await shop.hears(Message(text("**Red**", MARKDOWN)))) is not None


async def test_the_edit_of_an_answer_stays_an_edit(shop: Shop) -> None:
    await shop.asks(COLOURS)
    await shop.hears("Hmm", "a1")
    edited = await shop.hears(Message(text("2"), replaces="a1"))
    assert (edited.text, edited.message.replaces) == ("2", "sea-1")


async def test_a_location_answers_the_request_for_one(shop: Shop) -> None:
    await shop.asks(WHERE)
    words = await shop.hears("In the orchard")
    assert words.message.in_reply_to is None
    place = await shop.hears(Message(commerce.message(HERE)))
    assert (commerce.find(place.message.part), place.message.in_reply_to) == (HERE, "q1")
    assert (await shop.hears(Message(commerce.message(HERE)))).message.in_reply_to is None


async def test_a_location_is_no_answer_to_a_question_about_colours(shop: Shop) -> None:
    await shop.asks(COLOURS)
    assert (await shop.hears(Message(commerce.message(HERE)))).message.in_reply_to is None


async def test_an_offer_that_is_edited_or_deleted_is_no_longer_what_it_was(shop: Shop) -> None:
    shown = await shop.asks(COLOURS)
    await shop.asks(Message(commerce.message(PAINTS), replaces="q1"))
    assert (await shop.hears("2")).text == "2"
    quoting = await shop.hears(Message(text("1"), in_reply_to=shown.native_id))
    assert (choice(quoting), quoting.message.in_reply_to) == (Choice(id="o", title="Oil"), "q1")
    await shop.asks(Message(NullPart(), replaces="q1"))
    assert (await shop.hears(Message(text("1"), in_reply_to=shown.native_id))).text == "1"


async def test_the_edit_of_something_else_leaves_an_offer_open(shop: Shop) -> None:
    await shop.asks("Good morrow")
    await shop.asks(COLOURS)
    await shop.asks(Message(text("Good day"), replaces="q1"))
    assert choice(await shop.hears("1")) is not None


async def test_an_answer_waits_its_turn_behind_a_file(shop: Shop) -> None:
    await shop.asks(COLOURS)
    shop.sky.files["sky:picture"] = b"x" * 9
    shop.sky.say(shop.anna, Message(ExternalPart("image/png", "sky:picture")), "a1")
    shop.sky.say(shop.anna, "2", "a2")
    shop.sky.say(shop.anna, "1", "a3")
    await until(lambda: len(shop.sea.taken) == 3)
    assert choice(shop.sea.taken[1]) == Choice(id="b", title="Blue")
    assert shop.sea.taken[1].message.in_reply_to == "q1"
    assert shop.sea.taken[2].text == "1"


async def test_after_a_day_only_a_quote_can_mean_it(house: House) -> None:
    clock = [now()]
    house.networks["sky"].capabilities = WORDS
    await house.make("sky", clock=lambda: clock[0]).start()
    await house.start("sea")
    shop = Shop(house)
    shown = await shop.asks(COLOURS)
    clock[0] += offers.ANSWERABLE_MS + 1_000
    assert (await shop.hears("2")).text == "2"
    assert choice(await shop.hears(Message(text("2"), in_reply_to=shown.native_id))) is not None


async def test_among_many_a_choice_must_quote(tmp_path: Path) -> None:
    house = House(tmp_path, "sea", "sky")
    house.plumb("square", {"sea": "sea-square", "sky": "sky-square"}, creator="sea")
    house.networks["sky"].capabilities = WORDS
    await house.open_hub()
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(Group("sea-square"), Message(commerce.message(COLOURS)), "q1", sender="shop")
    await until(lambda: sky.taken and sea.reports)
    sky.say(Group("sky-square"), "2", "a1", sender="anna")
    sky.say(Group("sky-square"), Message(text("2"), in_reply_to=sky.taken[0].native_id), "a2", sender="bert")
    await until(lambda: len(sea.taken) == 2)
    assert sea.taken[0].text == "2"
    assert choice(sea.taken[1]) == Choice(id="b", title="Blue")
    await house.stop()


# --- while something is being sent ------------------------------------------------------------------------------------


class Quick(FakeAdapter):
    """A network on which somebody answers before the send has returned."""

    def __init__(self, network: FakeNetwork, answers: dict[str, str], anna: Direct) -> None:
        super().__init__(network)
        self._answers = answers
        self._anna = anna
        self.patience = 0.1

    async def take(self, delivery: Delivery, key: str) -> object:  # type: ignore[override]
        sent = await super().take(delivery, key)
        for question, answer in self._answers.items():
            if delivery.message.part.text.startswith(question):
                self.network.say(self._anna, answer, f"answer to {question}")
        await asyncio.sleep(self.patience)
        return sent


@pytest.fixture
async def quick(house: House) -> Shop:
    house.networks["sky"].capabilities = WORDS
    shop = Shop(house)
    await house.make("sky", Quick(shop.sky, {"Which": "2", "How": "2"}, shop.anna)).start()
    await house.start("sea")
    return shop


async def test_who_answers_before_the_send_has_returned_is_understood(quick: Shop) -> None:
    await quick.asks(COLOURS)
    await until(lambda: quick.sea.taken)
    assert choice(quick.sea.taken[0]) == Choice(id="b", title="Blue")


async def test_a_message_that_is_just_being_said_closes_an_offer_already(quick: Shop) -> None:
    quick.house.adapters["sky"]._answers.pop("Which")
    await quick.asks(COLOURS)
    await quick.asks("How many?")
    await until(lambda: quick.sea.taken)
    assert quick.sea.taken[0].text == "2"


async def test_where_a_send_takes_too_long_a_number_stays_a_number(quick: Shop) -> None:
    quick.house.adapters["sky"]._answers.pop("Which")
    await quick.asks(COLOURS)
    quick.house.adapters["sky"].patience = 3.0
    quick.sea.say(quick.shop, "How many?", "q9")
    await until(lambda: quick.sea.taken)
    assert quick.sea.taken[0].text == "2"


async def test_a_send_that_hangs_is_waited_for_once(quick: Shop) -> None:
    quick.house.adapters["sky"]._answers.clear()
    await quick.asks(COLOURS)
    quick.house.adapters["sky"].patience = 30.0
    quick.sea.say(quick.shop, "How many?", "q9")
    await until(lambda: "How many?" in quick.sky.texts())
    assert (await quick.hears("2")).text == "2"
    began = time.monotonic()
    for number in range(5):
        assert (await quick.hears(f"{number}")).text == f"{number}"
    assert time.monotonic() - began < 5  # else it were two seconds for each


@pytest.mark.parametrize(
    ("outcome", "idempotent", "stays_open"),
    [
        (Permanent("rejected"), True, True),
        (Retry("busy"), True, True),
        (Unsure("no answer"), True, False),
        (Unsure("no answer"), False, False),
    ],
)
async def test_what_may_have_been_seen_closes_an_offer(
    shop: Shop, outcome: Outcome, idempotent: bool, stays_open: bool
) -> None:
    await shop.asks(COLOURS)
    shop.sky.capabilities = structs.replace(WORDS, idempotent_send=idempotent)
    adapter = shop.house.adapters["sky"]
    adapter.script = lambda delivery, key: outcome
    shop.sea.say(shop.shop, "How many?", "q9")
    await until(lambda: shop.sea.statuses("q9") or len(adapter.attempts) > 2)
    answer = await shop.hears("2")
    assert (choice(answer) is not None) is stays_open


# --- after an accident ------------------------------------------------------------------------------------------------


async def test_offers_outlive_the_endpoint(shop: Shop) -> None:
    await shop.asks(COLOURS)
    await shop.house.endpoints["sky"].stop()
    await shop.house.start("sky")
    assert choice(await shop.hears("2")) is not None
    await shop.house.endpoints["sky"].stop()
    await shop.house.start("sky")
    assert (await shop.hears("1")).text == "1"


async def test_the_operators_word_that_the_ledger_is_old_closes_what_was_open(shop: Shop) -> None:
    shown = await shop.asks(COLOURS)
    await shop.house.endpoints["sky"].stop()
    endpoint = shop.house.make("sky", distrust=True)
    await endpoint.start()
    await until(lambda: endpoint._settled.is_set())
    assert (await shop.hears("2")).text == "2"
    assert choice(await shop.hears(Message(text("2"), in_reply_to=shown.native_id))) is not None


async def test_a_plan_of_before_offers_were_kept_is_carried_out(house: House) -> None:
    house.networks["sky"].capabilities = WORDS
    await house.start("sea")
    sky = house.make("sky")
    adapter = house.adapters["sky"]
    adapter.script = lambda delivery, key: Retry("busy", after=0.01)
    await sky.start()
    house.networks["sea"].say(house.direct("sea", "shop", "sky", "anna"), "Hello", "q1")
    await until(lambda: adapter.attempts)
    await sky.stop()
    again = house.make("sky")
    again.ledger = await again._open_ledger(again._database_url, again._sealer)
    [uri] = await again.ledger.delivery_rooms()
    [row] = await again.ledger.deliveries(uri, 9)
    old = msgspec.msgpack.encode([Message(text("Hello"))])
    await again.ledger.commit(Change(deliveries=[structs.replace(row, plan=old, next_at=0)]))
    await again.ledger.close()
    await again.start()
    await until(lambda: house.networks["sky"].texts() == ["Hello"])


async def test_an_offer_that_this_version_cannot_read_is_none(shop: Shop) -> None:
    await shop.asks("Hello")
    endpoint = shop.house.endpoints["sky"]
    [room] = endpoint.rooms
    change = Change()
    strange = OfferRow(mimi_id=bytes(32), room=room.uri, native_id="x", part=b"application/x-later\x00", at=now())
    endpoint.offers.made(change, strange)
    await endpoint.ledger.commit(change)
    assert (await shop.hears("2")).text == "2"


async def scene(shop: Shop) -> None:
    """The shop asks, Anna answers, the shop asks on, and Anna's number is then only a number."""
    shop.sea.say(shop.shop, Message(commerce.message(COLOURS)), "q1")
    await until(lambda: shop.sky.taken and shop.sea.statuses("q1"), 20)
    shop.sky.say(shop.anna, "2", "a1")
    await until(lambda: shop.sea.taken, 20)
    shop.sea.say(shop.shop, "How many?", "q2")
    await until(lambda: len(shop.sky.taken) == 2, 20)
    shop.sky.say(shop.anna, "1", "a2")
    await until(lambda: len(shop.sea.taken) == 2 and len(shop.sky.reports) == 2, 20)


async def play(folder: Path, fuse: Fuse) -> None:
    """Play the scene, with Anna's endpoint killed when the fuse blows, and check how it ends."""
    folder.mkdir()
    house = House(folder, "sea", "sky")
    house.networks["sky"].capabilities = WORDS
    await house.open_hub()
    await house.start("sea")
    shop = Shop(house)
    endpoint = house.make(
        "sky",
        MortalAdapter(shop.sky, fuse),
        router=MortalRouter(house.hub.connect("sky"), fuse),
        open_ledger=mortal_ledger(fuse),
    )
    starting = asyncio.create_task(endpoint.start())
    playing = asyncio.create_task(scene(shop))
    blowing = asyncio.create_task(fuse.blown.wait())
    await asyncio.wait([blowing, playing], return_when=asyncio.FIRST_COMPLETED)
    blowing.cancel()
    if fuse.blown.is_set():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await kill(endpoint)
        await house.make("sky", FakeAdapter(shop.sky)).start()
    where = f"died {fuse.where}, after {dict(fuse.passed)}; seed {SEED}"
    await playing
    assert choice(shop.sea.taken[0]) == Choice(id="b", title="Blue"), where
    assert shop.sea.taken[0].message.in_reply_to == "q1", where
    assert shop.sea.taken[1].text == "1", where
    assert len(shop.sky.taken) == 2, where
    await house.stop()


@pytest.mark.slow
async def test_killed_at_any_instant_an_answer_means_what_it_meant(tmp_path: Path) -> None:
    """One instant of every kind, which a seed chooses; all of them with ``RIALTO_ALL_INSTANTS=1``."""
    undisturbed = Fuse(10**9)
    await play(tmp_path / "0", undisturbed)
    passed = undisturbed.passed
    assert set(passed) >= {f"{side} {what}" for side in ("before", "after") for what in ("a commit", "send", "submit")}
    chance = random.Random(SEED)
    sample = [Fuse(chance.randint(1, count), only) for only, count in sorted(passed.items())]
    fuses = [Fuse(at) for at in range(1, sum(passed.values()) + 1)] if ALL else sample
    side_by_side = asyncio.Semaphore(4)

    async def one(number: int, fuse: Fuse) -> None:
        async with side_by_side:
            await play(tmp_path / str(number), fuse)

    await asyncio.gather(*(one(number, fuse) for number, fuse in enumerate(fuses, 1)))
    died = {fuse.where for fuse in fuses}
    assert len(died & set(passed)) > len(passed) / 2  # two plays are never quite the same: a few may have ended before
