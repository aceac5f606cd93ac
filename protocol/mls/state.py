"""What a group keeps, and how it is stored: small records, each under a name of its own.

    g                   version, state, own leaf, GroupContext, interim transcript hash, ReInit
    e                   the epoch's secrets
    n/<node>            a node of the tree
    k/<node>            a private key of ours
    p/<ref>             a proposal that was sent in this epoch
    u/<public key>      the private key of an Update that we proposed
    x/<epoch>           a past epoch that can still be read
    o/<epoch>/<leaf>    a leaf as it was in a past epoch, where the next one changed it
    z/<epoch>           a resumption PSK
    t/ r/ s/            the secret trees (``secret_tree``)
    w                   of an unloaded group: the session that may go on sending, and our own ratchets

Receiving one message touches ``r/`` alone, sending none; a commit touches the nodes of its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from msgspec import Struct

from protocol.mls.codec import Reader, decode, optional, u8, u16, u32, u64, vec, vec_of
from protocol.mls.errors import MlsError, StateError
from protocol.mls.framing import Epoch
from protocol.mls.leaf import LeafNode
from protocol.mls.messages import Authenticated, ContentType, GroupContext, proposal_ref, type_of
from protocol.mls.proposals import ReInit
from protocol.mls.records import Records
from protocol.mls.schedule import EpochSecrets
from protocol.mls.secret_tree import SecretTree
from protocol.mls.session import Session
from protocol.mls.staged import Next
from protocol.mls.suites import suite_of
from protocol.mls.tree import Node, RatchetTree, encode_node, is_tree_size, read_node
from protocol.mls.view import View

VERSION = 2
_FORMER = 1  # its head has a re-key mark, and its records our own ratchets


class Standing(IntEnum):
    """Whether we can take part."""

    ACTIVE = 0
    REMOVED = 1
    REINITIALISED = 2


class Retention(Struct, frozen=True):
    """How long what is over is kept: past epochs for reading, by count and seconds; resumption PSKs by count."""

    epochs: int = 3
    seconds: int = 7 * 86400
    resumption: int = 32


@dataclass(slots=True)
class State:
    """Everything that a member holds of its group."""

    view: View
    secrets: EpochSecrets
    own_leaf: int
    private: dict[int, bytes]
    epoch: Epoch
    records: Records
    standing: Standing = Standing.ACTIVE
    reinit: ReInit | None = None
    sending: bool = False
    """Whether this epoch descends from one whose keys were drawn by this object's session: it may then send in it."""
    past: dict[int, Epoch] = field(default_factory=dict)
    resumption: dict[int, bytes] = field(default_factory=dict)
    updates: dict[bytes, bytes] = field(default_factory=dict)

    def note_group(self) -> None:
        """Store the head record."""
        self.records.put("g", self._head())

    def _head(self) -> bytes:
        return b"".join(
            (
                u16(VERSION),
                u8(self.standing),
                u32(self.own_leaf),
                self.view.encoded_context,
                vec(self.view.interim),
                optional(None if self.reinit is None else self.reinit.body()),
            )
        )

    def note_all(self) -> None:
        """Store a group that is new to us."""
        self.note_group()
        self.records.put("e", self.secrets.encode())
        for place, key in self.private.items():
            self.records.put(f"k/{place}", key)
        for place, node in enumerate(self.view.tree.nodes):
            if node is not None:
                self.records.put(f"n/{place}", encode_node(node))
        self.keep_resumption(Retention())

    def note_private(self, private: dict[int, bytes]) -> None:
        """Replace our private keys and store what changed."""
        for place in self.private.keys() - private.keys():
            self.records.put(f"k/{place}", None)
        for place, key in private.items():
            if self.private.get(place) != key:
                self.records.put(f"k/{place}", key)
        self.private = private

    def note_tree(self, tree: RatchetTree) -> list[int]:
        """Store the nodes in which a tree differs from the view's; return the leaves among them.

        The leaves of the epoch that ends are stored too: its late messages are checked against them.
        """
        before, after = self.view.tree.nodes, tree.nodes
        changed = []
        for place in range(max(len(before), len(after))):
            old = before[place] if place < len(before) else None
            new = after[place] if place < len(after) else None
            if old is new:
                continue
            self.records.put(f"n/{place}", None if new is None else encode_node(new))
            if place % 2 == 0:
                self.records.put(f"o/{self.view.context.epoch}/{place // 2}", encode_node(old))
                changed.append(place // 2)
        return changed

    def forget_proposals(self) -> None:
        """Drop what was proposed in the epoch that ends."""
        for ref in self.view.proposals:
            self.records.put(f"p/{ref.hex()}", None)
        for public in self.updates:
            self.records.put(f"u/{public.hex()}", None)
        self.updates = {}

    def retire(self, now: int | None, changed: list[int]) -> None:
        """Turn the current epoch into a past one; ``changed`` are the leaves that the next one replaces."""
        epoch = self.epoch
        epoch.tree.stop_sending()
        epoch.retired = now
        epoch.changed = changed
        self.past[epoch.number] = epoch
        when = optional(None if now is None else u64(now))
        value = when + vec(epoch.sender_data) + u32(len(epoch.leaves)) + epoch.context.encode()
        self.records.put(f"x/{epoch.number}", value)

    def expire(self, keep: Retention, now: int | None) -> None:
        """Delete past epochs that are too many or too old."""
        last = self.view.context.epoch - keep.epochs - 1
        for number, epoch in self.past.items():
            if now is not None and epoch.retired is not None and now - epoch.retired > keep.seconds:
                last = max(last, number)
        for number in [number for number in self.past if number <= last]:
            self._forget(self.past.pop(number))

    def _forget(self, epoch: Epoch) -> None:
        for name in epoch.tree.records():
            self.records.put(name, None)
        self.records.put(f"x/{epoch.number}", None)
        for leaf in epoch.changed:
            self.records.put(f"o/{epoch.number}/{leaf}", None)

    def put_away(self, session: Session) -> None:
        """Store our own ratchets for this session, which alone may go on with them, and stop sending."""
        if self.sending:
            number = session.put_away(self.view.context.group_id)
            ratchets = self.epoch.tree.sending()
            stored = vec_of(kind.encode() + u32(at) + vec(secret) for kind, (at, secret) in ratchets.items())
            self.records.put("w", vec(session.id) + u64(number) + stored)
        self.sending = False
        self.epoch.tree.stop_sending()

    def take_back(self, session: Session | None, stored: bytes) -> None:
        """Go on with ratchets that this very session put away; whoever's they are, they leave the records."""
        reader = Reader(stored)
        owner, number = reader.vec(), reader.u64()
        entries = reader.items(lambda inner: (inner.take(1).decode("ascii"), (inner.u32(), inner.vec())))
        reader.done()
        self.records.put("w", None)
        if session is not None and session.take_back(self.view.context.group_id, owner, number):
            self.epoch.tree.resume_sending(dict(entries))
            self.sending = True

    def keep_resumption(self, keep: Retention) -> None:
        """Keep this epoch's resumption PSK, and drop those that are too many."""
        number = self.view.context.epoch
        self.resumption[number] = self.secrets.resumption
        self.records.put(f"z/{number}", self.secrets.resumption)
        while len(self.resumption) > keep.resumption:
            oldest = min(self.resumption)
            del self.resumption[oldest]
            self.records.put(f"z/{oldest}", None)


def load(stored: Mapping[str, bytes], session: Session | None = None) -> State:
    """Rebuild a group's state from its records; raises ``StateError`` if they do not make one.

    It may send only if this ``session`` put it away.
    """
    try:
        state = _load(stored)
        if "w" in stored:
            state.take_back(session, stored["w"])
    except (MlsError, KeyError, ValueError, IndexError) as error:
        raise StateError(f"these records do not make a group: {error!r}") from None
    return state


def _load(stored: Mapping[str, bytes]) -> State:
    reader = Reader(stored["g"])
    version = reader.u16()
    if version not in (VERSION, _FORMER):
        raise StateError(f"a stored group of version {version}")
    standing, own = Standing(reader.u8()), reader.u32()
    if version == _FORMER:
        reader.vec()
    context, interim = GroupContext.read(reader), reader.vec()
    reinit = reader.optional(ReInit.read)
    reader.done()
    groups = _grouped(stored)
    suite = suite_of(context.suite_id)
    nodes = {int(place): decode(value, read_node) for place, value in groups["n"].items()}
    tree = RatchetTree(suite, _nodes(nodes))
    view = View(context, tree, interim)
    view.check_tree_hash()
    secrets = decode(stored["e"], EpochSecrets.read)
    records = Records()
    leaves: list[LeafNode | None] = [tree.leaf(index) for index in range(tree.size)]
    secret_tree = SecretTree(suite, context.epoch, tree.size, records.put, own)
    epoch = Epoch(context, secrets.sender_data, secret_tree, leaves, own)
    private = {int(place): key for place, key in groups["k"].items()}
    state = State(view, secrets, own, private, epoch, records, standing, reinit)
    for value in groups["p"].values():
        message = decode(value, Authenticated.read)
        if type_of(message.content.body) != ContentType.PROPOSAL:
            raise StateError("what was stored as a proposal is none")
        view.proposals[proposal_ref(suite, message)] = message
    state.updates = {bytes.fromhex(public): key for public, key in groups["u"].items()}
    state.resumption = {int(number): key for number, key in groups["z"].items()}
    _load_past(state, groups, leaves)
    _load_ratchets(state, stored)
    if version == _FORMER:
        for kept in (epoch, *state.past.values()):
            kept.tree.forget_own()
        state.note_group()
    return state


def _grouped(stored: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    groups: dict[str, dict[str, bytes]] = {kind: {} for kind in "nkpuxoz"}
    for name, value in stored.items():
        kind, _, rest = name.partition("/")
        if kind in groups:
            groups[kind][rest] = value
    return groups


def _nodes(found: Mapping[int, Node | None]) -> list[Node | None]:
    last = max(found)
    size = 1
    while 2 * size - 1 <= last:
        size *= 2
    nodes: list[Node | None] = [None] * (2 * size - 1)
    for place, node in found.items():
        nodes[place] = node
    return nodes


def _load_past(state: State, groups: dict[str, dict[str, bytes]], leaves: list[LeafNode | None]) -> None:
    """Rebuild the leaves of each past epoch backwards from those of the next one."""
    for number in sorted((int(text) for text in groups["x"]), reverse=True):
        reader = Reader(groups["x"][str(number)])
        retired, sender_data, size = reader.optional(Reader.u64), reader.vec(), reader.u32()
        context = GroupContext.read(reader)
        reader.done()
        if not is_tree_size(size):
            raise StateError(f"a past epoch with a tree of {size} leaves")
        leaves, changed = leaves[:size] + [None] * (size - len(leaves)), []
        for name, value in groups["o"].items():
            owner, _, index = name.partition("/")
            if int(owner) == number:
                node = decode(value, read_node)
                if int(index) < size:
                    leaves[int(index)] = node if isinstance(node, LeafNode) else None
                changed.append(int(index))
        tree = SecretTree(state.view.suite, number, size, state.records.put, state.own_leaf)
        epoch = Epoch(context, sender_data, tree, leaves, state.own_leaf)
        epoch.retired, epoch.changed = retired, changed
        state.past[number] = epoch


def _load_ratchets(state: State, stored: Mapping[str, bytes]) -> None:
    epochs = {str(epoch.number): epoch.tree for epoch in (state.epoch, *state.past.values())}
    for kind in "trs":
        for name, value in stored.items():
            if name.startswith(f"{kind}/"):
                epochs[name.split("/", 2)[1]].load(name, value)


def first_state(
    view: View, secrets: EpochSecrets, encryption: bytes, own_leaf: int, private: dict[int, bytes], *, sending: bool
) -> State:
    """Begin the state of a group that was just created or joined; ``sending``: its keys were drawn by this session."""
    records = Records()
    epoch = _open_epoch(view, secrets, encryption, own_leaf, records, sending=sending)
    state = State(view, secrets, own_leaf, private, epoch, records, sending=sending)
    state.note_all()
    return state


def _open_epoch(
    view: View, secrets: EpochSecrets, encryption: bytes, own: int, records: Records, *, sending: bool
) -> Epoch:
    tree, number = view.tree, view.context.epoch
    secret_tree = SecretTree.start(view.suite, number, tree.size, encryption, records.put, own, sending=sending)
    leaves = [tree.leaf(index) for index in range(tree.size)]
    return Epoch(view.context, secrets.sender_data, secret_tree, leaves, own)


def enter(state: State, following: Next, now: int | None, keep: Retention, *, drawn: bool) -> None:
    """Begin the epoch that a commit leads to, and retire the one that it ends.

    ``drawn``: the commit brings keys that this session drew, so we may send from here on.
    """
    tree = following.tree or following.patch.apply(state.view.tree)
    changed = state.note_tree(tree)
    state.note_private(following.private)
    state.forget_proposals()
    state.retire(now, changed)
    state.view = View(following.context, tree, following.interim)
    state.secrets = following.secrets
    state.sending = state.sending or drawn
    state.epoch = _open_epoch(
        state.view, following.secrets, following.encryption, state.own_leaf, state.records, sending=state.sending
    )
    if following.reinit is not None:
        state.standing, state.reinit = Standing.REINITIALISED, following.reinit
    state.records.put("e", following.secrets.encode())
    state.keep_resumption(keep)
    state.expire(keep, now)
    state.note_group()
