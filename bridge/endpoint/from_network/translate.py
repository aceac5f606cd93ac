"""From an adapter's message to a content that is ready to leave, with its line in the log and in the id map."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from adapters.contract import Direct, Inbound, Message, Refused
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import Erased, MessageRow, Native
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.offers.early import EarlyAliases
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.transaction import Transaction
from protocol.content import ExternalPart, MultiPart, NullPart, Part, text
from protocol.errors import ProtocolError

_LARGEST = 1_000_000  # octets of one encoded content; the router takes a little more
_LINK = "\x00link"  # behind a native id: the message that carries its files' links instead of the files

Failed = Callable[[Transaction, Room, bytes, translate.Failure], None]
"""Writes into a batch that a message will never be delivered, so that its sender is told."""


class Translate:
    """Makes contents out of one network's messages."""

    def __init__(
        self,
        context: Context,
        settings: EndpointSettings,
        directory: Directory,
        keys: Keys,
        aliases: EarlyAliases,
        *,
        failed: Failed,
    ) -> None:
        self._context = context
        self._settings = settings
        self._directory = directory
        self._keys = keys
        self._aliases = aliases
        self._failed = failed

    def may_speak(self, event: Inbound) -> None:
        """Check that a message's sender is of this network, and one of the conversation. Raises ``Refused``."""
        sender = event.sender.address
        if isinstance(event.conversation, Direct) and sender != event.conversation.local:
            raise Refused("invalid", f"{sender} speaks in a conversation that is not theirs")
        if not self._directory.user(sender).startswith(self._settings.namespaces):
            raise Refused("not-allowed", f"{sender} is not of this network")

    def post(
        self, tx: Transaction, event: Inbound, room: Room, known: Mapping[str, bytes], *, part: Part | None = None
    ) -> bytes:
        """Put a message on its way; return its MIMI id. ``part`` takes the place of its part (files sealed).

        Raises ``Refused``.
        """
        message = event.message
        if translate.needs_its_reference(message) and not all(map(known.get, translate.references(message))):
            raise Refused("invalid", "the message it refers to is not known here")
        posted = self._translated(event, room, known, part, event.native_id)
        self._log(tx, event, room, posted)
        tx.send(room, posted.encoded, mimi_id=posted.mimi_id)
        return posted.mimi_id

    def give_up(
        self, tx: Transaction, event: Inbound, room: Room, known: Mapping[str, bytes], failure: translate.Failure
    ) -> None:
        """Log a message that will never leave, and tell its sender. Its id is that of a stand-in for the content."""
        part = text(translate.excerpt(event.message.part) or "file")
        bare = structs.replace(event, message=Message(part))
        posted = self._translated(bare, room, known, None, event.native_id)
        self._log(tx, bare, room, posted)
        self._failed(tx, room, posted.mimi_id, failure)

    def post_links(self, tx: Transaction, event: Inbound, room: Room, known: Mapping[str, bytes]) -> bool:
        """Say where a message's files lie, as a text, instead of sending them; False if none of them has a link.

        What names the message later means this text: it is what people have got.
        """
        part = _with_links(event.message.part)
        if part is None:
            return False
        posted = self._translated(event, room, known, part, event.native_id + _LINK)
        for native in (event.native_id, *event.aliases):
            tx.change.natives.append(Native(native, posted.mimi_id))
        tx.send(room, posted.encoded, mimi_id=posted.mimi_id)
        return True

    def _translated(
        self, event: Inbound, room: Room, known: Mapping[str, bytes], part: Part | None, name: str
    ) -> translate.Posted:
        """Return the content of a message whose id is a function of ``name``. Raises ``Refused``."""
        network, account = self._settings.network, self._settings.name
        sender = self._directory.profile(event.sender.address, event.sender.name, event.sender.avatar)
        try:
            posted = translate.post(
                event,
                salt=translate.salt(self._keys.secret, network, account, name),
                sender=self._directory.user(sender.address),
                name=sender.name,
                room=room.uri,
                known=known,
                now=self._context.clock(),
                avatar=sender.avatar,
                part=part,
            )
        except ProtocolError as error:
            raise Refused("invalid", str(error)) from error
        if len(posted.encoded) > _LARGEST:
            raise Refused("too-large", f"{len(posted.encoded)} octets; {_LARGEST} are allowed")
        return posted

    def _log(self, tx: Transaction, event: Inbound, room: Room, posted: translate.Posted) -> None:
        replaced, deleted = posted.content.replaces or b"", isinstance(posted.content.part, NullPart)
        user = self._directory.user(event.sender.address)
        row = MessageRow(
            mimi_id=posted.mimi_id,
            room=room.uri,
            source=True,
            sender=user,
            at=self._context.clock(),
            native_id=event.native_id,
            excerpt=translate.excerpt(posted.content.part),
            reaction=translate.is_reaction(posted.content.part),
            whole=b"" if deleted else replaced,
        )
        for native in (event.native_id, *event.aliases, *self._aliases.settle(event.native_id, posted.mimi_id)):
            tx.change.natives.append(Native(native, posted.mimi_id))
        tx.change.messages.append(row)
        if replaced and deleted:
            tx.change.erased.append(Erased(replaced, user))


def _with_links(part: Part) -> Part | None:
    """Return a part with the links of its files in their places; None if one of its files has no link."""
    if isinstance(part, MultiPart):
        parts = [_with_links(inner) for inner in part.parts]
        return None if None in parts else structs.replace(part, parts=tuple(inner for inner in parts if inner))
    if not isinstance(part, ExternalPart) or part.enc_alg:
        return part
    if not part.url.startswith(("https://", "http://")):
        return None
    said = part.description or part.filename
    return text(f"{said}\n{part.url}" if said and said != part.url else part.url)
