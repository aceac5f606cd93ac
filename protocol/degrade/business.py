"""What becomes of a business part: shown as it is, in another shape that the network has, or in numbered words."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from protocol.capabilities import Capabilities, Level, Limits
from protocol.commerce import (
    Card,
    Carousel,
    Commerce,
    Form,
    LinkButton,
    LocationRequest,
    Menu,
    Option,
    ProductList,
    QuickReplies,
    Section,
    Template,
    feature_of,
    options_of,
    single,
    text_of,
)
from protocol.commerce.fields import MAX_OPTIONS
from protocol.content import SinglePart
from protocol.degrade.model import Loss
from protocol.degrade.outcome import Outcome, Whole, Words, dropped, refused
from protocol.degrade.splitting import shorten
from protocol.degrade.words import named

_Part = TypeVar("_Part", bound=Commerce)
_Buttoned = TypeVar("_Buttoned", bound=QuickReplies | Template | Card)


def show(part: Commerce, source: SinglePart, capabilities: Capabilities) -> Outcome:
    """Return what becomes of a business part, read from ``source``, on its way to a network with these capabilities."""
    feature = feature_of(part)
    level = capabilities.send.level(feature)
    if level is Level.REJECTED:
        return refused("unsupported", f"the network refuses {named(feature)}")
    if level is Level.DROPPED:
        return dropped(feature, f"{named(feature)} left out")
    whole, part = part, _detached(part)
    source = source if part == whole else single(part)
    offers = bool(options_of(part))
    for candidate in (part, _other_shape(part)):
        if candidate is not None and capabilities.send.level(feature_of(candidate)) >= Level.PARTIAL:
            fitting = fitted(candidate, capabilities.limits)
            if fitting is not None:
                shown = Whole(source if fitting == part else single(fitting))
                return Outcome(shown=(shown,), losses=_losses(part, candidate, fitting, capabilities), offers=offers)
    loss = Loss(feature, Level.UNSUPPORTED, f"{named(feature)} sent in words{', the options numbered' * offers}")
    asked = part if offers or isinstance(part, LocationRequest) else None
    return Outcome(shown=(Words(text=text_of(part)),), losses=(loss,), offers=offers, asked=asked)


def _detached(part: _Part) -> _Part:
    """Return ``part`` without pictures that are other parts of its message: those are sent as messages of their own."""
    if isinstance(part, Carousel):
        return replace(part, cards=tuple(map(_detached, part.cards)))
    media = getattr(part, "media", None)
    return replace(part, media=None) if media is not None and media.url.startswith("cid:") else part


def _losses(part: Commerce, candidate: Commerce, fitting: Commerce, capabilities: Capabilities) -> tuple[Loss, ...]:
    feature, shape = feature_of(part), feature_of(candidate)
    if feature is not shape:
        return (Loss(feature, Level.PARTIAL, f"{named(feature)} sent as {named(shape)}"),)
    if fitting != part:
        return (Loss(feature, Level.PARTIAL, f"{named(feature)} shortened to what the network shows"),)
    if capabilities.send.level(feature) is Level.PARTIAL:
        return (Loss(feature, Level.PARTIAL, f"{named(feature)} converted"),)
    return ()


def _other_shape(part: Commerce) -> Commerce | None:
    """Return a part that offers the same choice in another way, if there is one."""
    match part:
        case QuickReplies(body=body, options=options, links=(), header=header, footer=footer, media=media):
            rows = (Section(options=options),)
            return Menu(body=body, button="…", sections=rows, header=header, footer=footer, media=media)
        case Menu(body=body, header=header, footer=footer, media=media) if len(options_of(part)) <= MAX_OPTIONS:
            return QuickReplies(body=body, options=options_of(part), header=header, footer=footer, media=media)
        case _:
            return None


def fitted(part: Commerce, limits: Limits) -> Commerce | None:
    """Return ``part`` within ``limits``, its small print shortened, or None if that would lose what it is about."""
    match part:
        case QuickReplies() | Template():
            buttoned = _buttoned(part, limits)
            return _framed(buttoned, limits) if buttoned else None
        case Menu():
            return _menu(part, limits)
        case LinkButton(title=title):
            shown = shorten(title, limits.button_title, limits.unit)
            return _framed(replace(part, title=shown), limits) if shown else None
        case Form(button=title):
            shown = shorten(title, limits.button_title, limits.unit)
            return _framed(replace(part, button=shown), limits) if shown else None
        case Carousel():
            return _carousel(part, limits)
        case ProductList(sections=sections):
            products = sum(len(section.products) for section in sections)
            return _framed(part, limits) if limits.products is None or products <= limits.products else None
        case _:
            return _framed(part, limits)


def _menu(menu: Menu, limits: Limits) -> Commerce | None:
    rows = _options(options_of(menu), limits.list_rows, limits.row_title, limits.row_id, limits)
    too_many = limits.list_sections is not None and len(menu.sections) > limits.list_sections
    button = shorten(menu.button, limits.button_title, limits.unit)
    if not rows or too_many or not button:
        return None
    left = iter(rows)
    sections = tuple(
        Section(
            title=shorten(section.title, limits.row_title, limits.unit),
            options=tuple(next(left) for _ in section.options),
        )
        for section in menu.sections
    )
    return _framed(replace(menu, sections=sections, button=button), limits)


def _carousel(carousel: Carousel, limits: Limits) -> Commerce | None:
    if limits.cards is not None and len(carousel.cards) > limits.cards:
        return None
    cards = []
    for card in carousel.cards:
        buttoned = _buttoned(card, limits)
        if buttoned is None or not _within(card.body, limits.body, limits):
            return None
        cards.append(buttoned)
    return _framed(replace(carousel, cards=tuple(cards)), limits)


def _buttoned(part: _Buttoned, limits: Limits) -> _Buttoned | None:
    """Return ``part`` with titles of options and links that fit; None if there are too many, or some would not do."""
    options = _options(part.options, None, limits.button_title, limits.button_id, limits)
    links = tuple(replace(link, title=shorten(link.title, limits.button_title, limits.unit)) for link in part.links)
    too_many = limits.buttons is not None and len(part.options) + len(links) > limits.buttons
    if too_many or (part.options and not options) or not all(link.title for link in links):
        return None
    return replace(part, options=options, links=links)


def _options(
    options: tuple[Option, ...], most: int | None, title: int | None, identifier: int | None, limits: Limits
) -> tuple[Option, ...]:
    """Return the options with titles that fit; none at all if there are too many or two would look alike."""
    if (most is not None and len(options) > most) or not all(_within(o.id, identifier, limits) for o in options):
        return ()
    kept = tuple(
        replace(
            option,
            title=shorten(option.title, title, limits.unit),
            description=shorten(option.description, limits.row_description, limits.unit),
        )
        for option in options
    )
    titles = {option.title for option in kept}
    alike = len(titles) < len({option.title for option in options})
    return () if alike or "" in titles else kept


def _framed(part: Commerce, limits: Limits) -> Commerce | None:
    """Return ``part`` with a header and a footer that fit, or None if its body does not."""
    if not _within(getattr(part, "body", ""), limits.body, limits):
        return None
    changes = {
        name: shorten(getattr(part, name), most, limits.unit)
        for name, most in (("header", limits.header), ("footer", limits.footer))
        if hasattr(part, name)
    }
    return replace(part, **changes)


def _within(text: str, most: int | None, limits: Limits) -> bool:
    return most is None or limits.unit.length(text) <= most
