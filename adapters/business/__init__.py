"""The business API: an HTTP API shaped like the WhatsApp Cloud API, through which a program talks to customers.

api.py       what the program calls          webhooks.py  what it is called with
codec.py     JSON <-> messages, pure         wamid.py     message ids, pure
identity.py  the people's minted identities  media.py     files on their way
errors.py    every refusal                   adapter.py   the five methods and what holds it all together
"""

from __future__ import annotations

from adapters.business.adapter import Business

__all__ = ["Business"]
