"""mls-rs behind the line protocol: ``python -m tests.interop.mlsrs``, or ``Inside(RustDesk())``.

The wheel ``agentvault-mls-rs-uniffi`` exposes a part of mls-rs; what it lacks is answered with ``unsupported``. What
it does not tell (epoch, leaf, members, epoch authenticator) is read out of the tree and the state that it exports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mls_rs_uniffi as rust

from protocol.mls import peek, schedule
from protocol.mls.codec import vec
from protocol.mls.leaf import LeafNode
from protocol.mls.suites import suite_of
from protocol.mls.tree import RatchetTree
from tests.interop.lines import Refused, Request, serve

SUITE = suite_of(1)
SECRET = 1 + SUITE.hash_size
"""Octets of one secret in the stored state: its length, and itself."""
WAITING = 2
"""Octets that say that nothing of our own waits: no update, no commit."""
SIGNER = 2 + 64
"""Octets of the signature key at the end of the stored state."""


class Shelf(rust.GroupStateStorage):
    """Where mls-rs writes the state of one member's group."""

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}
        self.epochs: dict[tuple[bytes, int], bytes] = {}

    def state(self, group_id: bytes) -> bytes | None:
        return self.states.get(group_id)

    def epoch(self, group_id: bytes, epoch_id: int) -> bytes | None:
        return self.epochs.get((group_id, epoch_id))

    def write(self, group_id, group_state, epoch_inserts, epoch_updates) -> None:
        self.states[group_id] = group_state
        self.epochs.update({(group_id, record.id): record.data for record in [*epoch_inserts, *epoch_updates]})

    def max_epoch_id(self, group_id: bytes) -> int | None:
        return max((number for group, number in self.epochs if group == group_id), default=None)


@dataclass
class Client:
    """One member."""

    client: rust.Client
    public: bytes
    shelf: Shelf
    group: rust.Group | None = None
    staged: bytes | None = None


def _signature(client: bytes, keys: rust.SignatureKeypair, shelf: Shelf) -> rust.Client:
    config = rust.ClientConfig(group_state_storage=shelf, use_ratchet_tree_extension=True)
    return rust.Client(client, keys, config)


class RustDesk:
    """mls-rs on the line protocol."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}

    def keypackage(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        return {"key_package": client.client.generate_key_package_message().to_bytes().hex()}

    def create(self, request: Request) -> dict[str, Any]:
        if request.components("context"):
            raise Refused("unsupported", "no application data in the GroupContext")
        client = self._client(request, new=True)
        client.group = client.client.create_group(request.octets("group"))
        return {"epoch": 0}

    def join(self, request: Request) -> dict[str, Any]:
        client = self._client(request)
        with _refusals():
            welcome = rust.Message.from_bytes(request.octets("welcome"))
            client.group = client.client.join_group(None, welcome).group
        seen = _Seen(client)
        return {"epoch": seen.epoch, "leaf": seen.leaf}

    def external_join(self, request: Request) -> dict[str, Any]:
        raise Refused("unsupported", "the wheel has no external commits")

    def add(self, request: Request) -> dict[str, Any]:
        with _refusals():
            package = rust.Message.from_bytes(request.octets("key_package"))
            return _proposed(self._group(request).propose_add_members([package]), request)

    def remove(self, request: Request) -> dict[str, Any]:
        client = self._client(request)
        whom = self._identities(client, [request.get("leaf", int)])
        with _refusals():
            return _proposed(self._group(request).propose_remove_members(whom), request)

    def update(self, request: Request) -> dict[str, Any]:
        raise Refused("unsupported", "the wheel has no Update proposals")

    def psk(self, request: Request) -> dict[str, Any]:
        raise Refused("unsupported", "the wheel has no pre-shared keys")

    def knock(self, request: Request) -> dict[str, Any]:
        raise Refused("unsupported", "the wheel has no proposals of new members")

    def reinit(self, request: Request) -> dict[str, Any]:
        raise Refused("unsupported", "the wheel has no re-initialisation")

    def restart(self, request: Request) -> dict[str, Any]:
        raise Refused("unsupported", "the wheel has no re-initialisation")

    def branch(self, request: Request) -> dict[str, Any]:
        raise Refused("unsupported", "the wheel has no branches")

    def commit(self, request: Request) -> dict[str, Any]:
        client, group = self._client(request), self._group(request)
        lacking = {"private", "path", "psk", "resume", "extensions"} & set(request.fields)
        if lacking:
            raise Refused("unsupported", f"the wheel's commits have no {sorted(lacking)}")
        add, remove = request.list_of("add", bytes), request.list_of("remove", int)
        if add and remove:
            raise Refused("unsupported", "the wheel adds or removes in one commit, not both")
        with _refusals():
            if add:
                made = group.add_members([rust.Message.from_bytes(package) for package in add])
            elif remove:
                made = group.remove_members(self._identities(client, remove))
            else:
                made = group.commit()
        client.staged = made.commit_message.to_bytes()
        welcome = b"" if made.welcome_message is None else made.welcome_message.to_bytes()
        return {"commit": client.staged.hex(), "welcome": welcome.hex()}

    def process(self, request: Request) -> dict[str, Any]:
        client, group, message = self._client(request), self._group(request), request.octets("message")
        with _refusals():
            done = group.process_incoming_message(rust.Message.from_bytes(message))
        if done.is_APPLICATION_MESSAGE():
            return {"kind": "application", "data": done.data.hex(), "authenticated_data": None, "sender": None}
        epoch = peek(message).epoch
        if done.is_RECEIVED_PROPOSAL():
            return {"kind": "proposal", "epoch": epoch}
        client.staged = None
        return {"kind": "commit", "epoch": epoch + 1, "left": done.effect.is_REMOVED()}

    def encrypt(self, request: Request) -> dict[str, Any]:
        if request.octets("authenticated_data", b""):
            raise Refused("unsupported", "the wheel has no authenticated data")
        with _refusals():
            return {
                "message": self._group(request).encrypt_application_message(request.octets("data")).to_bytes().hex()
            }

    def exporter(self, request: Request) -> dict[str, Any]:
        label, context = request.get("label", str).encode(), request.octets("context")
        return {"secret": self._group(request).export_secret(label, context, request.get("length", int)).hex()}

    def state(self, request: Request) -> dict[str, Any]:
        if request.get("group_info", bool, False):
            raise Refused("unsupported", "the wheel gives no GroupInfo")
        self._group(request)
        seen = _Seen(self._client(request))
        members = [[leaf, node.content.credential.data.decode()] for leaf, node in seen.leaves]
        return {"epoch": seen.epoch, "leaf": seen.leaf, "authenticator": seen.authenticator.hex(), "members": members}

    def forget(self, request: Request) -> dict[str, Any]:
        self._client(request)
        del self.clients[request.get("member", str)]
        return {}

    def _client(self, request: Request, *, new: bool = False) -> Client:
        name = request.get("member", str)
        if request.get("suite", int, 1) != SUITE.id:
            raise Refused("unsupported", "the wheel has cipher suite 1 only")
        client = self.clients.get(name)
        if client is None and new:
            keys = rust.generate_signature_keypair(rust.CipherSuite.CURVE25519_AES128)
            shelf = Shelf()
            client = Client(_signature(name.encode(), keys, shelf), keys.public_key.bytes, shelf)
            self.clients[name] = client
        if client is None:
            raise Refused("request", f"no member {name!r} here")
        return client

    def _group(self, request: Request) -> rust.Group:
        group = self._client(request).group
        if group is None:
            raise Refused("request", "this member is in no group")
        return group

    def _identities(self, client: Client, leaves: list[int]) -> list[rust.SigningIdentity]:
        """mls-rs names members by identity; one for a leaf is made as a client of that name and key."""
        known = dict(_leaves(client.group))
        unknown = set(leaves) - set(known)
        if unknown:
            raise Refused("request", f"nobody at {sorted(unknown)}")
        return [_identity_of(known[leaf]) for leaf in leaves]


class _refusals:  # noqa: N801 - reads as a statement
    """Turns what mls-rs raises into a refusal."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, rust.mls_rs_uniffi.InternalError):
            raise Refused("mls-rs.panic", str(error)) from None
        if isinstance(error, rust.Error):
            raise Refused(f"mls-rs.{type(error).__name__}", str(error)) from None


def _proposed(messages: list[rust.Message], request: Request) -> dict[str, Any]:
    if request.get("private", bool, False):
        raise Refused("unsupported", "the wheel has no private proposals")
    [message] = messages
    return {"proposal": message.to_bytes().hex()}


def _leaves(group: rust.Group) -> list[tuple[int, LeafNode]]:
    return list(RatchetTree.decode(SUITE, group.export_tree().bytes).leaves())


def _identity_of(leaf: LeafNode) -> rust.SigningIdentity:
    spare = rust.generate_signature_keypair(rust.CipherSuite.CURVE25519_AES128)
    public = rust.SignaturePublicKey(bytes=leaf.content.signature_key)
    keys = rust.SignatureKeypair(cipher_suite=spare.cipher_suite, public_key=public, secret_key=spare.secret_key)
    return _signature(leaf.content.credential.data, keys, Shelf()).signing_identity()


class _Seen:
    """What the exported tree and the stored state of a member say.

    The stored state begins with its version and the GroupContext. It ends with five secrets of the key schedule
    (exporter, authenticator, external, membership, init), two marks that no update and no commit wait, and the
    signature key.
    """

    def __init__(self, client: Client) -> None:
        client.group.write_to_storage()
        [stored] = client.shelf.states.values()
        [group_id] = client.shelf.states
        head = bytes.fromhex("000100010001") + vec(group_id)
        start = len(stored) - SIGNER - WAITING - 5 * SECRET
        secrets = [stored[start + place * SECRET :][1:SECRET] for place in range(2)]
        ours = schedule.export(SUITE, secrets[0], b"layout", b"", 32)
        if not stored.startswith(head) or ours != client.group.export_secret(b"layout", b"", 32):
            raise AssertionError("mls-rs stores its state in another way than this driver knows")
        self.epoch = int.from_bytes(stored[len(head) : len(head) + 8])
        self.authenticator = secrets[1]
        self.leaves = _leaves(client.group)
        [self.leaf] = [leaf for leaf, node in self.leaves if node.content.signature_key == client.public]


if __name__ == "__main__":
    serve(RustDesk())
