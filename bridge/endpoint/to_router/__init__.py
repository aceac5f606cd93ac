"""From the ledger to the router: contents are sealed, submitted in order, and answered.

In: contents that are durable. Out: envelopes, and what the router answered, in the ledger.
It touches the rooms' groups, the ledger and the router's ``submit``.
"""
