"""Extensions and what the ones that we understand say (RFC 9420 §13, draft-ietf-mls-extensions).

An extension is a type and opaque data; unknown ones are carried along untouched. Components of the application
live in one extension, ``app_data_dictionary``, as (component id, data) pairs in ascending order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from msgspec import Struct

from protocol.mls.codec import Reader, decode, u16, vec, vec_of, vec_u16
from protocol.mls.errors import DecodeError, ExtensionError, FramingError, InputError


class ExtensionType(IntEnum):
    """Extension types by their IANA numbers, and our own in the private range."""

    APPLICATION_ID = 0x0001
    RATCHET_TREE = 0x0002
    REQUIRED_CAPABILITIES = 0x0003
    EXTERNAL_PUB = 0x0004
    EXTERNAL_SENDERS = 0x0005
    APP_DATA_DICTIONARY = 0x0006
    LAST_RESORT = 0x000A
    LEG = 0xF010
    GRANT = 0xF011


DEFAULT_EXTENSIONS = frozenset(range(1, 6))
"""Extension types that every implementation speaks, so that capabilities need not list them."""


class Component(IntEnum):
    """Components of ``app_data_dictionary`` with a number of their own."""

    APP_COMPONENTS = 0x0001
    SAFE_AAD = 0x0002
    CONTENT_MEDIA_TYPES = 0x0003
    LAST_RESORT_KEY_PACKAGE = 0x0004


class Extension(Struct, frozen=True):
    """One extension: its type and its data."""

    type: int
    data: bytes

    def encode(self) -> bytes:
        """Encode it."""
        return u16(self.type) + vec(self.data)

    @classmethod
    def read(cls, reader: Reader) -> Extension:
        """Read one."""
        return cls(reader.u16(), reader.vec())


Extensions = tuple[Extension, ...]


def read_extensions(reader: Reader) -> Extensions:
    """Read ``Extension extensions<V>``."""
    return reader.items(Extension.read)


def encode_extensions(extensions: Iterable[Extension]) -> bytes:
    """Encode ``Extension extensions<V>``."""
    return vec_of(extension.encode() for extension in extensions)


def find(extensions: Iterable[Extension], kind: int) -> bytes | None:
    """Return the data of the extension of this type, or None."""
    for extension in extensions:
        if extension.type == kind:
            return extension.data
    return None


def check_unique(extensions: Extensions, where: str) -> None:
    """Refuse a list that has two extensions of one type."""
    if len({extension.type for extension in extensions}) != len(extensions):
        raise ExtensionError(f"{where} has two extensions of one type")


def replace(extensions: Extensions, kind: int, data: bytes) -> Extensions:
    """Return the list with the extension of this type set to ``data``, in its place or at the end."""
    if find(extensions, kind) is None:
        return (*extensions, Extension(kind, data))
    return tuple(Extension(kind, data) if item.type == kind else item for item in extensions)


class RequiredCapabilities(Struct, frozen=True):
    """What every member's leaf must support (RFC 9420 §11.1)."""

    extensions: tuple[int, ...] = ()
    proposals: tuple[int, ...] = ()
    credentials: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Encode the extension's data."""
        return b"".join(map(vec_u16, (self.extensions, self.proposals, self.credentials)))

    @classmethod
    def read(cls, reader: Reader) -> RequiredCapabilities:
        """Read the extension's data."""
        return cls(reader.u16s(), reader.u16s(), reader.u16s())

    @classmethod
    def of(cls, extensions: Extensions) -> RequiredCapabilities | None:
        """Return what a group's extensions require, or None if they require nothing."""
        data = find(extensions, ExtensionType.REQUIRED_CAPABILITIES)
        return None if data is None else decode(data, cls.read)


def encode_dictionary(components: Mapping[int, bytes]) -> bytes:
    """Encode an ``AppDataDictionary``."""
    return vec_of(u16(number) + vec(data) for number, data in sorted(components.items()))


def decode_dictionary(data: bytes) -> dict[int, bytes]:
    """Decode an ``AppDataDictionary``; its entries ascend and none is doubled."""
    entries = decode(data, lambda reader: reader.items(lambda inner: (inner.u16(), inner.vec())))
    numbers = [number for number, _ in entries]
    if numbers != sorted(set(numbers)):
        raise DecodeError("app_data_dictionary is not in ascending order without doubles")
    return dict(entries)


def dictionary_of(extensions: Extensions) -> dict[int, bytes]:
    """Return the application components that these extensions carry; empty if there are none."""
    data = find(extensions, ExtensionType.APP_DATA_DICTIONARY)
    return {} if data is None else decode_dictionary(data)


class AuthenticatedData(Struct, frozen=True):
    """How the authenticated data of a group's messages is made up.

    In groups whose ``app_data_dictionary`` has the ``safe_aad`` component it begins with what components add to it.
    """

    safe: bool

    @classmethod
    def of(cls, extensions: Extensions) -> AuthenticatedData:
        """Read it off a GroupContext's extensions."""
        return cls(Component.SAFE_AAD in dictionary_of(extensions))

    def join(self, items: Mapping[int, bytes] | None, rest: bytes) -> bytes:
        """Put components' items before the rest; ``InputError`` if the group has no place for any."""
        if self.safe:
            return encode_dictionary(items or {}) + rest
        if items:
            raise InputError("this group does not use safe authenticated data")
        return rest

    def split(self, data: bytes) -> tuple[dict[int, bytes], bytes]:
        """Take components' items off; raises ``FramingError`` if they are missing or malformed."""
        if not self.safe:
            return {}, data
        try:
            reader = Reader(data)
            return decode_dictionary(vec(reader.vec())), data[reader.pos :]
        except DecodeError as error:
            raise FramingError(f"authenticated data that does not begin as this group's does: {error}") from None


def check_known(extensions: Extensions) -> None:
    """Parse every extension of a GroupContext that we understand, so that malformed ones are refused early."""
    check_unique(extensions, "the GroupContext")
    RequiredCapabilities.of(extensions)
    dictionary_of(extensions)
