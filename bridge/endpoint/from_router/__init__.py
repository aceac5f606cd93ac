"""From the router to the ledger: envelopes are decrypted, checked for who speaks, and stored.

In: what the router fans out. Out: rows of the ledger, and a nudge to ``to_network``.
It touches the rooms' groups, the ledger and the router's ``notify`` and ``acknowledge``; never an adapter's sends.
"""
