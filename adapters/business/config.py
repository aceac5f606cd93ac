"""The settings of a business account: ``[endpoint.NAME.account]`` in ``rialto.toml``."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from msgspec import Struct


class Subscriber(StrEnum):
    """Which of a person's two minted identities the business's program is given.

    ``CLASSIC`` programs know phone numbers only, ``BSUID_ONLY`` is how the Cloud API shows people who hide their
    number; most programs of today take ``DUAL``.
    """

    CLASSIC = "classic"
    DUAL = "dual"
    BSUID_ONLY = "bsuid_only"


class Number(Struct, forbid_unknown_fields=True, frozen=True):
    """One number of the business: on our side the address ``<network>~<shop>``.

    ``phone_number_id`` is what the API's paths name it by (digits); ``display_phone_number`` and ``verified_name`` are
    what its program is told.
    """

    shop: str
    phone_number_id: str
    display_phone_number: str
    verified_name: str = ""


class ButtonKind(StrEnum):
    """What a template's button does."""

    QUICK_REPLY = "quick_reply"
    URL = "url"
    PHONE_NUMBER = "phone_number"
    COPY_CODE = "copy_code"


class TemplateButton(Struct, forbid_unknown_fields=True, frozen=True):
    """One button of a template; ``url`` may end in ``{{1}}``."""

    text: str
    type: ButtonKind = ButtonKind.QUICK_REPLY
    url: str = ""
    phone_number: str = ""

    def __post_init__(self) -> None:
        """Refuse a button that leads nowhere."""
        if not 0 < len(self.text) <= 25:
            raise ValueError(f"the text of a button has 1 to 25 characters, and '{self.text}' has not")
        if self.type is ButtonKind.URL and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"button '{self.text}': url: '{self.url}' is not an http or https URL")
        if self.type is ButtonKind.PHONE_NUMBER and not self.phone_number:
            raise ValueError(f"button '{self.text}': phone_number: is missing")


class HeaderKind(StrEnum):
    """What stands above a template's text."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    DOCUMENT = "document"
    LOCATION = "location"


class Template(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A template that the program may send by its name, as people will read it: here its words stand.

    ``{{1}}``, ``{{2}}`` or ``{{name}}`` in ``header`` and ``body`` are the places of its parameters. ``header_type``
    says what the program gives for the header if that is not text.
    """

    name: str
    language: str
    body: str
    header: str = ""
    header_type: HeaderKind = HeaderKind.TEXT
    footer: str = ""
    buttons: list[TemplateButton] = []
    category: str = "UTILITY"

    def __post_init__(self) -> None:
        """Refuse what could never be sent; the message names the template."""
        limits = {"name": 512, "body": 1024, "header": 60, "footer": 60, "category": 32}
        for name, limit in limits.items():
            if len(getattr(self, name)) > limit:
                raise ValueError(f"template '{self.name[:100]}': {name}: more than {limit} characters")
        if not self.name or not self.body:
            raise ValueError(f"template '{self.name}': name and body must be there")
        if not re.fullmatch(r"[A-Za-z0-9_-]{2,35}", self.language):
            raise ValueError(f"template '{self.name}': language: '{self.language}' is not a code such as 'en_US'")
        if self.header and self.header_type is not HeaderKind.TEXT:
            raise ValueError(
                f"template '{self.name}': header: its text, or header_type = \"{self.header_type}\", not both"
            )
        if len(self.buttons) > 10 or len({button.text for button in self.buttons}) != len(self.buttons):
            raise ValueError(f"template '{self.name}': buttons: at most 10, each with a text of its own")


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """How much is too much: octets of a JSON body and of any file, and the seconds that things may take.

    ``acknowledge_seconds`` is how long a request waits until its message is durable, ``webhook_seconds`` how long the
    business's program may take to answer.
    """

    json_bytes: int = 1 << 20
    media_bytes: int = 100 << 20
    acknowledge_seconds: float = 30.0
    webhook_seconds: float = 10.0
    download_seconds: float = 60.0


class BusinessConfig(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One business account and its numbers.

    ``app_secret`` signs webhooks, ``access_token`` is what the business's program calls with; each may instead stand in
    a file (``..._file``). ``callback_url`` is where webhooks go; without it the program registers its own through the
    API, and that is remembered. ``public_url`` is the address at which the program reaches this API, the start of every
    file's URL. ``media_folder`` keeps files that are on their way. ``private_links`` allows files to be fetched from
    links into private networks, which would otherwise let the program look around in ours. ``templates`` are those that
    the program may send by name: elsewhere the vendor keeps their words, here the operator does.
    """

    numbers: list[Number]
    waba_id: str
    app_id: str
    public_url: str
    media_folder: str
    app_secret: str = ""
    app_secret_file: str = ""
    access_token: str = ""
    access_token_file: str = ""
    callback_url: str = ""
    subscriber: Subscriber = Subscriber.DUAL
    private_links: bool = False
    limits: Limits = Limits()
    templates: list[Template] = []

    def __post_init__(self) -> None:
        """Refuse what could never work; the message names the setting."""
        ids = [self.waba_id, self.app_id, *(number.phone_number_id for number in self.numbers)]
        for value in ids:
            if not re.fullmatch(r"[0-9]{1,32}", value):
                raise ValueError(f"'{value}' is not an id of the Cloud API: those are digits only")
        if len(set(ids)) != len(ids) or len({number.shop for number in self.numbers}) != len(self.numbers):
            raise ValueError("numbers, waba_id and app_id: the same id or shop stands there twice")
        if not self.numbers or not all(number.shop for number in self.numbers):
            raise ValueError("numbers: there must be one, and each has a shop")
        if len({(each.name, each.language) for each in self.templates}) != len(self.templates):
            raise ValueError("templates: the same name and language stand there twice")
        for name in ("app_secret", "access_token"):
            if bool(getattr(self, name)) == bool(getattr(self, f"{name}_file")):
                raise ValueError(f"{name}: give either {name} or {name}_file")
        for name in ("public_url", "callback_url"):
            url = getattr(self, name)
            if url and not url.startswith(("http://", "https://")):
                raise ValueError(f"{name}: '{url}' is not an http or https URL")

    @property
    def exclusive(self) -> tuple[str, ...]:
        """What no second account may have: files of two accounts would not be told apart."""
        return (f"media_folder {self.media_folder}",)

    def secret(self, name: str) -> str:
        """Return ``app_secret`` or ``access_token``, from its file if it stands in one. Raises ``OSError``."""
        value: str = getattr(self, name)
        return value or Path(getattr(self, f"{name}_file")).read_text(encoding="utf-8").strip()

    def by_id(self, phone_number_id: str) -> Number | None:
        """Find a number by what the API's paths call it."""
        return next((each for each in self.numbers if each.phone_number_id == phone_number_id), None)

    def by_shop(self, shop: str) -> Number | None:
        """Find a number by its name in our addresses."""
        return next((each for each in self.numbers if each.shop == shop), None)
