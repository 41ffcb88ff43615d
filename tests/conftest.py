"""Hypothesis profiles: ``ci`` draws the same examples every time, ``nightly`` explores."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in parallel already; threads of theirs would only wait

settings.register_profile(
    "ci", derandomize=True, database=None, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", parent=settings.get_profile("ci"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Set by continuous integration: there the installed wheel is tested, never the checkout.
if os.environ.get("GRADCHECK_INSTALLED"):
    import gradcheck

    assert not Path(gradcheck.__file__).resolve().is_relative_to(Path(__file__).resolve().parents[1]), gradcheck.__file__
