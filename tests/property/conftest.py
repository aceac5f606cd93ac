"""Hypothesis without a clock: a busy machine must not make a true property fail."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("rialto", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rialto")
