"""What all tests share: the real servers' fixtures."""

from __future__ import annotations

pytest_plugins = ["tests.servers.prosody", "tests.servers.synapse", "tests.servers.postgres"]
