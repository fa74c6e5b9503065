"""Settings of the whole suite."""

import matplotlib
from hypothesis import settings

matplotlib.use("Agg")  # no window, whatever the machine has

# A deadline is a timed assert: it fails on a busy machine and says nothing about the code.
settings.register_profile("course", deadline=None)
settings.load_profile("course")
