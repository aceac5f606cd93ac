"""The key by which who lost its state comes back: its shape, which takes no secret to check.

A GroupInfo without a usable key would shut the way back for everybody until somebody else commits (RFC 9420 §12.4.3.2).
That the key is the right one, only members can tell.
"""

from __future__ import annotations

from protocol.mls.codec import decode
from protocol.mls.errors import PolicyError
from protocol.mls.extensions import ExtensionType, find
from protocol.mls.joining import group_info_of
from protocol.mls.suites import suite_of


def check_external_key(group_info: bytes) -> None:
    """Refuse a GroupInfo (an MLSMessage) whose ``external_pub`` is missing or no public key of its cipher suite.

    Raises ``PolicyError``, or the ``MlsError`` that says what cannot be decoded.
    """
    info = group_info_of(group_info)
    external = find(info.extensions, ExtensionType.EXTERNAL_PUB)
    if external is None:
        raise PolicyError("a GroupInfo without an external key: nobody could come back by it")
    key = decode(external, lambda reader: reader.vec())
    kem = suite_of(info.context.suite_id).kem
    if len(key) != kem.encapsulated:
        raise PolicyError(f"an external key of {len(key)} octets; this cipher suite's have {kem.encapsulated}")
    kem.load_public(key)
