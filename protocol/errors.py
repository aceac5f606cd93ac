"""The root of every error that this package raises.

Each error carries a stable ``code`` that callers and operators may rely on; its message says what was wrong and where::

    ProtocolError
    ├── CborError          protocol.cbor        not deterministic CBOR
    ├── ContentError       protocol.content     not a MIMI content container
    ├── StatusError        protocol.status      not a MIMI message status report
    ├── ExtensionError     protocol.extensions  a content extension of the wrong shape, or set by the wrong party
    ├── UriError           protocol.uri         not a MIMI URI, or an address that can have none
    ├── AttachmentError    protocol.attachment  an attachment that cannot be sealed or opened
    ├── CommerceError      protocol.commerce    a business part outside its limits
    ├── GrantError         protocol.grant       not a grant, or one that its authority did not sign
    └── MlsError           protocol.mls         anything that RFC 9420 refuses
"""

from __future__ import annotations

from typing import ClassVar


class ProtocolError(Exception):
    """Something does not follow the protocol; the message names what and where."""

    code: ClassVar[str] = "protocol"
