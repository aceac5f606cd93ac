"""An authority for the stories of these tests: it grants, and it judges by the grants it signed."""

from __future__ import annotations

import os

from protocol.grant import Grant, GrantError, key_hash, key_id, public_of, sign
from protocol.leg import LegClass
from protocol.mls import UngrantedError
from protocol.mls.leafext import grant_of
from protocol.mls.validation import check_granted
from tests.unit.mls.support import new_identity


class Notary:
    """Signs grants, and vouches for leaves that carry one of its own."""

    def __init__(self):
        self.private = os.urandom(32)
        self.public = public_of(self.private)
        self.judged = []

    def grant(self, identity, *, leg=LegClass.OPERATOR, namespaces=None, number=1, **bent):
        said = {
            "authority": key_id(self.public),
            "uri": identity.uri,
            "key": key_hash(identity.public),
            "leg": leg,
            "namespaces": identity.leg.namespaces if namespaces is None else namespaces,
            "number": number,
        }
        return sign(Grant(**(said | bent)), self.private)

    def granted(self, identity, **bent):
        """The same identity, with a grant that says what its leaf says."""
        return identity.saying(identity.leg.leg, identity.leg.namespaces, self.grant(identity, **bent))

    def judge(self, leaf):
        self.judged.append(leaf)
        found = grant_of(leaf.content.extensions)
        if found is None:
            raise UngrantedError("no grant")
        try:
            found.verify(self.public)
        except GrantError as error:
            raise UngrantedError(str(error)) from None
        check_granted(leaf, found.grant)


def granted(notary, *names):
    """Endpoints with grants of this authority."""
    return [notary.granted(new_identity(name)) for name in names]
