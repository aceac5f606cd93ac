"""What the business API refuses, in the shape and with the numbers of the WhatsApp Cloud API.

Clients build their logic on ``error.code``, so every refusal has the number that the Cloud API gives for it::

    BusinessError
    ├── BadToken           190 (401)           no access token, or a wrong one
    ├── BadParameter       100                 a parameter is missing or malformed
    │   ├── UnknownObject  100, subcode 33     no such phone number, account, app or file
    │   └── TooLarge       100 (413)           a body over the limit
    ├── UnknownPath        2500 (404)          nothing answers there
    ├── CallbackRefused    2200                the callback did not pass the handshake
    ├── MissingParameter   131008              a message lacks something
    ├── InvalidParameter   131009              a message says something impossible
    ├── RecipientUnknown   131026              nobody has that number, id or address, or may not be written to
    ├── UnsupportedType    131051              a message type this bridge does not carry
    ├── MediaDownload      131052              a file cannot be fetched
    ├── MediaRefused       131053              a file of the wrong type or size
    ├── TemplateError
    │   ├── ParameterCount     132000          more or fewer parameters than the template has places
    │   ├── UnknownTemplate    132001 (404)    no template of that name in that language
    │   ├── TemplateTooLong    132005          its text, with its parameters in it
    │   └── ParameterFormat    132012          a parameter of a kind that the template has no place for
    ├── TooMany            130429 (429)        more messages in this time than the bridge takes
    ├── Unavailable        131016 (503)        not just now; nothing was accepted
    └── Unexplained        131000 (500)        a defect of ours
"""

from __future__ import annotations

from typing import Any, ClassVar

from adapters.contract import Reason, Refused

DOCUMENTATION = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
"""Where clients expect ``errors[].href`` of a failed status to point."""


class BusinessError(Exception):
    """A request is refused; the message is what the Cloud API calls ``details``.

    ``code`` is our own stable word, ``number`` the Cloud API's code, ``status`` the HTTP status.
    """

    code: ClassVar[str] = "business"
    number: ClassVar[int] = 131000
    subcode: ClassVar[int | None] = None
    status: ClassVar[int] = 400
    title: ClassVar[str] = "Something went wrong"
    transient: ClassVar[bool] = False

    def body(self, trace: str) -> dict[str, Any]:
        """Return the JSON that answers the request; ``trace`` finds it in the log again."""
        error: dict[str, Any] = {
            "message": f"(#{self.number}) {self.title}",
            "type": "OAuthException",
            "code": self.number,
            "error_data": {"messaging_product": "whatsapp", "details": str(self)},
            "fbtrace_id": trace,
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.transient:
            error["is_transient"] = True
        return {"error": error}


class BadToken(BusinessError):
    """The access token is missing or wrong."""

    code = "bad-token"
    number = 190
    status = 401
    title = "Invalid OAuth access token"


class BadParameter(BusinessError):
    """A parameter of the request is missing or malformed."""

    code = "bad-parameter"
    number = 100
    title = "Invalid parameter"


class UnknownObject(BadParameter):
    """The path names an object that does not exist here."""

    code = "unknown-object"
    subcode = 33
    title = "Unsupported request: the object does not exist or does not support this operation"


class TooLarge(BadParameter):
    """The body is over the limit."""

    code = "too-large"
    status = 413
    title = "Request body too large"


class UnknownPath(BusinessError):
    """Nothing answers at this path."""

    code = "unknown-path"
    number = 2500
    status = 404
    title = "Unknown path components"


class CallbackRefused(BusinessError):
    """The callback did not answer the handshake as it must."""

    code = "callback-refused"
    number = 2200
    title = "Callback verification failed"


class MissingParameter(BusinessError):
    """The message lacks something that its type needs."""

    code = "missing-parameter"
    number = 131008
    title = "Required parameter is missing"


class InvalidParameter(BusinessError):
    """The message holds a value that cannot be."""

    code = "invalid-parameter"
    number = 131009
    title = "Parameter value is not valid"


class RecipientUnknown(BusinessError):
    """Nobody can be reached under that number, id or address."""

    code = "recipient-unknown"
    number = 131026
    title = "Message undeliverable"


class UnsupportedType(BusinessError):
    """A type of message that this bridge does not carry."""

    code = "unsupported-type"
    number = 131051
    title = "Unsupported message type"


class MediaDownload(BusinessError):
    """A file that the message names cannot be fetched."""

    code = "media-download"
    number = 131052
    title = "Media download error"


class MediaRefused(BusinessError):
    """A file whose type or size is not allowed."""

    code = "media-refused"
    number = 131053
    title = "Media upload error"


class TemplateError(BusinessError):
    """A message that was approved beforehand, but not like this."""

    code = "template"


class ParameterCount(TemplateError):
    """A template is given more or fewer parameters than it has places for."""

    code = "parameter-count"
    number = 132000
    title = "Number of parameters does not match the expected number of params"


class UnknownTemplate(TemplateError):
    """There is no template of that name in that language."""

    code = "unknown-template"
    number = 132001
    status = 404
    title = "Template name does not exist in the translation"


class TemplateTooLong(TemplateError):
    """With its parameters in it, the text of a template is too long."""

    code = "template-too-long"
    number = 132005
    title = "Translated text too long"


class ParameterFormat(TemplateError):
    """A parameter is of a kind that the template has no place for."""

    code = "parameter-format"
    number = 132012
    title = "Parameter format does not match format in the created template"


class Unavailable(BusinessError):
    """The bridge cannot accept it just now; nothing was accepted."""

    code = "unavailable"
    number = 131016
    status = 503
    title = "Service unavailable"
    transient = True


class TooMany(BusinessError):
    """More messages in this time than the bridge takes; nothing was accepted."""

    code = "too-many"
    number = 130429
    status = 429
    title = "Rate limit hit"
    transient = True


class Unexplained(BusinessError):
    """A defect of ours; the log has more."""

    code = "unexplained"
    status = 500


def from_refusal(refused: Refused) -> BusinessError:
    """Return what the endpoint's refusal is in the Cloud API."""
    kinds: dict[str, type[BusinessError]] = {
        "unknown-conversation": RecipientUnknown,
        "not-allowed": RecipientUnknown,
        "too-large": TooLarge,
        "too-many": TooMany,
    }
    return kinds.get(refused.reason, InvalidParameter)(str(refused))


_FAILURES: dict[str, tuple[int, str]] = {
    Reason.RECIPIENT_UNKNOWN: (131026, "Message undeliverable"),
    Reason.RECIPIENT_UNREACHABLE: (131026, "Message undeliverable"),
    Reason.NOT_ALLOWED: (131026, "Message undeliverable"),
    Reason.LEFT: (131026, "Message undeliverable"),
    Reason.DELETED: (131026, "Message undeliverable"),
    Reason.REJECTED: (131026, "Message undeliverable"),
    Reason.EXPIRED: (131026, "Message undeliverable"),
    Reason.WINDOW_CLOSED: (131047, "Re-engagement message"),
    Reason.UNSUPPORTED: (131051, "Unsupported message type"),
    Reason.MEDIA_UNREACHABLE: (131052, "Media download error"),
    Reason.ATTACHMENT_LOST: (131052, "Media download error"),
    Reason.MEDIA_TOO_LARGE: (131053, "Media upload error"),
    Reason.MEDIA_REFUSED: (131053, "Media upload error"),
    Reason.TOO_LARGE: (131009, "Parameter value is not valid"),
}


def failure(reason: str, text: str) -> dict[str, Any]:
    """Return the ``errors[]`` entry of a failed status; a reason without a number of its own is 131000."""
    number, title = _FAILURES.get(reason, (131000, "Something went wrong"))
    return {
        "code": number,
        "title": title,
        "message": title,
        "error_data": {"details": text or reason},
        "href": DOCUMENTATION,
    }
