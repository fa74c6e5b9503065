"""fpcourse: models, Fourier diagnostics and kernel flow for a course on the frequency principle.

Nothing is imported here on purpose: ``from fpcourse import fourier`` loads only what ``fourier`` needs,
so a notebook starts as quickly as ``import torch`` allows.
"""

__version__ = "0.1.0"
