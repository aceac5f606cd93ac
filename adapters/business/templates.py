"""Templates: what a request names and gives parameters for, rendered from the configuration's words. Pure.

A request may write ``type`` and ``sub_type`` in any case and ``index`` as a number or a string: clients differ.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from adapters.business.config import ButtonKind, HeaderKind, Template, TemplateButton
from adapters.business.errors import (
    InvalidParameter,
    ParameterCount,
    ParameterFormat,
    TemplateTooLong,
    UnknownTemplate,
)
from adapters.business.fields import Fields
from adapters.business.files import FileKind, FileRef, reference
from adapters.business.structured import Structured, location
from protocol import commerce
from protocol.commerce import LinkTo, Location, Option

MAX_PARAMETER: Final = 1024
MAX_RENDERED: Final = 1024
MAX_HEADER: Final = 256
_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,64})\s*\}\}")
_COMPONENTS: Final = ("header", "body", "footer", "button")
_SAID: Final[Mapping[str, str]] = {"currency": "fallback_value", "date_time": "fallback_value"}


def read(given: Fields, known: Sequence[Template]) -> Structured:
    """Read a ``template`` object and render it. Raises a ``BusinessError`` that says what is wrong and where."""
    name, language = given.text("name", 512), given.object("language").text("code", 35)
    template = next((each for each in known if (each.name, each.language) == (name, language)), None)
    if template is None:
        languages = ", ".join(each.language for each in known if each.name == name)
        there = f"it is there in {languages}" if languages else "the configuration has no template of this name"
        raise UnknownTemplate(f"template name ({name}) does not exist in {language}: {there}")
    components = given.objects("components", 20, 0)
    for component in components:
        component.one_of("type", *_COMPONENTS)
    header = _component(components, "header")
    above = _header(template, header, given.at("components"))
    body, parameters = _rendered(template.body, _component(components, "body"), "body")
    if len(body) > MAX_RENDERED:
        raise TemplateTooLong(f"body: {len(body)} characters, where {MAX_RENDERED} are allowed")
    buttons = _buttons(template.buttons, components)
    part = commerce.Template(
        name=name,
        language=language,
        category=template.category,
        header=above.text,
        place=above.place,
        body=body,
        footer=template.footer,
        options=buttons.options,
        links=buttons.links,
        code=buttons.code,
        parameters={
            **{f"header.{key}": value for key, value in above.parameters.items()},
            **parameters,
            **{f"button.{key}": value for key, value in buttons.parameters.items()},
        },
    )
    return Structured((part,), above.file)


def listed(template: Template) -> dict[str, Any]:
    """Return a template as the list of an account's templates shows it."""
    header: dict[str, Any] = {"type": "HEADER", "format": template.header_type.upper()}
    if template.header:
        header["text"] = template.header
    components = [header] if template.header or template.header_type is not HeaderKind.TEXT else []
    components.append({"type": "BODY", "text": template.body})
    if template.footer:
        components.append({"type": "FOOTER", "text": template.footer})
    if template.buttons:
        components.append({"type": "BUTTONS", "buttons": [_listed_button(button) for button in template.buttons]})
    places = _places(template.header) + _places(template.body)
    digest = hashlib.sha256(f"{template.name}\0{template.language}".encode()).digest()
    return {
        "id": str(10**15 + int.from_bytes(digest[:6])),
        "name": template.name,
        "language": template.language,
        "status": "APPROVED",
        "category": template.category,
        "parameter_format": "POSITIONAL" if all(map(str.isdigit, places)) else "NAMED",
        "components": components,
    }


def _listed_button(button: TemplateButton) -> dict[str, str]:
    more = {"url": button.url, "phone_number": button.phone_number}
    return {"type": button.type.upper(), "text": button.text} | {key: value for key, value in more.items() if value}


# --- parameters -------------------------------------------------------------------------------------------------------


def _component(components: Iterable[Fields], kind: str) -> list[Fields]:
    """Return the parameters that are given for a header or a body, all of them: some clients give each its own."""
    found = (each for each in components if each.text("type", 64).lower() == kind)
    return [parameter for each in found for parameter in each.objects("parameters", 64, 0)]


def _places(text: str) -> list[str]:
    return list(dict.fromkeys(_PLACE.findall(text)))


def _rendered(text: str, given: Sequence[Fields], where: str) -> tuple[str, dict[str, str]]:
    """Put parameters into their places; return the text, and the parameters by the names of their places."""
    places = _places(text)
    if len(places) != len(given):
        raise ParameterCount(f"{where}: {len(given)} parameters, where the template has {len(places)} places")
    values = {}
    for position, parameter in enumerate(given, 1):
        name = parameter.text("parameter_name", 64, str(position))
        if name not in places or name in values:
            raise ParameterFormat(f"{parameter.at('parameter_name')}: the template's places are {', '.join(places)}")
        values[name] = _said(parameter)
    return _PLACE.sub(lambda place: values[place[1]], text), values


def _said(parameter: Fields) -> str:
    """What a parameter says in words; of amounts and dates, the program gives the words itself."""
    kind = parameter.text("type", 64, "text").lower()
    if kind in _SAID:
        return parameter.object(kind).text(_SAID[kind], MAX_PARAMETER)
    if kind != "text":
        raise ParameterFormat(f"{parameter.at('type')}: '{kind}' where words stand in the template")
    return parameter.text("text", MAX_PARAMETER)


class _Above(Struct, frozen=True):
    """What stands above the body."""

    text: str = ""
    parameters: Mapping[str, str] = {}
    file: FileRef | None = None
    place: Location | None = None


def _header(template: Template, given: Sequence[Fields], where: str) -> _Above:
    kind = template.header_type
    if kind is HeaderKind.TEXT:
        text, parameters = _rendered(template.header, given, "header")
        if len(text) > MAX_HEADER:
            raise TemplateTooLong(f"header: {len(text)} characters, where {MAX_HEADER} are allowed")
        return _Above(text, parameters)
    if len(given) != 1:
        raise ParameterCount(f"{where}, header: {len(given)} parameters, where the template has one {kind}")
    parameter = given[0]
    if parameter.text("type", 64).lower() != kind:
        raise ParameterFormat(f"{parameter.at('type')}: the template's header is of the type {kind}")
    if kind is HeaderKind.LOCATION:
        return _Above(place=location(parameter.object("location")))
    file = reference(FileKind(kind), parameter.object(kind))
    if file.caption:
        raise InvalidParameter(f"{parameter.at(kind)}.caption: a header has none")
    return _Above(file=file)


class _Buttons(Struct):
    """What the buttons have become."""

    options: tuple[Option, ...] = ()
    links: tuple[LinkTo, ...] = ()
    code: str = ""
    parameters: dict[int, str] = {}


def _buttons(buttons: Sequence[TemplateButton], components: Iterable[Fields]) -> _Buttons:
    given = _given_to_buttons(buttons, components)
    found = _Buttons()
    for index, button in enumerate(buttons):
        parameter = given.pop(index, None)
        if parameter is not None:
            found.parameters[index] = parameter
        match button.type:
            case ButtonKind.QUICK_REPLY:
                found.options += (Option(id=parameter or button.text, title=button.text),)
            case ButtonKind.URL:
                found.links += (LinkTo(title=button.text, url=_url(button, parameter, index)),)
            case ButtonKind.PHONE_NUMBER:
                found.links += (LinkTo(title=button.text, url=f"tel:{re.sub(r'[^+0-9]', '', button.phone_number)}"),)
            case ButtonKind.COPY_CODE:  # pragma: no branch  # there is no other kind
                found.code = parameter or ""
    ids = [option.id for option in found.options]
    if len(set(ids)) != len(ids):
        raise InvalidParameter("button: two quick replies have the same payload")
    return found


def _url(button: TemplateButton, parameter: str | None, index: int) -> str:
    if len(_places(button.url)) != (parameter is not None):
        raise ParameterCount(f"button {index}: its URL has {len(_places(button.url))} places")
    url = _PLACE.sub(lambda _: parameter or "", button.url)
    if len(url) > 2048 or re.search(r"\s", url):
        raise ParameterFormat(f"button {index}: with its parameter it is no URL")
    return url


_GIVEN: Final[Mapping[ButtonKind, tuple[str, str, int]]] = {
    ButtonKind.QUICK_REPLY: ("payload", "payload", 256),
    ButtonKind.URL: ("text", "text", MAX_PARAMETER),
    ButtonKind.COPY_CODE: ("coupon_code", "coupon_code", 64),
}
"""Of each kind of button that has a parameter: the parameter's type, the field that holds it, and its limit."""


def _given_to_buttons(buttons: Sequence[TemplateButton], components: Iterable[Fields]) -> dict[int, str]:
    """Read the parameters of buttons, each by the index of its button."""
    given: dict[int, str] = {}
    for component in components:
        if component.text("type", 64).lower() != "button":
            continue
        index, sub_type = component.name("index", 2), component.text("sub_type", 64).lower()
        button = buttons[int(index)] if index.isascii() and index.isdigit() and int(index) < len(buttons) else None
        if button is None or button.type != sub_type or button.type not in _GIVEN:
            raise ParameterFormat(f"{component.at()}: the template has no {sub_type} button {index} with a parameter")
        wanted, field, limit = _GIVEN[button.type]
        [parameter] = component.objects("parameters", 1)
        parameter.one_of("type", wanted)
        given[int(index)] = parameter.text(field, limit)
    return given
