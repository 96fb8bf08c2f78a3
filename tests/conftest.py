"""What holds for every test: correctness never depends on the speed of the machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("ringline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ringline")
