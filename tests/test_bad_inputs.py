"""Every public function that takes data, against what people get wrong: shapes, NaN, nothing, text, unknown names.

``CALLS`` holds one good call per function; each of its arrays, modules and names is spoilt in turn, and must be refused
with a ValueError or TypeError. Another shape may be meant: then the result must be free of NaN.
"""

import copy
import importlib
import inspect
import pkgutil
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import fpcourse
from fpcourse import data, flow, fourier, images, kernels, landscape, models, neurons, recording, recovery, sphere
from fpcourse.training import SquareLoss, train
from fpcourse.trajectory import Trajectory

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:lsoda", "ignore:.*LSODA")

rng = np.random.default_rng(0)
X, Y, K = np.sort(rng.uniform(size=12)), rng.normal(size=12), np.arange(1.0, 4.0)
SQUARE = rng.normal(size=(5, 5))
GRAM, TARGET, TIMES = SQUARE @ SQUARE.T + np.eye(5), rng.normal(size=5), np.array([0.0, 1.0, 2.0])
SPHERE = SQUARE / np.linalg.norm(SQUARE, axis=1, keepdims=True)
TRAJECTORY = Trajectory(times=TIMES, outputs=rng.normal(size=(3, 12, 1)), inputs=X[:, None])
LABELS, ANGLES = np.array([0, 1, 2]), np.array([0.0, 0.5])


def net(width=3):
    torch.manual_seed(0)
    return models.TwoLayer(1, width, activation="tanh").double()


REACHED = net(1)(torch.tensor(X[:2, None])).detach().numpy()[:, 0]  # targets that net(1) meets
PHASES = {"width": 4, "gamma": np.array([1.0]), "gamma_prime": np.array([0.0]), "draws": 1, "steps": 2}
RECOVERY = {"shape": (1,), "width": 2, "sizes": [2, 3], "seeds": [0], "std": 0.1, "steps": 2, "learning_rate": 0.1}


def record(x, y, model):
    recorder = recording.Recorder(x, y, steps=3)
    recorder(model, 0)
    return recorder.trajectory(), recorder.targets


CALLS = [
    partial(data.one_hot, labels=LABELS, classes=3),
    partial(data.random_labels, y=LABELS, fraction=0.5, classes=3, seed=0),
    partial(data.sine_sum, x=X, frequencies=K, amplitudes=K, phases=K),
    partial(data.on_circle, angles=X),
    partial(data.parity, x=np.array([[1, -1], [1, 1]])),
    partial(flow.kernel_flow, kernel=GRAM, y=TARGET, times=TIMES),
    partial(flow.kernel_descent, kernel=GRAM, y=TARGET, steps=np.array([0, 1, 2]), learning_rate=0.01),
    partial(flow.interpolant, kernel=GRAM, y=TARGET, kernel_test=GRAM[:2]),
    partial(flow.rates, kernel=GRAM),
    partial(flow.learnability, eigenvalues=1 / K, n=2),
    partial(flow.gradient_flow, model=net(), x=X, y=Y, times=TIMES),
    partial(flow.spectral_kernel, x1=X, frequencies=K, spectrum=1 / K),
    partial(flow.lfp_flow, x=X, y=Y, times=TIMES, frequencies=K, spectrum=1 / K),
    partial(flow.lfp_interpolant, x=X[:3], y=Y[:3], x_test=X, frequencies=K, spectrum=1 / K),
    partial(flow.loss_flow, kernel=GRAM, gradient=lambda u: u - TARGET, until=1.0),
    partial(flow.decay_rate, residual=np.exp(-TIMES), times=TIMES, until=2.0),
    partial(fourier.nudft, x=X, y=Y, k=K),
    partial(fourier.tanh_transform, xi=K, w=np.ones(3)),
    partial(fourier.principal_direction, x=SQUARE),
    partial(fourier.principal_directions, x=SQUARE, count=2),
    partial(fourier.project, x=SQUARE, direction=SQUARE[0]),
    partial(fourier.noise_floor, p=np.array([0.5]), n=10),
    partial(fourier.permutation_baseline, x=X, y=Y, k=K, draws=3),
    partial(fourier.relative_error, x=X, h=Y, y=Y, k=K),
    partial(fourier.channel_errors, x=X, h=Y, y=Y, k=K),
    partial(fourier.gaussian_split, x=X, y=Y, delta=0.3),
    partial(fourier.split_errors, x=X, h=Y + 1, y=Y, delta=0.3),
    partial(fourier.first_below, errors=np.array([1.0, 0.5, 0.1]), times=TIMES, threshold=0.2),
    partial(fourier.learned_at, errors=np.array([1.0, 0.5, 0.1]), times=TIMES, threshold=0.2),
    partial(fourier.slope, x=K, y=K**2),
    partial(fourier.diagnose, trajectory=TRAJECTORY, y=Y, x=X, highest=3),
    partial(images.fourier_features, x=np.ones((4, 2)), frequencies=np.ones((3, 2))),
    partial(images.cosine_transform, images=rng.normal(size=(4, 4))),
    partial(images.band_sums, values=rng.normal(size=(4, 4)), edges=np.arange(3.0)),
    partial(images.band_errors, h=rng.normal(size=(4, 4)), y=rng.normal(size=(4, 4)), edges=np.arange(3.0)),
    partial(images.cosine_rates, kernel=np.eye(16)),
    partial(images.psnr, h=rng.uniform(size=(2, 16)), y=rng.uniform(size=16)),
    partial(kernels.empirical_ntk, model=net(), x1=X, x2=X),
    partial(kernels.jacobian, model=net(), x=X),
    partial(kernels.two_layer_ntk, x1=SPHERE, bias=False, trained="both"),
    partial(kernels.basri_kernel, t=ANGLES, bias=True),
    partial(kernels.cao_kernel, t=ANGLES),
    partial(kernels.sphere_eigenvalues, kernel=kernels.cao_kernel, dim=2, degrees=np.array([0, 1])),
    partial(kernels.circle_eigenvalues, frequencies=np.array([0, 1]), bias=True),
    partial(kernels.lfp_spectrum, xi=K, w2=1.0, a2=1.0, a2w2=1.0),
    partial(landscape.gradient, model=net(), x=X, y=Y),
    partial(landscape.gradient_norm, model=net(), x=X, y=Y),
    partial(landscape.hessian, model=net(), x=X, y=Y),
    partial(landscape.hessian_spectrum, model=net(), x=X, y=Y),
    partial(landscape.inertia, eigenvalues=np.array([-1.0, 0.0, 2.0])),
    partial(landscape.minimize, model=net(1), x=X[:2], y=REACHED),
    partial(landscape.polish, model=net(1), x=X[:2], y=REACHED),
    partial(landscape.loss_at, model=net(), x=X, y=Y, parameters=np.ones((2, 9))),
    partial(landscape.split_neuron, model=net(), neuron=0, alpha=0.3),
    partial(landscape.split_curvature, model=net(), neuron=0, x=X, y=Y),
    partial(landscape.merge_neurons, model=landscape.split_neuron(net(), 0, 0.3)),
    partial(models.MLP, widths=(1, 3, 1), activation="tanh", std=np.array([0.1, 0.2])),
    partial(models.TwoLayer, inputs=1, width=3, activation="relu", bias="shift"),
    partial(models.antisymmetric, model=net()),
    partial(models.network, name="tanh", shape=(2,), width=3, std=1.0),
    partial(models.parameters_of, model=net()),
    partial(models.with_parameters, model=net(), parameters=np.ones(9)),
    partial(neurons.neurons, model=net()),
    partial(neurons.conserved_quantities, model=models.TwoLayer(1, 3, bias=None)),
    partial(neurons.condensed_directions, weights=rng.normal(size=(9, 2))),
    partial(neurons.initial_directions, x=X, y=Y, start=np.array([0.3]), multiplicity=1, steps=50),
    partial(neurons.train_scaled, x=X, y=Y, **PHASES),
    partial(neurons.top_share, amplitudes=np.arange(1.0, 9.0)),
    partial(neurons.predicted_slope, gamma=np.array([1.0]), gamma_prime=np.array([0.0])),
    partial(neurons.member_layers, model=models.Ensemble([1, 3, 1], 2)),
    partial(recording.evaluate, model=net(), x=torch.tensor(X[:, None])),
    partial(record, x=X, y=Y, model=net()),
    partial(recovery.optimistic_sample_size, name="matrix", shape=(4, 4), k=2),
    partial(recovery.embed, narrow=net(2), wide=net(4)),
    partial(recovery.model_rank, model=net(1), x=X),
    partial(recovery.tangent_recovery, model=net(1), x=X, x_test=X, seed=0, repeats=2),
    partial(recovery.recovery_errors, name="tanh", x=X, y=Y, optimizer="gd", **RECOVERY),
    partial(sphere.zonal, t=ANGLES, degree=2, dim=2),
    partial(sphere.zonal_waves, x=SPHERE, degrees=np.array([0, 2]), directions=SPHERE[:2]),
    partial(sphere.degree_norms, x=sphere.fibonacci_sphere(20), y=np.arange(20.0), degrees=np.array([0, 1])),
    partial(SquareLoss, model=net(), x=X, y=Y),
    partial(train, model=net(), x=X, y=Y, steps=2, learning_rate=0.1, optimizer="gd", loss="square", progress=False),
    partial(Trajectory, times=TIMES, outputs=np.ones((3, 4)), inputs=np.ones(4), losses=np.ones(3)),
]


def name_of(call):
    return f"{call.func.__module__.removeprefix('fpcourse.')}.{call.func.__qualname__}"


def spoilt(value):
    """What becomes of an argument, and whether it may be meant."""
    if isinstance(value, nn.Module):
        return {"no module": (None, False), "a module of another kind": (nn.Conv2d(3, 3, 3), True)}
    if isinstance(value, str):
        return {"an unknown name": ("no such name", False)}
    if not isinstance(value, np.ndarray):
        return {}
    nan = value.astype(float)
    nan.flat[-1] = np.nan
    return {
        "NaN": (nan, False),
        "text": ("no numbers", False),
        "empty": (value[:0], False),
        "one entry less": (value[:-1], True),
        "five dimensions": (value[None, None, None, None], True),
    }


def no_nan(result):
    if isinstance(result, nn.Module):
        return all(map(no_nan, result.parameters()))
    if isinstance(result, (Trajectory, fourier.Diagnosis)):
        return no_nan(list(vars(result).values()))
    if isinstance(result, (tuple, list)):
        return all(map(no_nan, result))
    if isinstance(result, dict):
        return no_nan(list(result.values()))
    if isinstance(result, torch.Tensor):
        return not result.isnan().any()
    return not isinstance(result, (np.ndarray, np.generic, float)) or not np.isnan(result).any()


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_bad_input_is_refused(call):
    assert no_nan(copy.deepcopy(call)()), "the good call is good"
    accepted = []
    for argument, value in call.keywords.items():
        for way, (bad, may_be_meant) in spoilt(value).items():
            try:
                result = call.func(**copy.deepcopy(call.keywords) | {argument: bad})
            except (ValueError, TypeError):
                continue
            except RuntimeError:  # a search for a critical point that found none
                assert may_be_meant
                continue
            if not (may_be_meant and no_nan(result)):
                accepted.append((argument, way))
    assert accepted == []


# These draw, time or write, or are the checks themselves; their tests stand beside them.
ELSEWHERE = {"claims", "homework", "interactive", "plotting", "settings", "sweep"}
TRUSTED = {
    "flow.as_matrix",  # reshapes
    "neurons.group_greedily",  # takes what its module computes
    "neurons.match_neurons",  # takes what member_layers returns
    "recording.evaluating",
    "models.AngularDerivative",  # tried when it is called
}


def test_every_public_function_that_takes_data_has_a_row():
    missing = {}
    for module in pkgutil.iter_modules(fpcourse.__path__):
        if module.ispkg or module.name[0] == "_" or module.name in ELSEWHERE:
            continue
        for name, value in vars(importlib.import_module(f"fpcourse.{module.name}")).items():
            own = inspect.isfunction(value) and value.__module__ == f"fpcourse.{module.name}" and name[0] != "_"
            notes = getattr(value, "__annotations__", {}) if own else {}
            takes = [each for each, note in notes.items() if each != "return" and ("Array" in note or "Module" in note)]
            if takes:
                missing[f"{module.name}.{name}"] = takes
    assert set(missing) - {name_of(call) for call in CALLS} - TRUSTED == set()
