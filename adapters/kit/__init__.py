"""What adapters share: pure helpers and small tools for a trade that is the same on every network.

It imports ``protocol`` and the adapter contract only, never an adapter, so that any adapter may use it.
"""
