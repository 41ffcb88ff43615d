"""Hypothesis profiles, registered by importing this: for continuous integration, and for nights.

``gradcheck-ci`` draws the same 100 examples every time and keeps no database; ``gradcheck-nightly`` draws 5,000 new ones and
remembers what failed. Neither has a deadline: the first case of a run loads frameworks. In a ``conftest.py``::

    import gradcheck.strategies.profiles

and then ``pytest --hypothesis-profile=gradcheck-ci``.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "gradcheck-ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "gradcheck-nightly", derandomize=False, deadline=None, max_examples=5000, suppress_health_check=[HealthCheck.too_slow]
)
