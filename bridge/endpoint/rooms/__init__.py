"""The table of rooms, and one room: its conversation, its group and its phase.

In: conversations and room URIs. Out: the room, found, made or loaded.
It touches the ledger's rooms and the groups' records.
"""
