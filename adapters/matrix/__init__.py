"""Matrix: an application service on aiohttp; the homeserver's people talk with ghosts of people elsewhere."""

from __future__ import annotations

from adapters.matrix.adapter import Matrix
from adapters.matrix.config import MatrixConfig
from adapters.matrix.registration import registration

__all__ = ["Matrix", "MatrixConfig", "registration"]
