"""The history of the router's tables, one revision a file, applied at start by ``bridge.storage.upgrade``."""

from pathlib import Path

LOCATION = Path(__file__).parent
"""What ``upgrade`` wants."""
