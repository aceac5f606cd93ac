"""Hypothesis without a clock and without chance: neither a busy machine nor a lucky draw may decide over a commit.

Every run tries the same examples, until a test is changed; HYPOTHESIS_PROFILE=random tries others each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("rialto", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", settings.get_profile("rialto"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "rialto"))
