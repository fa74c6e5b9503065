"""How long fpcourse.kernels and fpcourse.flow take, each beside its yardstick in one group.

Run ``pytest tests/benchmarks/test_bench_kernels.py``. Nothing here asserts a time. ``extra_info`` of each record
(``--benchmark-json``) holds ``peak_mb``: by how much the call raises the memory of a fresh process (on Linux).
neural-tangents runs where ``NEURAL_TANGENTS_PYTHON`` names a Python that has it (neural_tangents_peer.py).
"""

import concurrent.futures
import multiprocessing
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate

from fpcourse.flow import kernel_flow
from fpcourse.kernels import cao_kernel, empirical_ntk, sphere_eigenvalues, two_layer_ntk
from fpcourse.models import MLP, TwoLayer


def network(name):
    """A model and 1000 inputs."""
    torch.manual_seed(0)
    model, d = {
        "two-layer, m = 4096, d = 1": (TwoLayer(1, 4096), 1),
        "two-layer, m = 4096, d = 10": (TwoLayer(10, 4096), 10),
        "MLP of 4 layers, width 256, d = 10": (MLP([10, 256, 256, 256, 1]), 10),
    }[name]
    return model, torch.randn(1000, d)


def float32_ntk(model, x):
    return empirical_ntk(model, x, dtype=torch.float32)


def whole_jacobian_ntk(model, x):
    """The plain way with torch.func: one Jacobian (n, P) in memory, and its Gram matrix."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def output(parameters, point):
        return torch.func.functional_call(model, parameters, (point[None],))[0, 0]

    rows = torch.func.vmap(torch.func.grad(output), (None, 0))(parameters, x)
    jacobian = torch.cat([row.flatten(1) for row in rows.values()], 1)
    return (jacobian @ jacobian.T).double().numpy()


def sphere(n=2000, d=10):
    x = np.random.default_rng(0).standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def flow_problem(n=2000, n_test=200, last=1e3):
    """A kernel, targets, 100 times from .1 to ``last`` over the largest rate, and 200 test points."""
    x = sphere(n + n_test, 3)
    kernel = two_layer_ntk(x, x[:n], bias=True, trained="both")
    times = np.geomspace(1e-1, last, 100) * 3  # 1 / 3: about the largest rate, an eigenvalue of K / n
    return {"kernel": kernel[:n], "y": x[:n, 0] * x[:n, 1], "times": times, "kernel_test": kernel[n:]}


def ode_flow(kernel, y, times, kernel_test, method):
    """The yardstick: a solver on the joint system, to ten digits. "DOP853" is Runge-Kutta of order 8, whose steps are
    bounded by the largest eigenvalue; "BDF" is implicit, takes steps of any length and factors a matrix for them."""
    n = len(y)
    joint = np.vstack([kernel, kernel_test]) / n
    options = {"method": method, "t_eval": times, "rtol": 1e-10, "atol": 1e-12}
    if method == "BDF":
        options["jac"] = np.hstack([-joint, np.zeros((len(joint), len(kernel_test)))])
    start = np.zeros(len(joint))
    return integrate.solve_ivp(lambda t, u: joint @ (y - u[:n]), (0, times[-1]), start, **options).y[n:].T


def _high_water_mb():
    status = Path("/proc/self/status").read_text()  # ru_maxrss would include the peak of the parent
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024


def _growth(compute, small, large):
    compute(*small)  # loads what the libraries load once
    before = _high_water_mb()
    compute(*large)
    return _high_water_mb() - before


def peak_mb(compute, small, large):
    if sys.platform != "linux":
        return None
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return round(pool.submit(_growth, compute, small, large).result())


NETWORKS = ["two-layer, m = 4096, d = 1", "two-layer, m = 4096, d = 10", "MLP of 4 layers, width 256, d = 10"]
IMPLEMENTATIONS = ["structured_derivatives", "jacobian_contraction"]  # the third, NTK-vector products, takes 33 GB


@pytest.mark.parametrize("compute", [float32_ntk, empirical_ntk, whole_jacobian_ntk], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", NETWORKS)
def test_empirical_ntk(benchmark, name, compute):
    model, x = network(name)
    benchmark.group = f"tangent kernel, n = 1000: {name}"
    benchmark.extra_info["peak_mb"] = peak_mb(compute, (model, x[:2]), (model, x))
    kernel = benchmark.pedantic(compute, (model, x), rounds=5, warmup_rounds=1)
    wanted = empirical_ntk(model, x)
    np.testing.assert_allclose(kernel, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", NETWORKS[1:])
def test_empirical_ntk_by_neural_tangents(benchmark, neural_tangents, name, implementation):
    """Compiled and warm, float32; the benchmark's times contain a message through a pipe, less than a millisecond."""
    model, x = network(name)
    benchmark.group = f"tangent kernel, n = 1000: {name}"
    parameters = [np.ascontiguousarray(p.detach().numpy().T) for p in model.parameters()]
    arrays = neural_tangents.store(name, x.numpy(), *parameters)
    task = f"{'two-layer' if isinstance(model, TwoLayer) else 'mlp'} {implementation}"
    wanted = empirical_ntk(model, x)
    found = neural_tangents.result(task, arrays)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    benchmark.extra_info["peak_mb"] = neural_tangents.peak_mb(task, arrays)
    benchmark.pedantic(neural_tangents.run, (task, arrays), rounds=5, warmup_rounds=1)


INFINITE = "infinite width, both layers, n = 2000, d = {}"


@pytest.mark.parametrize("d", [2, 784])
def test_two_layer_ntk(benchmark, d):
    benchmark.group = INFINITE.format(d)
    x = sphere(d=d)
    benchmark.extra_info["peak_mb"] = peak_mb(_two_layer_ntk, (x[:2],), (x,))
    kernel = benchmark.pedantic(_two_layer_ntk, (x,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["diagonal_error"] = np.abs(np.diag(kernel) / 1.5 - 1).max()


def _two_layer_ntk(x):
    return two_layer_ntk(x, bias=False, trained="both")


@pytest.mark.parametrize("d", [2, 784])
def test_two_layer_ntk_by_the_plain_formula(benchmark, d):
    """arccos of the Gram matrix in numpy."""
    benchmark.group = INFINITE.format(d)
    x = sphere(d=d)
    kernel = benchmark.pedantic(lambda: cao_kernel(np.clip(x @ x.T, -1, 1)), rounds=5, warmup_rounds=1)
    benchmark.extra_info["diagonal_error"] = np.abs(np.diag(kernel) / 1.5 - 1).max()


@pytest.mark.parametrize("d", [2, 784])
def test_bare_matrix_product(benchmark, d):
    """What no kernel of inner products can do without: 2 n^2 d operations."""
    benchmark.group = INFINITE.format(d)
    x = torch.as_tensor(sphere(d=d))
    benchmark.pedantic(lambda: x @ x.T, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("d", [2, 784])
def test_two_layer_ntk_by_neural_tangents(benchmark, neural_tangents, d):
    benchmark.group = INFINITE.format(d)
    x = sphere(d=d)
    arrays = neural_tangents.store(f"sphere {d}", x)
    found = neural_tangents.result("infinite", arrays) / 2
    # Its first layer counts half as much as in ours: t kappa_1 + kappa_2, which is 1 on the diagonal.
    wanted = (_two_layer_ntk(x) + two_layer_ntk(x, bias=False, trained="first")) / 2
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    benchmark.extra_info["diagonal_error"] = np.abs(np.diag(found) - 1).max()
    benchmark.extra_info["peak_mb"] = neural_tangents.peak_mb("infinite", arrays)
    benchmark.pedantic(neural_tangents.run, ("infinite", arrays), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="eigenvalues on the 10-sphere, degrees 0..100")
def test_sphere_eigenvalues(benchmark):
    benchmark(sphere_eigenvalues, cao_kernel, 10, range(101))


@pytest.fixture(scope="module")
def problem():
    return flow_problem()


FLOW = "flow, n = 2000, 200 test points, 100 times"


@pytest.mark.benchmark(group=FLOW)
def test_kernel_flow(benchmark, problem):
    small = tuple(flow_problem(20, 2).values())
    benchmark.extra_info["peak_mb"] = peak_mb(_flow, small, tuple(problem.values()))
    benchmark.pedantic(_flow, tuple(problem.values()), rounds=5, warmup_rounds=1)


def _flow(kernel, y, times, kernel_test):
    return kernel_flow(kernel, y, times, kernel_test=kernel_test).outputs


@pytest.mark.benchmark(group=FLOW)
def test_one_eigendecomposition(benchmark, problem):
    """The same routine that the flow calls."""
    benchmark.pedantic(np.linalg.eigh, (problem["kernel"],), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=FLOW)
def test_kernel_flow_by_neural_tangents(benchmark, neural_tangents, problem):
    arrays = neural_tangents.store("flow", *problem.values())
    found = neural_tangents.result("flow", arrays)
    benchmark.extra_info["error"] = np.abs(found - _flow(**problem)[..., 0]).max()
    benchmark.extra_info["peak_mb"] = neural_tangents.peak_mb("flow", arrays)
    benchmark.pedantic(neural_tangents.run, ("flow", arrays), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=FLOW)
@pytest.mark.parametrize("method", ["DOP853", "BDF"])
def test_ode_solver(benchmark, method):
    """Each over the times where it is the faster of the two."""
    problem = flow_problem(last={"DOP853": 1e3, "BDF": 1e5}[method])
    exact = _flow(**problem)[..., 0]
    solved = benchmark.pedantic(ode_flow, (*problem.values(), method), rounds=1)
    benchmark.extra_info["error"] = np.abs(solved - exact).max()
    np.testing.assert_allclose(solved, exact, atol=1e-8)
