"""XMPP, as a component (XEP-0114) of somebody's server."""

from adapters.xmpp.adapter import Xmpp

__all__ = ["Xmpp"]
