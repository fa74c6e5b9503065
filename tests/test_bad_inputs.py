"""Every public function and class against one table of bad inputs: each is refused with a ValueError or TypeError.

``CALLS`` holds one valid call per function, constructor or method; ``SPOILT`` turns an argument of it into a bad one.
What is accepted although it looks bad stands in ``MEANT`` with its reason. A function or a class without a row fails a
test. tests/test_fuzz.py draws its calls from the same table.
"""

import copy
import dataclasses
import importlib
import inspect
import pkgutil
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import fpcourse
from fpcourse import data, flow, fourier, images, interactive, kernels, landscape, models, neurons, plotting, recording, recovery, settings, sphere, training
from fpcourse.trajectory import Trajectory

# Numbers of 1e200 overflow on the way to the refusal.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:lsoda")

rng = np.random.default_rng(0)
X, Y, K = np.sort(rng.uniform(size=12)), rng.normal(size=12), np.arange(1.0, 4.0)
SQUARE = rng.normal(size=(5, 5))
GRAM, TARGET = SQUARE @ SQUARE.T + np.eye(5), rng.normal(size=5)
TIMES = np.array([0.0, 1.0, 2.0])
SPHERE = SQUARE / np.linalg.norm(SQUARE, axis=1, keepdims=True)
TRAJECTORY = Trajectory(times=TIMES, outputs=rng.normal(size=(3, 12, 1)), inputs=X[:, None])
CIRCLE = np.stack([np.cos(X), np.sin(X)], axis=1)


def net(width=3):
    torch.manual_seed(0)
    return models.TwoLayer(1, width, activation="tanh").double()


REACHED = net(1)(torch.tensor(X[:2, None])).detach().numpy()[:, 0]  # targets that net(1) meets


def row(function, **arguments):
    """A valid call by its name. Arguments of a partial, such as texts to be shown, are not spoilt."""
    named = function.func if isinstance(function, partial) else function
    return f"{named.__module__.split('.')[1]}.{named.__qualname__}", (function, arguments)


def recorded(x, y, steps, model, step):
    """A new recorder for every call: one that has kept a step does not look at the model again."""
    recorder = recording.Recorder(x, y, steps=steps)
    recorder(model, step)
    return recorder.trajectory(), recorder.targets


def kept(step, outputs, loss):
    recorder = recording.Recorder(X, steps=2)
    recorder.keep(step, outputs, loss=loss)
    return recorder.trajectory()


CALLS = dict(
    [
        row(models.MLP, widths=[1, 3, 1], activation="tanh", std=0.1),
        row(models.ResidualMLP, inputs=1, width=3, blocks=2, outputs=1, activation="relu"),
        row(models.TwoLayer, inputs=1, width=3, activation="relu", scale=1.0, w_std=1.0, b_std=0.1, a_std=1.0),
        row(models.Ensemble, widths=[1, 3, 1], members=2, activation="tanh"),
        row(models.CircularCNN, channels=2, kernel_size=3, activation="relu", k_std=1.0, b_std=0.1, a_std=1.0),
        row(models.ConvNet, classes=3, channels=2),
        row(models.SmallVGG, classes=3, channels=2),
        row(models.siren, widths=[1, 3, 1], omega=30.0),
        row(models.AngularDerivative, model=models.TwoLayer(2, 3), order=1),
        row(models.Antisymmetric, model=net()),
        row(models.antisymmetric, model=net()),
        row(models.MatrixFactorization, rows=3, columns=4, width=2, std=1.0),
        row(models.TwoLayerCNN, shape=(6,), width=2, kernel_size=3, std=1.0),
        row(Trajectory, times=TIMES, outputs=np.ones((3, 4)), inputs=np.ones(4), losses=np.ones(3),
            parameters=np.ones((3, 2))),
        row(TRAJECTORY.nearest, time=0.4),
        ("recording.Recorder", (recorded, {"x": X, "y": Y, "steps": 3, "model": net(), "step": 0})),
        ("recording.Recorder.keep", (kept, {"step": 0, "outputs": torch.ones(12, 1), "loss": 0.5})),
        row(recording.evaluate, model=net(), x=torch.tensor(X[:, None])),
        row(neurons.member_layers, model=models.Ensemble([1, 3, 1], 2)),
        row(partial(flow.gradient_flow, progress=False), model=net(), x=X, y=Y, phases=[(2, 0.01)], every=1),
        row(settings.seed, default=0),
        row(
            partial(interactive.scrub, description=""),
            trajectory=TRAJECTORY, y=Y, positions=X, frequencies=K, bins=3,
        ),
        row(
            partial(interactive.scrub_images, description=""),
            images=np.ones((3, 2, 2)), times=TIMES, x=K, curve=np.ones((3, 3)),
        ),
        row(
            partial(interactive.dial, label="", description=""),
            x=K, curves={"a": np.ones((3, 3))}, values=TIMES, log="y",
        ),
        row(
            partial(interactive.neurons, description=""),
            times=TIMES, orientation=np.ones((3, 2)), size=np.ones((3, 2)),
        ),
        row(
            partial(interactive.surface, description=""),
            first=np.arange(2.0), second=K, losses=np.ones((3, 2)), paths=np.ones((1, 3, 3)), times=TIMES,
        ),
        row(plotting.snapshots, trajectory=TRAJECTORY, y=Y, at=[0.0, 2.0], positions=X, frequencies=K),
        row(plotting.spectrum_over_time, trajectory=TRAJECTORY, y=Y, positions=X, frequencies=K),
        row(landscape.gradient, model=net(), x=X, y=Y),
        row(landscape.gradient_norm, model=net(), x=X, y=Y),
        row(landscape.hessian, model=net(), x=X, y=Y),
        row(landscape.hessian_spectrum, model=net(), x=X, y=Y),
        row(landscape.inertia, eigenvalues=np.array([-1.0, 0.0, 2.0])),
        row(landscape.minimize, model=net(1), x=X[:2], y=REACHED),
        row(landscape.polish, model=net(1), x=X[:2], y=REACHED),
        row(models.parameters_of, model=net()),
        row(models.with_parameters, model=net(), parameters=np.ones(9)),
        row(flow.gradient_flow, model=net(), x=X, y=Y, times=TIMES),
        row(landscape.loss_at, model=net(), x=X, y=Y, parameters=np.ones((2, 9))),
        row(data.mnist, n_train=10, n_test=10),
        row(data.cifar10, n_train=10, n_test=10),
        row(data.boston, seed=0),
        row(data.camera, size=16),
        row(data.one_hot, labels=np.array([0, 1, 2]), classes=3),
        row(data.random_labels, y=np.array([0, 1, 2]), fraction=0.5, classes=3, seed=0),
        row(data.sine_sum, x=X, frequencies=K),
        row(data.equal_amplitude_curve, n=16, indices=[1, 3]),
        row(data.parity, x=np.array([[1, -1], [1, 1]])),
        row(data.all_bit_strings, bits=3),
        row(fourier.diagnose, trajectory=TRAJECTORY, y=Y, highest=3),
        row(landscape.split_neuron, model=net(), neuron=0, alpha=0.3),
        row(landscape.split_curvature, model=net(), neuron=0, x=X, y=Y),
        row(landscape.merge_neurons, model=landscape.split_neuron(net(), 0, 0.3)),
        row(flow.kernel_flow, kernel=GRAM, y=TARGET, times=TIMES),
        row(flow.kernel_descent, kernel=GRAM, y=TARGET, steps=[0, 1, 2], rate=0.01),
        row(flow.interpolant, kernel=GRAM, y=TARGET, kernel_test=GRAM[:2]),
        row(flow.box_frequencies, period=1.0, largest=3.0),
        row(flow.spectral_kernel, x1=X, frequencies=K, spectrum=1 / K),
        row(flow.lfp_flow, x=X, y=Y, times=TIMES, frequencies=K, spectrum=1 / K),
        row(flow.lfp_interpolant, x=X[:3], y=Y[:3], x_test=X, frequencies=K, spectrum=1 / K),
        row(flow.loss_flow, kernel=GRAM, gradient=lambda u: u - TARGET, until=1.0),
        row(flow.decay_rate, residual=np.exp(-TIMES), times=TIMES, until=2.0),
        row(fourier.nudft, x=X, y=Y, k=K),
        row(fourier.tanh_transform, xi=K, w=1.0),
        row(fourier.principal_direction, x=SQUARE),
        row(fourier.principal_directions, x=SQUARE, count=2),
        row(fourier.project, x=SQUARE, direction=SQUARE[0]),
        row(fourier.noise_floor, p=0.5, n=10),
        row(fourier.permutation_baseline, x=X, y=Y, k=K, draws=3),
        row(fourier.peaks, k=np.arange(5.0), magnitude=np.array([0.1, 2.0, 0.1, 3.0, 0.1]), floor=0.5),
        row(fourier.relative_error, x=X, h=Y, y=Y, k=K),
        row(fourier.channel_errors, x=X, h=Y, y=Y, k=K),
        row(fourier.gaussian_split, x=X, y=Y, delta=0.3),
        row(fourier.split_errors, x=X, h=Y + 1, y=Y, delta=0.3),
        row(fourier.first_below, errors=np.array([1.0, 0.5, 0.1]), times=TIMES, threshold=0.2),
        row(sphere.multiplicity, degree=2, dim=2),
        row(sphere.zonal, t=np.array([0.0, 0.5]), degree=2, dim=2),
        row(sphere.fibonacci_sphere, n=10),
        row(sphere.zonal_waves, x=SPHERE, degrees=[0, 2], directions=SPHERE[:2]),
        row(sphere.degree_norms, x=sphere.fibonacci_sphere(20), y=np.arange(20.0), degrees=[0, 1]),
        row(sphere.quarter_circle_rule, nodes=11),
        row(images.pixel_centres, size=4),
        row(images.fourier_features, x=np.ones((4, 2)), frequencies=np.ones((3, 2))),
        row(images.cosine_transform, images=rng.normal(size=(4, 4))),
        row(images.band_sums, values=rng.normal(size=(4, 4)), edges=[0.0, 1.0, 2.0]),
        row(images.band_errors, h=rng.normal(size=(4, 4)), y=rng.normal(size=(4, 4)), edges=[0.0, 1.0, 2.0]),
        row(images.cosine_rates, kernel=np.eye(16)),
        row(images.psnr, h=rng.uniform(size=(2, 16)), y=rng.uniform(size=16)),
        row(kernels.empirical_ntk, model=net(), x1=X),
        row(kernels.two_layer_ntk, x1=SPHERE, bias=False, trained="both"),
        row(kernels.arc_cosine_0, t=np.array([0.0, 0.5])),
        row(kernels.arc_cosine_1, t=np.array([0.0, 0.5])),
        row(kernels.basri_kernel, t=np.array([0.0, 0.5]), bias=True),
        row(kernels.cao_kernel, t=np.array([0.0, 0.5])),
        row(kernels.sphere_eigenvalues, kernel=kernels.cao_kernel, dim=2, degrees=[0, 1]),
        row(kernels.circle_eigenvalues, frequencies=[0, 1], bias=True),
        row(kernels.lfp_spectrum, xi=K, w2=1.0, a2=1.0, a2w2=1.0),
        row(neurons.conserved_quantities, model=models.TwoLayer(1, 3, bias=None)),
        row(neurons.neurons, model=net()),
        row(neurons.condensed_directions, weights=rng.normal(size=(9, 2))),
        row(neurons.initial_directions, x=X, y=Y, start=np.array([0.3]), multiplicity=1, steps=50),
        row(neurons.train_scaled, x=X, y=Y, width=4, gamma=1.0, gamma_prime=0.0, draws=1, steps=2),
        row(neurons.top_share, amplitudes=np.arange(1.0, 9.0)),
        row(neurons.predicted_slope, gamma=1.0, gamma_prime=0.0),
        row(plotting.bin_means, x=X, y=Y, bins=3),
        row(recording.log_spaced, steps=100, count=5),
        row(models.network, name="tanh", shape=(2,), width=3, std=1.0),
        row(recovery.optimistic_sample_size, name="matrix", shape=(4, 4), k=2),
        row(recovery.embed, narrow=net(2), wide=net(4)),
        row(kernels.jacobian, model=net(), x=X),
        row(recovery.model_rank, model=net(1), x=X),
        row(recovery.tangent_recovery, model=net(1), x=X, x_test=X, seed=0, repeats=2),
        row(
            recovery.recovery_errors,
            name="tanh", shape=(1,), width=2, x=X, y=Y, sizes=[2, 3], seeds=[0], std=0.1, steps=2, learning_rate=0.1,
        ),
        row(training.train, model=net(), x=X, y=Y, steps=2, learning_rate=0.1, progress=False),
    ]
)  # fmt: skip


def one_entry(value, entry):
    spoilt = np.array(value, dtype=complex if isinstance(entry, complex) else float)
    spoilt.reshape(-1)[-1] = entry
    return spoilt


def is_array(value):
    return isinstance(value, (np.ndarray, list, tuple)) and not isinstance(value[0], str)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def has_numbers(value):
    return is_array(value) or is_number(value)


def with_one(entry):
    return lambda value: one_entry(value, entry) if is_array(value) else entry


def has_device(value):
    return isinstance(value, nn.Module) or (has_numbers(value) and np.ndim(value) > 0)


def on_meta(value):
    """To torch's second device on every machine; it keeps shapes and no numbers."""
    return (
        copy.deepcopy(value).to("meta") if isinstance(value, nn.Module) else torch.empty(np.shape(value), device="meta")
    )


# name: (which arguments, what becomes of them, whether it may be meant: then the result must be finite numbers)
SPOILT = {
    "NaN": (has_numbers, with_one(np.nan), False),
    "infinite": (has_numbers, with_one(np.inf), False),
    "complex": (has_numbers, with_one(1j), False),
    "text": (lambda v: True, lambda v: "no such name", False),
    "None": (lambda v: True, lambda v: None, False),
    "an object": (lambda v: True, lambda v: object(), False),
    "empty": (is_array, lambda v: v[:0], False),
    "five dimensions": (is_array, lambda v: np.array(v)[None, None, None, None], False),
    "one entry less": (is_array, lambda v: v[:-1], True),
    "one row alone": (is_array, lambda v: v[:1], True),
    "1e200 times as large": (is_array, lambda v: np.array(v) * 1e200, True),
    "zeros": (is_array, lambda v: 0 * np.array(v), True),
    "a fraction": (lambda v: isinstance(v, int) and not isinstance(v, bool), lambda v: v + 0.5, False),
    "negative": (is_number, lambda v: -1 if isinstance(v, int) else -1.0, True),
    "zero": (is_number, lambda v: type(v)(0), True),
    "on the meta device": (has_device, on_meta, False),
    "a module of another kind": (lambda v: isinstance(v, nn.Module), lambda v: nn.Conv2d(3, 3, 3), False),
}

ROWS = [
    (name, argument, spoiler)
    for name, (_, arguments) in CALLS.items()
    for argument, value in arguments.items()
    for spoiler, (applies, _, _) in SPOILT.items()
    if applies(value)
]

WRAPPERS = ("AngularDerivative", "Antisymmetric", "antisymmetric")

# What is accepted on purpose, though it looks bad.
MEANT = {
    ("landscape.loss_at", "parameters", "five dimensions"),  # parameters (..., P)
    ("sphere.zonal", "t", "five dimensions"),  # t of any shape, as for all kernels of an angle
    ("kernels.arc_cosine_0", "t", "five dimensions"),
    ("kernels.arc_cosine_1", "t", "five dimensions"),
    ("kernels.basri_kernel", "t", "five dimensions"),
    ("kernels.cao_kernel", "t", "five dimensions"),
    ("kernels.lfp_spectrum", "xi", "five dimensions"),
    ("images.cosine_transform", "images", "five dimensions"),  # (..., s, s)
    ("images.band_sums", "values", "five dimensions"),
    ("images.band_errors", "h", "five dimensions"),
    ("images.psnr", "h", "five dimensions"),
    ("neurons.top_share", "amplitudes", "five dimensions"),  # (..., B)
    ("plotting.bin_means", "y", "five dimensions"),  # (..., n)
    ("data.mnist", "n_train", "None"),  # all there are
    ("data.mnist", "n_test", "None"),
    ("data.cifar10", "n_train", "None"),
    ("data.cifar10", "n_test", "None"),
    ("models.parameters_of", "model", "a module of another kind"),
    *((f"models.{name}", "model", "a module of another kind") for name in WRAPPERS),  # tried when they are called
    *((f"models.{name}", "model", "on the meta device") for name in WRAPPERS),  # where shapes are counted
    ("recording.evaluate", "model", "on the meta device"),
    ("models.MLP", "std", "None"),  # PyTorch's default
    *(("trajectory.Trajectory", part, "None") for part in ("inputs", "losses", "parameters")),  # not recorded
    ("recording.Recorder.keep", "loss", "None"),
    ("interactive.scrub", "bins", "None"),
}

# Refused, but by Python: an AttributeError that names what is missing, not what was expected.
LEFT_TO_PYTHON = {
    ("flow.gradient_flow", "model"),
    ("recording.Recorder.keep", "outputs"),
    ("interactive.scrub", "trajectory"),
    ("interactive.dial", "curves"),
    ("plotting.snapshots", "trajectory"),
    ("plotting.spectrum_over_time", "trajectory"),
}


def no_nan(result):
    if isinstance(result, nn.Module):
        return all(map(no_nan, result.parameters()))
    if isinstance(result, Trajectory):
        return no_nan(result.outputs)
    if isinstance(result, (tuple, list)):
        return all(map(no_nan, result))
    if isinstance(result, dict):
        return all(map(no_nan, result.values()))
    if isinstance(result, torch.Tensor):
        return result.is_meta or not torch.isnan(result).any()
    if isinstance(result, (np.ndarray, float, int, np.generic)):
        return not np.isnan(result).any()
    return True


@pytest.mark.parametrize(("name", "argument", "spoiler"), ROWS, ids=[" - ".join(row) for row in ROWS])
def test_bad_input_is_refused(name, argument, spoiler):
    function, arguments = CALLS[name]
    _, spoil, may_be_meant = SPOILT[spoiler]
    try:
        result = function(**{**arguments, argument: spoil(arguments[argument])})
    except (ValueError, TypeError) as error:
        assert str(error)
        return
    except (AttributeError, NotImplementedError):
        assert (name, argument) in LEFT_TO_PYTHON
        return
    except RuntimeError:  # what a search for a critical point says that found none
        assert may_be_meant and name.split(".")[0] in ("critical_points", "landscape")
        return
    assert may_be_meant or (name, argument, spoiler) in MEANT, f"accepted, and returned {result!r}"
    assert no_nan(result), f"returned {result!r}"


# These draw, time, read or write, or are the checks themselves; their tests stand beside them.
NO_NUMBERS = ("checks", "claims", "homework", "live", "plotting", "recording", "settings", "sweep")
ELSEWHERE = {
    "sphere.zonals": "a generator for kernels.sphere_eigenvalues, which checks its arguments",
    "neurons.match_neurons": "takes what member_layers returns",
    "interactive.Scrubber": "made by the functions of its module",
    "interactive.Panel": "made by interactive.panel: tests/test_live.py",
}


def public(kind):
    """Name and value of each public thing of a ``kind`` that a module of the package defines."""
    for module in pkgutil.iter_modules(fpcourse.__path__):
        for name, value in vars(importlib.import_module(f"fpcourse.{module.name}")).items():
            if kind(value) and value.__module__ == f"fpcourse.{module.name}" and name[0] != "_":
                yield f"{module.name}.{name}", value


def test_every_public_function_has_a_row():
    found = {name for name, _ in public(inspect.isfunction) if name.split(".")[0] not in NO_NUMBERS}
    assert found - set(CALLS) - set(ELSEWHERE) == set()


def checks_nothing(kind):
    """Exceptions, named tuples and dataclasses without a check of their own hold what they are given."""
    record = dataclasses.is_dataclass(kind) and not hasattr(kind, "__post_init__")
    return issubclass(kind, (Exception, tuple)) or record


def test_every_public_class_has_a_row():
    found = {name for name, kind in public(inspect.isclass) if not checks_nothing(kind)}
    assert "models.MLP" in found
    assert found - set(CALLS) - set(ELSEWHERE) == set()


@pytest.mark.parametrize("name", CALLS)
def test_the_good_call_is_good(name):
    function, arguments = CALLS[name]
    assert no_nan(function(**arguments))


HUGE, TINY = np.full(12, 1e200), 5e-324
NOWHERE, FLAT = net(), nn.Linear(1, 1)
with torch.no_grad():
    NOWHERE.w.fill_(np.nan)
    FLAT.weight.zero_()

# What odd arguments (tests/fuzz.md) were found to hang, to return NaN or to fail inside numpy and torch.
FOUND = [
    ("landscape.merge_neurons", {"model": NOWHERE}, "model must be finite"),  # went on for ever
    ("landscape.split_neuron", {"model": NOWHERE}, "model must be finite"),
    ("sphere.zonal_waves", {"degrees": [0, 2e16]}, "degrees must be below"),  # went on for ever
    ("sphere.degree_norms", {"degrees": [0, 2e16]}, "degrees must be below"),
    ("sphere.quarter_circle_rule", {"nodes": -1}, "nodes must be a whole number"),
    ("images.pixel_centres", {"size": np.timedelta64(1, "s")}, "size must be a whole number"),
    ("fourier.nudft", {"x": HUGE, "k": HUGE}, "x or k is too large"),
    ("data.sine_sum", {"x": HUGE, "frequencies": HUGE}, "x or frequencies is too large"),
    ("flow.spectral_kernel", {"x1": HUGE, "frequencies": 1e200 * K}, "x1 or frequencies is too large"),
    ("images.fourier_features", {"x": HUGE[:, None], "frequencies": HUGE[:, None]}, "x or frequencies is too large"),
    ("fourier.tanh_transform", {"xi": [TINY, 1.0]}, "transform at xi must be finite"),
    ("fourier.project", {"x": 1e200 * SQUARE, "direction": 1e200 * SQUARE[0]}, "x along direction must be finite"),
    ("flow.interpolant", {"kernel": TINY * np.eye(5)}, "interpolant of kernel and y must be finite"),
    ("flow.box_frequencies", {"largest": 1e300}, "more than 2.30 frequencies"),
    ("flow.box_frequencies", {"dim": 12}, "more than 2.30 frequencies"),
    ("flow.decay_rate", {"times": 1e-300 * TIMES}, "times as small as"),
    ("kernels.two_layer_ntk", {"bias": np.zeros(3)}, "bias must be one of"),
    ("kernels.two_layer_ntk", {"trained": torch.ones(2)}, "trained must be one of"),
    ("neurons.initial_directions", {"sign": np.ones(2)}, "sign must be one of"),
    ("landscape.gradient", {"model": nn.Identity()}, "model must have parameters"),
    ("recovery.recovery_errors", {"seeds": []}, "seeds must hold at least one"),
    ("recovery.recovery_errors", {"shape": (3,)}, "model does not take x"),
    ("recovery.optimistic_sample_size", {"shape": torch.ones(2, requires_grad=True)}, "shape must hold"),
    ("training.train", {"snapshots": [1, [2, 3]]}, "snapshots must be an array of numbers"),
    ("training.train", {"progress": np.zeros(2)}, "progress must be one of"),
    ("recording.Recorder", {"y": [[1.0, 2.0], [3.0]]}, "y must be an array of numbers"),
    ("recording.Recorder", {"step": np.zeros(2)}, "step must be a whole number"),
    ("fourier.diagnose", {"x": 3.0}, "x must hold inputs"),
    ("fourier.diagnose", {"directions": 1.5}, "directions must be a whole number"),
    ("fourier.project", {"x": np.ones((5, 2)), "direction": np.array([1e300, 0.0])}, "x must spread along direction"),
    ("recording.Recorder.keep", {"outputs": None}, "outputs must be a tensor of 2"),
    ("recording.evaluate", {"output": 3}, "output must be a function"),
    ("flow.gradient_flow", {"model": nn.Identity()}, "with parameters to train"),
    ("models.TwoLayerCNN", {"shared": 2}, "shared must be one of"),
    ("neurons.train_scaled", {"y": np.full(12, TINY)}, "loss, relative to that of y = 0, must be finite"),
    ("models.MLP", {"widths": np.array([1, 2**64 - 1, 1], dtype=np.uint64)}, "widths must be at most"),
    ("models.siren", {"omega": 1e-300}, "omega must be at least"),
    ("models.TwoLayerCNN", {"shape": np.array([2**64 - 1], dtype=np.uint64)}, "shape must be at most"),
    (
        "recovery.tangent_recovery",
        {"model": nn.Linear(1, 1), "x_test": HUGE},
        "tangent model at x_test must be finite",
    ),
    ("landscape.hessian_spectrum", {"model": FLAT, "x": HUGE}, "Hessian of the loss must be"),
    ("kernels.empirical_ntk", {"dtype": np.zeros((0, 3))}, "dtype must be torch.float32"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "message"), FOUND, ids=[f"{name} - {message}" for name, _, message in FOUND]
)
def test_what_was_found_is_refused(name, arguments, message):
    function, good = CALLS[name]
    with pytest.raises(ValueError, match=message):
        function(**{**good, **arguments})


class Pair(nn.Linear):
    """Returns two tensors, as many models do."""

    def forward(self, x):
        return x, super().forward(x)


@pytest.mark.parametrize(
    "name", ["landscape.gradient", "kernels.empirical_ntk", "kernels.jacobian", "training.train"]
)
def test_a_model_that_returns_no_tensor_is_refused(name):
    function, good = CALLS[name]
    with pytest.raises(ValueError, match="the model must return a tensor; got tuple"):
        function(**{**good, "model": Pair(1, 1).double()})


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("landscape.gradient", "x"),
        ("landscape.gradient", "y"),
        ("models.with_parameters", "parameters"),
        ("landscape.split_curvature", "y"),
        ("kernels.jacobian", "x"),
        ("recovery.recovery_errors", "y"),
    ],
)
def test_an_array_seen_backwards_is_as_good_as_its_copy(name, argument):
    """Torch takes no negative strides."""
    function, good = CALLS[name]
    backwards = np.array(good[argument], dtype=float)[::-1]
    results = [function(**{**good, argument: value}) for value in (backwards, backwards.copy())]
    first, second = (
        list(each.values())
        if isinstance(each, dict)
        else list(each.parameters())
        if isinstance(each, nn.Module)
        else [each]
        for each in results
    )
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(*(v.detach().numpy() if isinstance(v, torch.Tensor) else v for v in (a, b)))


def test_batches_may_be_columns_of_a_larger_array():
    table = np.column_stack([X, Y])
    loader = [(table[:6, :1], Y[:6]), (table[6:, :1], Y[6:]), (table[::-1, :1], Y[::-1])]
    trajectory, targets = recorded(loader, None, 3, net(), 0)
    np.testing.assert_array_equal(targets[:, 0], np.concatenate([Y, Y[::-1]]))
    np.testing.assert_array_equal(trajectory.outputs[0, :12], trajectory.outputs[0, 12:][::-1])


def test_small_whole_numbers_count():
    np.testing.assert_array_equal(data.camera(np.uint8(16)), data.camera(16))
    function, good = CALLS["training.train"]
    assert len(function(**{**good, "model": net(), "optimizer": "sgd", "batch_size": np.uint8(5)}))
