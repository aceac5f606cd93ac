"""From the network to the ledger: events are received, checked, translated and accepted in one transaction.

In: an adapter's events. Out: rows of the ledger, contents for ``to_router``, acknowledgements to the adapter.
It touches the adapter's ``receive`` and ``fetch``, the ledger and the room table; never the network's sends.
"""
