"""What all tests share."""

from hypothesis import HealthCheck, settings

# A busy machine is no failure: how fast something is, benchmarks say.
settings.register_profile("evalkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evalkit")
