"""Training many small networks side by side, beside a loop over them; and what fpcourse adds to the import of torch."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fpcourse.models import MLP, Ensemble
from fpcourse.training import train

MEMBERS, WIDTHS = 32, [1, 50, 50, 1]
X = np.linspace(-np.pi, np.pi, 61)
SETTINGS = {"steps": 500, "learning_rate": 1e-3, "snapshots": [0, 500], "progress": False}

COMPUTES = """claims, data, flow, fourier, images, kernels, landscape, models, neurons, recording, recovery, settings, \
sphere, sweep, training, trajectory"""
IMPORTS = {
    "torch": "import torch",
    "torch, fpcourse": f"import torch; from fpcourse import {COMPUTES}",
    "torch, fpcourse with figures": f"import torch; from fpcourse import {COMPUTES}, plotting, interactive",
}


def train_ensemble():
    torch.manual_seed(0)
    train(Ensemble(WIDTHS, members=MEMBERS), X, np.sin(X), **SETTINGS)


def train_one_after_the_other():
    for seed in range(MEMBERS):
        torch.manual_seed(seed)
        train(MLP(WIDTHS), X, np.sin(X), **SETTINGS)


@pytest.mark.benchmark(group="32 networks 1-50-50-1, 61 points, 500 steps of Adam")
@pytest.mark.parametrize("work", [train_ensemble, train_one_after_the_other], ids=lambda f: f.__name__)
def test_ensemble(benchmark, work):
    benchmark.pedantic(work, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="import")
@pytest.mark.parametrize("what", IMPORTS)
def test_import(benchmark, what):
    benchmark.pedantic(
        subprocess.run, ([sys.executable, "-c", IMPORTS[what]],), {"check": True}, rounds=15, warmup_rounds=1
    )
