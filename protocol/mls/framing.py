"""Signing, tagging and sealing messages, and the other way round (RFC 9420 §6.1 to §6.3).

An ``Epoch`` holds what one epoch's messages need: its context, its secret tree and its leaves. Nothing unsigned is
ever sent or accepted, and a key is spent only by a message whose signature verified and whose content was accepted.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from msgspec import Struct

from protocol.mls.codec import Reader, u8, u16, u32, u64, vec
from protocol.mls.errors import DecodeError, FramingError, MembershipTagError, OwnMessageError, SenderError
from protocol.mls.extensions import AuthenticatedData
from protocol.mls.leaf import LeafNode
from protocol.mls.members import Member, member_at
from protocol.mls.messages import (
    Authenticated,
    ContentType,
    FramedContent,
    GroupContext,
    PrivateMessage,
    PublicMessage,
    Sender,
    SenderType,
    WireFormat,
    read_body,
)
from protocol.mls.proposals import Commit
from protocol.mls.secret_tree import APPLICATION, HANDSHAKE, Opened, SecretTree
from protocol.mls.signing import SigningKey
from protocol.mls.suites import MLS10, CipherSuite, Random, suite_of

_LABEL = b"FramedContentTBS"
_PRIVATE_HEAD = u16(MLS10) + u16(WireFormat.PRIVATE)


def sign(
    suite: CipherSuite, key: SigningKey, wire_format: WireFormat, content: FramedContent, context: bytes
) -> Authenticated:
    """Sign content; a commit's confirmation tag is added later."""
    unsigned = Authenticated(wire_format, content, b"")
    return Authenticated(wire_format, content, suite.sign(key, _LABEL, unsigned.tbs(context)))


def membership_tag(suite: CipherSuite, key: bytes, message: Authenticated, context: bytes) -> bytes:
    """Compute the tag by which a member's public message shows that it comes from a member."""
    return suite.mac(key, message.tbs(context) + message.auth())


def to_public(suite: CipherSuite, key: bytes, message: Authenticated, context: bytes) -> PublicMessage:
    """Frame signed content as a public message."""
    if message.content.sender.type != SenderType.MEMBER:
        return PublicMessage(message, None)
    return PublicMessage(message, membership_tag(suite, key, message, context))


def check_public(suite: CipherSuite, key: bytes, message: PublicMessage, context: bytes) -> None:
    """Check a member's membership tag; others carry none."""
    if message.authenticated.content.sender.type != SenderType.MEMBER:
        return
    expected = membership_tag(suite, key, message.authenticated, context)
    if not message.membership_tag or not hmac.compare_digest(expected, message.membership_tag):
        raise MembershipTagError("a public message's membership tag is wrong")


class Received(Struct, frozen=True):
    """Content that was opened and whose signature verified; ``key`` is to be spent when it was accepted."""

    message: Authenticated
    key: Opened


class Epoch:
    """What the messages of one epoch need; a past epoch can only be read."""

    __slots__ = (
        "_context",
        "_head",
        "_members",
        "_tbs_head",
        "_tbs_tail",
        "aad",
        "changed",
        "leaves",
        "number",
        "own",
        "retired",
        "sender_data",
        "suite",
        "tree",
    )

    def __init__(
        self,
        context: GroupContext,
        sender_data: bytes,
        tree: SecretTree,
        leaves: Sequence[LeafNode | None],
        own: int,
    ) -> None:
        self.suite = suite_of(context.suite_id)
        self.number = context.epoch
        self.sender_data, self.tree, self.leaves, self.own = sender_data, tree, leaves, own
        self.retired: int | None = None
        self.changed: Sequence[int] = ()
        self.aad = AuthenticatedData.of(context.extensions)
        self._members: dict[int, Member] = {}
        self._context = context
        self._head = vec(context.group_id) + u64(context.epoch)
        self._tbs_head = _PRIVATE_HEAD + self._head
        self._tbs_tail = context.encode()

    @property
    def context(self) -> GroupContext:
        """The epoch's GroupContext."""
        return self._context

    def seal(
        self,
        key: SigningKey,
        data: bytes,
        random: Random,
        authenticated_data: bytes,
        *,
        padding: int,
    ) -> bytes:
        """Sign and encrypt application data: an encoded MLSMessage.

        ``padding`` rounds the plaintext up to a multiple of so many octets, unless it is 0.
        """
        aad, body = vec(authenticated_data), vec(data)
        sender = b"\x01" + u32(self.own)
        tbs = b"".join((self._tbs_head, sender, aad, b"\x01", body, self._tbs_tail))
        signature = self.suite.sign(key, _LABEL, tbs)
        return self._seal(ContentType.APPLICATION, aad, body + vec(signature), random, padding)

    def seal_handshake(self, message: Authenticated, random: Random) -> bytes:
        """Encrypt a signed proposal or commit: an encoded MLSMessage."""
        content = message.content
        kind = ContentType.COMMIT if isinstance(content.body, Commit) else ContentType.PROPOSAL
        aad = vec(content.authenticated_data)
        head = len(self._head) + len(content.sender.encode()) + len(aad) + 1
        plaintext = content.encoded[head:] + message.auth()
        return self._seal(kind, aad, plaintext, random, 0)

    def _seal(self, kind: ContentType, aad: bytes, plaintext: bytes, random: Random, padding: int) -> bytes:
        suite = self.suite
        if padding:
            plaintext += bytes(-len(plaintext) % padding)
        ratchet = APPLICATION if kind == ContentType.APPLICATION else HANDSHAKE
        generation, key, nonce = self.tree.next_key(ratchet)
        guard = random(4)
        head = self._head + u8(kind)
        ciphertext = suite.seal(key, _guarded(nonce, guard), plaintext, head + aad)
        data = u32(self.own) + u32(generation) + guard
        sealed = suite.seal(*self._sender_data_key(ciphertext), data, head)
        return b"".join((_PRIVATE_HEAD, head, aad, vec(sealed), vec(ciphertext)))

    def _sender_data_key(self, ciphertext: bytes) -> tuple[bytes, bytes]:
        suite = self.suite
        sample = vec(ciphertext[: suite.hash_size])
        key = suite.expand(self.sender_data, suite.key_info + sample, suite.key_size)
        return key, suite.expand(self.sender_data, suite.nonce_info + sample, suite.nonce_size)

    def member(self, index: int) -> Member:
        """Describe the member that a message of this epoch came from."""
        known = self._members.get(index)
        if known is None:
            leaf = self.leaf(index)
            known = self._members[index] = member_at(index, leaf)
        return known

    def leaf(self, index: int) -> LeafNode:
        """Return a member's leaf; ``SenderError`` where there is none."""
        leaf = self.leaves[index] if index < len(self.leaves) else None
        if leaf is None:
            raise SenderError(f"leaf {index} is blank or outside the tree")
        return leaf

    def open(self, message: PrivateMessage) -> Received:
        """Decrypt a message and check its signature; the caller spends its key once the content was accepted."""
        suite = self.suite
        head = self._head + u8(message.content_type)
        key, nonce = self._sender_data_key(message.ciphertext)
        reader = Reader(suite.open(key, nonce, message.encrypted_sender_data, head))
        index, generation, guard = reader.u32(), reader.u32(), reader.take(4)
        reader.done()
        if index == self.own:
            raise OwnMessageError("a message of our own came back; we keep no key to open it")
        leaf = self.leaf(index)
        ratchet = APPLICATION if message.content_type == ContentType.APPLICATION else HANDSHAKE
        found = self.tree.find_key(index, ratchet, generation)
        aad = head + vec(message.authenticated_data)
        plaintext = suite.open(found.key, _guarded(found.nonce, guard), message.ciphertext, aad)
        authenticated = self._parse(message, Sender(SenderType.MEMBER, index), plaintext)
        tbs = authenticated.tbs(self._tbs_tail)
        suite.verify(leaf.verifier(suite), _LABEL, tbs, authenticated.signature, "a message")
        return Received(authenticated, found)

    def _parse(self, message: PrivateMessage, sender: Sender, plaintext: bytes) -> Authenticated:
        reader = Reader(plaintext)
        body = read_body(reader, message.content_type)
        head = self._head + sender.encode() + vec(message.authenticated_data) + u8(message.content_type)
        encoded = head + plaintext[: reader.pos]
        aad = message.authenticated_data
        content = FramedContent(message.group_id, message.epoch, sender, aad, body, encoded)
        try:
            authenticated = Authenticated.read_tail(reader, WireFormat.PRIVATE, content)
        except DecodeError as error:
            raise FramingError(f"a private message without its signature: {error}") from None
        if any(plaintext[reader.pos :]):
            raise FramingError("the padding of a message is not zero")
        return authenticated


def _guarded(nonce: bytes, guard: bytes) -> bytes:
    """Mix the reuse guard into the nonce's first four octets."""
    head = int.from_bytes(nonce[:4], "big") ^ int.from_bytes(guard, "big")
    return head.to_bytes(4, "big") + nonce[4:]
