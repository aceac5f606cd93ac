"""The ledger: everything that an endpoint must not forget, behind one interface.

In: changes, each one transaction. Out: rows.
It touches the database, and the key that seals what is in it.
"""
