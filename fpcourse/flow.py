"""Gradient flow of the loss L = 1/(2n) sum_i |f(x_i) - y_i|^2: exact for a constant kernel, solved for a network.

While the tangent kernel K is constant, du/dt = -K (u - y) / n is linear, and one eigendecomposition of K / n, Q diag(l)
Q^T gives every time at once: the residual along each eigenvector decays as exp(-lambda t), or as (1 - eta lambda)^step
in steps of size eta, large eigenvalues first (Jacot et al., NeurIPS 2018; Arora et al., ICML 2019). Time is learning
rate times steps everywhere in the package, with no other factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fpcourse._arguments import as_array, as_count, as_points, as_positive, require_same_length
from fpcourse.trajectory import Trajectory

ASYMMETRY = 1e-6  # of the largest entry: what float32 leaves of a symmetric matrix
NEGATIVITY = 1e-5  # of the largest eigenvalue: what float32 leaves of a positive semi-definite one


def kernel_flow(kernel, y, times, *, kernel_test=None, initial=None, initial_test=None, inputs=None) -> Trajectory:
    """Solve du/dt = -K (u - y) / n, u(0) = initial, exactly at all times.

    kernel        (n, n) symmetric positive semi-definite, the same for all c channels; or (n, n, c, c), as
                  :func:`~fpcourse.kernels.empirical_ntk` returns it for c outputs, which couples them
    y             (n, c) or (n,) targets
    times         (T,) strictly increasing, >= 0: t = learning_rate * step of full-batch gradient descent
    kernel_test   (n_test, n), or (n_test, n, c, c): kernel between test and training points. The outputs are then
                  those at the test points, dv/dt = -K_test (u - y) / n, else those at the training points
    initial       (n, c) or (n,) values at t = 0, default 0;  initial_test: (n_test, c) or (n_test,) at the test points.
                  With kernel_test give both or neither
    inputs        the points where the outputs are, for the record

    Eigenvalues up to n * 2.2e-16 of the largest count as zero: along them nothing moves. Losses are
    L = 1/(2n) sum_i |u_i - y_i|^2 over the training points. Raises ValueError for shapes that disagree, a kernel that is not symmetric or has
    an eigenvalue below -1e-5 of the largest, negative times, NaN or inf.
    """
    times = as_array("times", times, ndim=1)
    if times.min() < 0:
        raise ValueError(f"times must be >= 0; got {times.min():g}")
    modes = _modes(kernel, y, kernel_test, initial, initial_test)
    exponents = -times[:, None] * modes.eigenvalues
    done = -np.expm1(exponents)
    if kernel_test is not None:
        done = done * modes.inverse
    losses = np.exp(2 * exponents) @ (modes.gap**2).sum(axis=1) / (2 * modes.n)
    return Trajectory(times, modes.outputs(done), inputs=inputs, losses=losses)


def kernel_descent(
    kernel, y, steps, learning_rate, *, kernel_test=None, initial=None, initial_test=None, inputs=None
) -> Trajectory:
    """Gradient descent in steps of any size: u(s + 1) = u(s) - eta K (u(s) - y) / n, u(0) = initial; times are steps.

    u(s) = y + (I - eta K / n)^s (initial - y), so modes with eta * lambda > 2, lambda an eigenvalue of K / n, grow
    without bound (Arora et al., ICML 2019). The limit eta -> 0 is :func:`kernel_flow` at time eta * s.

    steps           (T,) strictly increasing whole numbers >= 0
    learning_rate   eta > 0

    All else is as in :func:`kernel_flow`. Raises ValueError as it does, and where a growing mode leaves float64.
    """
    steps, learning_rate = as_array("steps", steps, ndim=1), as_positive("learning_rate", learning_rate)
    if (steps != steps.round()).any() or steps.min() < 0:
        raise ValueError(f"steps must be whole numbers >= 0; got {steps}")
    modes = _modes(kernel, y, kernel_test, initial, initial_test)
    part = learning_rate * modes.eigenvalues
    left = (1 - part) ** steps[:, None]
    slow = np.minimum(part, 0.5)  # there 1 - left would cancel
    done = np.where(part < 0.5, -np.expm1(steps[:, None] * np.log1p(-slow)), 1 - left)
    if kernel_test is not None:
        done = done * modes.inverse
    losses = left**2 @ (modes.gap**2).sum(axis=1) / (2 * modes.n)
    return Trajectory(steps, modes.outputs(done), inputs=inputs, losses=losses)


def interpolant(kernel, y, kernel_test, *, initial=None, initial_test=None) -> np.ndarray:
    """The limit t -> inf of :func:`kernel_flow` at the test points, (n_test, c) float64.

    initial_test + K_test K^+ (y - initial): of all functions through the data the one nearest to the initial function,
    in the norm of the kernel's Hilbert space. Arguments, null eigenvalues and errors as in :func:`kernel_flow`.
    """
    modes = _modes(kernel, y, as_array("kernel_test", kernel_test), initial, initial_test)
    return modes.outputs(modes.inverse[None])[0]


def rates(kernel) -> np.ndarray:
    """The rates of the flow, largest first: eigenvalues (n,), or (n * c,), of K / n for a kernel (n, n) or (n, n, c, c).

    For points drawn evenly from a measure of total mass one they tend to the eigenvalues of the integral operator of
    the kernel as n grows, such as :func:`~fpcourse.kernels.sphere_eigenvalues`.
    """
    kernel = as_array("kernel", kernel, ndim=(2, 4))
    return np.linalg.eigvalsh(as_matrix(kernel) / len(kernel))[::-1]


def gradient_flow(
    model, x, y, times, *, centred: bool = False, method: str = "LSODA", rtol: float = 1e-6
) -> Trajectory:
    """Follow d theta/dt = -dL/dtheta from the present parameters of ``model``, in steps as long as accuracy allows.

    Gradient descent with rate eta in the limit of small steps, t = eta * step; scipy's solvers need few steps where
    nothing happens, so that long plateaus cost little.

    model     any torch module, x (n, ...) -> (n, c); it is copied in float64, on its device, and stays as it is
    x, y      (n, ...) and (n, c); vectors count as one column
    times     (T,) increasing, >= 0
    centred   follow h = f - f_0, what training adds to the initial function, in place of f (Chizat, Oyallon, Bach,
              NeurIPS 2019)
    method    of ``scipy.integrate.solve_ivp``: "LSODA" for up to some hundred parameters (it takes stiff problems,
              with a matrix of their square); "RK23" for wide networks
    rtol      relative error of a step

    Returns outputs, losses and parameters at these times, float64. Raises ValueError for times that do not increase and
    RuntimeError where the solver gives up.
    """
    from scipy.integrate import solve_ivp

    from fpcourse.training import SquareLoss  # torch: the rest of this module does without

    times = as_array("times", times, ndim=1)
    if times[0] < 0 or times[-1] == 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"times must increase strictly, from 0 on and beyond it; got {times[0]:g} to {times[-1]:g}")
    loss = SquareLoss(model, x, y)
    start = loss.outputs(loss.start) if centred else 0.0
    loss.y = loss.y + start
    solved = solve_ivp(
        lambda _, theta: -loss.gradient(theta), (0.0, times[-1]), loss.start, method=method, t_eval=times, rtol=rtol,
        atol=rtol * 1e-4,
    )  # fmt: skip
    if not solved.success:
        raise RuntimeError(f"the gradient flow stopped at t = {solved.t[-1]:.3g}: {solved.message}")
    rows = np.transpose(solved.y)
    outputs = [(loss.outputs(theta) - start).cpu().numpy() for theta in rows]
    losses = [loss.value(theta) for theta in rows]
    return Trajectory(times, np.stack(outputs), loss.x.cpu().numpy(), np.array(losses), rows)


def box_frequencies(period: float, largest: float, *, dim: int = 1) -> np.ndarray:
    """The frequencies of functions on a periodic box: all k / period, k in Z^dim, with 0 < |k / period| <= largest.

    Returns float64 (K, dim), with each frequency its negative. Raises ValueError where none is small enough.
    """
    period, largest = as_positive("period", period), as_positive("largest", largest)
    dim, reach = as_count("dim", dim), int(period * largest * (1 + 1e-12))
    if reach == 0:
        raise ValueError(f"largest must be at least 1 / period = {1 / period:g}; got {largest:g}")
    axes = np.meshgrid(*[np.arange(-reach, reach + 1)] * dim, indexing="ij")
    k = np.stack([axis.ravel() for axis in axes], axis=1)
    length = (k**2).sum(axis=1)
    return k[(length > 0) & (length <= (period * largest) ** 2 * (1 + 1e-12))] / period


def spectral_kernel(x1, x2=None, *, frequencies, spectrum) -> np.ndarray:
    """K(x, x') = sum over the given frequencies of spectrum * cos(2 pi frequency.(x - x')), (n1, n2) float64.

    x1, x2        (n1, d) and (n2, d) points; vectors count as d = 1; x2 defaults to x1
    frequencies   (K, d) in cycles per unit of x, or (K,) for d = 1; with their negatives, as from
                  :func:`box_frequencies`, the sum is that of spectrum * e^(2 pi i frequency.(x - x'))
    spectrum      (K,) weights >= 0, so that the kernel is positive semi-definite (Bochner)

    The sum is over what is given and no more: of a law like :func:`~fpcourse.kernels.lfp_spectrum` all that lies
    beyond the largest frequency is cut off. Raises ValueError for shapes that disagree and negative weights.
    """
    a = as_points("x1", x1)
    b = a if x2 is None else as_points("x2", x2)
    k, spectrum = as_points("frequencies", frequencies), as_array("spectrum", spectrum, ndim=1)
    require_same_length("frequencies", k, "spectrum", spectrum)
    if not a.shape[1] == b.shape[1] == k.shape[1]:
        raise ValueError(
            f"x1, x2 and frequencies must have the same dimension; got shapes {a.shape}, {b.shape}, {k.shape}"
        )
    if (spectrum < 0).any():
        raise ValueError(f"spectrum must be >= 0; got values down to {spectrum.min():g}")
    phase_a, phase_b = 2 * np.pi * a @ k.T, 2 * np.pi * b @ k.T
    return (np.cos(phase_a) * spectrum) @ np.cos(phase_b).T + (np.sin(phase_a) * spectrum) @ np.sin(phase_b).T


def lfp_flow(x, y, times, *, frequencies, spectrum, x_test=None, initial=None, initial_test=None) -> Trajectory:
    """The linear frequency principle on sampled data, exactly: each frequency of h moves at the rate of its spectrum,

    d/dt h^(xi) = -spectrum(xi) (h_p^ - y_p^)(xi),  (h_p^ - y_p^)(xi) = 1/n sum_i (h(x_i) - y_i) e^(-2 pi i xi.x_i).

    The right side knows the error at the n samples only: frequencies that agree there are mistaken for each other
    (aliasing). It is a kernel flow, with :func:`spectral_kernel`.

    x, y          (n, d) or (n,) points and (n, c) or (n,) targets
    times         (T,) strictly increasing, >= 0
    frequencies   (K, d) or (K,) in cycles per unit of x, with their negatives: :func:`box_frequencies`
    spectrum      (K,) >= 0, such as kernels.lfp_spectrum times what turns the sum into an integral: rate / period^d
    x_test        where to take the outputs, (n_test, d) or (n_test,); default x
    initial, initial_test   as in :func:`kernel_flow`

    The mean of h. Where the frequencies hold 0, its spectrum is its rate (0: the mean never moves). Where they do not,
    the mean is free, the limit of an infinite rate, in which the law of networks ends as xi -> 0: at every time, 0
    included, it is set to what brings the mean error over the samples to zero.

    Losses are those of :func:`kernel_flow`. Raises ValueError as spectral_kernel and kernel_flow do. Source: Zhang et al.
    (Chinese Phys. Lett. 38, 2021); Luo et al. (SIMODS 4, 2022).
    """
    problem = _lfp(x, y, x_test, frequencies, spectrum, initial, initial_test)
    return kernel_flow(times=times, inputs=x if x_test is None else x_test, **problem)


def lfp_interpolant(x, y, x_test, *, frequencies, spectrum, initial=None, initial_test=None) -> np.ndarray:
    """The limit t -> inf of :func:`lfp_flow` at the test points, (n_test, c) float64; arguments as there.

    Of all functions through the data (with these frequencies) the one that differs from the initial function by the
    least FP-norm, (sum |h^(xi)|^2 / spectrum(xi))^(1/2); a free mean costs nothing (Luo et al. 2022).
    """
    x_test = as_points("x_test", x_test)
    return interpolant(**_lfp(x, y, x_test, frequencies, spectrum, initial, initial_test))


def _lfp(x, y, x_test, frequencies, spectrum, initial, initial_test) -> dict:
    """The kernel flow that is the LFP flow: arguments of :func:`kernel_flow` and :func:`interpolant`."""
    x, y, frequencies = as_points("x", x), as_points("y", y), as_points("frequencies", frequencies)
    require_same_length("x", x, "y", y)
    places = {"kernel": x} if x_test is None else {"kernel": x, "kernel_test": as_points("x_test", x_test)}
    parts = {name: spectral_kernel(at, x, frequencies=frequencies, spectrum=spectrum) for name, at in places.items()}
    start, start_test = _starts(y, parts.get("kernel_test"), initial, initial_test)
    if frequencies.any(axis=1).all():  # none is 0: the mean is free, and what is left of the kernel is centred
        shift, mean = (y - start).mean(axis=0), parts["kernel"].mean(axis=0)
        start, start_test = start + shift, None if start_test is None else start_test + shift
        parts = {name: part - mean for name, part in parts.items()}
        parts = {name: part - part.mean(axis=1, keepdims=True) for name, part in parts.items()}
    return {"y": y, "initial": start, "initial_test": start_test, **parts}


def loss_flow(
    kernel, gradient, until, *, initial=None, target=None, tolerance: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """The flow of any loss 1/n sum_i l(u_i): d alpha/dt = -gradient(u) / n, u = initial + K alpha, from alpha = 0.

    A linear model moves by theta - theta_0 = J^T alpha, J its gradients at the training points and K = J J^T. So its
    outputs are initial_test + K_test alpha anywhere, and |theta - theta_0|^2 = alpha^T K alpha.

    kernel    (n, n) symmetric positive semi-definite
    gradient  u (n,) -> (n,), the derivatives l'(u_i); u - y belongs to the loss of :func:`kernel_flow`
    until     last time; with ``target`` (n,) the flow ends before, where all |u - target| < tolerance
    initial   (n,) outputs at t = 0, default 0

    Returns times (T,), as dense as the solver found it necessary, and alpha (T, n), right to about 1e-5 of the outputs.
    Stiff problems and times of 1e15 are no trouble. Raises ValueError for shapes that disagree and where the solver
    fails. Zhang et al. (MSML 2020) say which losses lead to the same limit.
    """
    from scipy.integrate import solve_ivp

    kernel, until = as_array("kernel", kernel, ndim=2), as_positive("until", until)
    if kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"kernel must be square; got {kernel.shape}")
    start = np.zeros(len(kernel)) if initial is None else as_array("initial", initial, ndim=1)
    require_same_length("initial", start, "kernel", kernel)
    if not callable(gradient):
        raise ValueError(f"gradient must be a function of u; got {type(gradient).__name__}")
    scale = np.trace(kernel)  # the solver's unknown is scale * alpha, of the size of the outputs

    def velocity(t, scaled):
        return -scale / len(kernel) * as_array("gradient(u)", gradient(start + kernel @ scaled / scale), ndim=1)

    def arrival(t, scaled):
        return np.abs(start + kernel @ scaled / scale - target).max() - tolerance

    arrival.terminal = True
    if target is not None:
        target, tolerance = as_array("target", target, ndim=1), as_positive("tolerance", tolerance)
        require_same_length("target", target, "kernel", kernel)
    options = {"method": "BDF", "rtol": 1e-6, "atol": 1e-9, "events": None if target is None else arrival}
    found = solve_ivp(velocity, (0.0, until), np.zeros(len(kernel)), **options)
    if not found.success:
        raise ValueError(f"the flow could not be followed beyond t = {found.t[-1]:.3g}: {found.message}")
    return found.t, found.y.T / scale


def decay_rate(residual, times, until) -> float | np.ndarray:
    """Rate lambda of the exponential e^(-lambda t) fitted to a residual by least squares on its logarithm.

    residual  (T,) or (T, K), no zeros within the fit; only its size counts
    times     (T,)
    until     fit over 0 <= t <= until, a number, or (K,). 2.5 / lambda is a good length: early slopes of a real
              network mislead, and late residuals are what the coupling of the modes has left

    The measured counterpart of an eigenvalue in :func:`kernel_flow`. Returns a float or (K,). Raises ValueError where
    fewer than two times lie within the fit or the residual vanishes there.
    """
    residual, times = as_array("residual", residual, ndim=(1, 2)), as_array("times", times, ndim=1)
    require_same_length("residual", residual, "times", times)
    until = as_array("until", until, ndim=(0, 1))
    columns = np.abs(residual.reshape(len(times), -1))
    if until.ndim and until.shape != columns.shape[1:]:
        raise ValueError(f"until must be a number or of shape {columns.shape[1:]}; got {until.shape}")
    rates = np.empty(columns.shape[1])
    for i, end in enumerate(np.broadcast_to(until, rates.shape)):
        within = (times >= 0) & (times <= end)
        if len(np.unique(times[within])) < 2 or not columns[within, i].all():
            raise ValueError(f"a fit needs two times up to {end:g} and a residual that is not 0 there")
        rates[i] = -np.polyfit(times[within], np.log(columns[within, i]), 1)[0]
    return rates if residual.ndim == 2 else float(rates[0])


def as_matrix(kernel: np.ndarray) -> np.ndarray:
    """A kernel (n1, n2) as it is; (n1, n2, c, c) as one matrix (n1 * c, n2 * c) that acts on all outputs at once."""
    if kernel.ndim == 2:
        return kernel
    n1, n2, c, _ = kernel.shape
    return kernel.transpose(0, 2, 1, 3).reshape(n1 * c, n2 * c)


@dataclass(frozen=True)
class _Modes:
    """The flow in the eigenbasis of the kernel. N = n modes, or n * c where the kernel couples the channels."""

    n: int  # training points
    eigenvalues: np.ndarray  # (N,) of K / n, null ones exactly 0
    maps: tuple[np.ndarray, ...]  # their product (N_out, N) takes the modes to the points of the outputs
    gap: np.ndarray  # (N, columns): y - initial in the eigenbasis
    start: np.ndarray  # (n_out, c): outputs at t = 0

    @property
    def inverse(self) -> np.ndarray:
        """1 / lambda, and 0 along null directions: K_test vanishes there as well, but for rounding."""
        alive = self.eigenvalues > 0
        return alive / np.where(alive, self.eigenvalues, 1.0)

    def outputs(self, done: np.ndarray) -> np.ndarray:
        """(T, n_out, c), when each mode has gone the part ``done`` (T, N) of its gap; one product for all times."""
        parts = (done.T[:, :, None] * self.gap[:, None]).reshape(len(self.gap), -1)
        moved = np.linalg.multi_dot([*self.maps, parts])  # in the cheapest order
        moved = moved.reshape(len(moved), len(done), -1).transpose(1, 0, 2)
        return self.start + moved.reshape(len(done), *self.start.shape)


def _modes(kernel, y, kernel_test, initial, initial_test) -> _Modes:
    y = as_points("y", y)
    n, c = y.shape
    kernel = as_array("kernel", kernel, ndim=(2, 4))
    if kernel.shape not in ((n, n), (n, n, c, c)):
        raise ValueError(f"for y {y.shape} kernel must be square, {(n, n)} or {(n, n, c, c)}; got {kernel.shape}")
    if kernel_test is not None:
        kernel_test = as_array("kernel_test", kernel_test, ndim=kernel.ndim)
        if kernel_test.shape[1:] != kernel.shape[1:]:
            raise ValueError(f"kernel_test must be (n_test, *{kernel.shape[1:]}); got {kernel_test.shape}")
    initial, initial_test = _starts(y, kernel_test, initial, initial_test)
    start = initial if kernel_test is None else initial_test

    matrix = as_matrix(kernel) / n
    asymmetry = (matrix - matrix.T).max()
    if asymmetry > ASYMMETRY * np.abs(matrix).max():
        raise ValueError(f"kernel must be symmetric; entries differ from the transposed ones by up to {asymmetry:.3g}")
    eigenvalues, vectors = np.linalg.eigh(matrix)
    low, high = eigenvalues[0], eigenvalues[-1]
    if low < -NEGATIVITY * abs(high):
        raise ValueError(f"kernel must be positive semi-definite; its eigenvalues go from {low:.3g} to {high:.3g}")
    eigenvalues[eigenvalues <= len(matrix) * np.finfo(float).eps * high] = 0.0
    gap = vectors.T @ (y - initial).reshape(len(matrix), -1)
    maps = (vectors,) if kernel_test is None else (as_matrix(kernel_test) / n, vectors)
    return _Modes(n, eigenvalues, maps, gap, start)


def _starts(y: np.ndarray, kernel_test: np.ndarray | None, initial, initial_test):
    """(initial (n, c), initial_test (n_test, c) or None where there are no test points); 0 where not given."""
    if kernel_test is None:
        if initial_test is not None:
            raise ValueError(
                "initial_test needs kernel_test or x_test; without, the outputs are at the training points"
            )
        return _values("initial", initial, *y.shape), None
    if (initial is None) != (initial_test is None):
        raise ValueError("initial and initial_test are one function at two sets of points; give both or neither")
    return _values("initial", initial, *y.shape), _values("initial_test", initial_test, len(kernel_test), y.shape[1])


def _values(name: str, value, n: int, c: int) -> np.ndarray:
    if value is None:
        return np.zeros((n, c))
    value = as_points(name, value)
    if value.shape != (n, c):
        raise ValueError(f"{name} must have shape {(n, c)}; got {value.shape}")
    return value
