"""Settings of the whole suite."""

import matplotlib
from hypothesis import settings

matplotlib.use("Agg")  # no window, whatever the machine has

# A deadline is a timed assert: it fails on a busy machine and says nothing about the code. The same examples in every
# run, so that whether the tests pass depends on nothing but the code.
settings.register_profile("course", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("course")
