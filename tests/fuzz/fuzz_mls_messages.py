"""Any bytes taken for an MLS structure are refused in the decoder's own words, or written again as they came.

``python -m tests.fuzz.fuzz_mls_messages [-max_total_time=600] [CORPUS]``; needs atheris. The first octet chooses the
structure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from protocol.mls import peek
from protocol.mls.codec import Reader, decode, vec
from protocol.mls.errors import MlsError
from protocol.mls.extensions import (
    Extension,
    ExtensionType,
    RequiredCapabilities,
    check_known,
    decode_dictionary,
    read_extensions,
)
from protocol.mls.leaf import Capabilities, KeyPackage, LeafContent, LeafNode
from protocol.mls.leafext import leg_of
from protocol.mls.messages import (
    Authenticated,
    GroupContext,
    GroupInfo,
    GroupSecrets,
    Welcome,
    encode_message,
    read_message,
)
from protocol.mls.proposals import Commit, PskId, ReInit, UpdatePath, encode_proposal, read_proposal
from protocol.mls.view import external_senders
from tests.fuzz.mls_world import World, content_of, fuzz

STRUCTURES: tuple[tuple[Callable[[Reader], Any], Callable[[Any], bytes]], ...] = (
    *((kind.read, kind.encode) for kind in (Authenticated, GroupContext, GroupInfo, GroupSecrets, Welcome, Commit)),
    *((kind.read, kind.encode) for kind in (KeyPackage, LeafNode, LeafContent, Capabilities, UpdatePath, PskId)),
    (RequiredCapabilities.read, RequiredCapabilities.encode),
    (ReInit.read, ReInit.body),
    (read_proposal, encode_proposal),
)


def one_input(data: bytes) -> None:
    """Read ``data`` as a whole message, as one structure, and as the payload of each extension."""
    kind, rest = data[:1], data[1:]
    with contextlib.suppress(MlsError):
        peek(rest)
    with contextlib.suppress(MlsError):
        assert encode_message(read_message(rest)) == rest
    read, encode = STRUCTURES[(kind or b"\0")[0] % len(STRUCTURES)]
    with contextlib.suppress(MlsError):
        assert encode(decode(rest, read)) == rest
    with contextlib.suppress(MlsError):
        decode(rest, read_extensions)
    for extension in (Extension(number, rest) for number in ExtensionType):
        for reader in (leg_of, external_senders, check_known, RequiredCapabilities.of):
            with contextlib.suppress(MlsError):
                reader((extension,))
    with contextlib.suppress(MlsError):
        decode_dictionary(rest)


def seeds() -> Iterator[bytes]:
    """One of each."""
    world = World()
    yield from (b"\0" + message for message in world.messages())
    commit = content_of(world.staged.commit)
    assert isinstance(commit.content.body, Commit)
    path, package = commit.content.body.path, world.carol.package
    whole = [commit.encode(), world.alice.view.encoded_context, world.info[4:], b"", world.staged.welcome[4:]]
    whole += [commit.content.body.encode(), package.encode(), package.leaf.encode(), package.leaf.content.encode()]
    whole += [package.leaf.content.capabilities.encode(), b"" if path is None else path.encode()]
    yield from (bytes((number,)) + structure for number, structure in enumerate(whole) if structure)
    yield from (b"\0" + extension.data for extension in (*world.alice.extensions, *package.leaf.content.extensions))
    yield b"\0" + vec(b"".join(extension.encode() for extension in world.alice.extensions))


if __name__ == "__main__":
    fuzz(one_input, seeds())
