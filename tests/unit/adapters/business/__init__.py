"""The business adapter, piece by piece."""
