"""Settings for the whole suite: property tests are repeatable and have no clock."""

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
