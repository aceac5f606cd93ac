"""From the ledger to the network: deliveries are scheduled, planned, attempted, and ended in exactly one way.

In: deliveries and statuses that are durable. Out: an adapter's sends and reports, and their outcomes in the ledger.
It touches the adapter, the ledger and, for the statuses it answers with, ``to_router``.
"""
