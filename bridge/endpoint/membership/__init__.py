"""Who is in a room: the steps that make it so, the session that may seal, and the keys that others add us with.

In: the router's view, the ledger and the configuration. Out: commits, Welcomes, KeyPackages.
It touches the router's ``update``, ``key_material`` and ``group_info``, and the ledger.
"""
