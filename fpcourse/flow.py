"""Gradient flow of the loss ``1/(2n) sum_i |f(x_i) - y_i|^2``: exact for a constant kernel, solved for a network.

While the tangent kernel K is constant, ``du/dt = -K (u - y) / n`` is linear, and one eigendecomposition of K / n gives
every time at once: the residual along an eigenvector decays as ``exp(-lambda t)``, or as ``(1 - eta lambda)^step`` in
steps of size eta, large eigenvalues first. Time is learning rate times steps everywhere in the package.

References
----------
Jacot, Gabriel, Hongler, NeurIPS 2018; Arora, Du, Hu, Li, Wang, ICML 2019 (constant kernels); Zhang, Luo, Ma, Xu, Chin.
Phys. Lett. 38, 2021; Luo, Ma, Xu, Zhang, SIMODS 4, 2022 (the linear frequency principle, LFP); Zhang, Xu, Luo, Ma, MSML
2020 (other losses); Chizat, Oyallon, Bach, NeurIPS 2019 (centring).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fpcourse._arguments import as_array, as_count, as_points, as_positive, require_same_length
from fpcourse.trajectory import Trajectory

if TYPE_CHECKING:
    import torch
    from torch import nn

ASYMMETRY = 1e-6  # of the largest entry: what float32 leaves of a symmetric matrix
NEGATIVITY = 1e-5  # of the largest eigenvalue: what float32 leaves of a positive semi-definite one


def kernel_flow(
    kernel: ArrayLike,
    y: ArrayLike,
    times: ArrayLike,
    *,
    kernel_test: ArrayLike | None = None,
    initial: ArrayLike | None = None,
    initial_test: ArrayLike | None = None,
    inputs: ArrayLike | None = None,
) -> Trajectory:
    """Solve ``du/dt = -K (u - y) / n``, u(0) = initial, exactly at all times; losses are L over the training points.

    Parameters
    ----------
    kernel : array_like
        (n, n) symmetric positive semi-definite, the same for all c channels; or (n, n, c, c), as
        :func:`~fpcourse.kernels.empirical_ntk` returns it, which couples them. Along eigenvalues up to n * 2.2e-16 of
        the largest nothing moves.
    y : array_like
        (n, c) or (n,) targets.
    times : array_like
        (T,) strictly increasing, >= 0: learning rate * step of full-batch gradient descent.
    kernel_test : array_like, optional
        (n_test, n) or (n_test, n, c, c), between test and training points. With it the outputs are those at the test
        points, ``dv/dt = -K_test (u - y) / n``, else those at the training points.
    initial, initial_test : array_like, optional
        Outputs at t = 0, (n, c) and (n_test, c), default 0; with kernel_test both or neither.
    inputs : array_like, optional
        The points of the outputs, for the record.

    Raises
    ------
    ValueError
        If shapes disagree, or the kernel is not symmetric or has an eigenvalue below -1e-5 of the largest.

    Examples
    --------
    >>> run = kernel_flow(np.diag([2.0, 1.0]), [1.0, 1.0], [0.0, 1.0])  # rates 1 and 1/2
    >>> run.outputs[:, :, 0].round(4)  # 1 - exp(-t) and 1 - exp(-t / 2)
    array([[0.    , 0.    ],
           [0.6321, 0.3935]])
    """
    times = _increasing(times)
    modes = _modes(kernel, y, kernel_test, initial, initial_test)
    exponents = -times[:, None] * modes.eigenvalues / modes.n
    return modes.trajectory(times, np.exp(exponents), -np.expm1(exponents), inputs)


def kernel_descent(
    kernel: ArrayLike,
    y: ArrayLike,
    steps: ArrayLike,
    learning_rate: float,
    *,
    kernel_test: ArrayLike | None = None,
    initial: ArrayLike | None = None,
    initial_test: ArrayLike | None = None,
    inputs: ArrayLike | None = None,
) -> Trajectory:
    """Follow gradient descent of any step size, ``u(s+1) = u(s) - eta K (u(s) - y) / n``, u(0) = initial.

    Its solution is ``u(s) = y + (I - eta K / n)^s (initial - y)``: modes with eta * lambda > 2 grow without bound. The
    limit eta -> 0 is :func:`kernel_flow` at time eta * s; the other arguments are as there.

    Parameters
    ----------
    steps : array_like of int
        (T,) strictly increasing, >= 0; the times of the trajectory.
    learning_rate : float
        eta > 0.

    Examples
    --------
    >>> kernel_descent([[1.0]], [1.0], [0, 1, 2, 3], 0.5).outputs[:, 0, 0]
    array([0.   , 0.5  , 0.75 , 0.875])
    """
    steps, learning_rate = as_array("steps", steps, ndim=1), as_positive("learning_rate", learning_rate)
    if (steps != steps.round()).any() or steps.min() < 0:
        raise ValueError(f"steps must be whole numbers >= 0; got {steps}")
    modes = _modes(kernel, y, kernel_test, initial, initial_test)
    part = learning_rate * modes.eigenvalues / modes.n
    left = (1 - part) ** steps[:, None]
    slow = np.minimum(part, 0.5)  # there 1 - left would cancel
    done = np.where(part < 0.5, -np.expm1(steps[:, None] * np.log1p(-slow)), 1 - left)
    return modes.trajectory(steps, left, done, inputs)


def interpolant(
    kernel: ArrayLike,
    y: ArrayLike,
    kernel_test: ArrayLike,
    *,
    initial: ArrayLike | None = None,
    initial_test: ArrayLike | None = None,
) -> np.ndarray:
    """Return the limit t -> inf of :func:`kernel_flow` at the test points, (n_test, c).

    It is ``initial_test + K_test K^+ (y - initial)``: of all functions through the data the one nearest to the initial
    function in the norm of the kernel's Hilbert space. Arguments are as in :func:`kernel_flow`.

    Examples
    --------
    >>> interpolant(np.eye(2), [1.0, 3.0], [[0.5, 0.5]])
    array([[2.]])
    """
    modes = _modes(kernel, y, as_array("kernel_test", kernel_test), initial, initial_test)
    return modes.outputs(np.ones((1, len(modes.gap))))[0]


def learnability(
    eigenvalues: ArrayLike, n: int, *, multiplicities: ArrayLike | None = None, ridge: float = 0.0
) -> np.ndarray:
    """Return the fraction of each mode that :func:`interpolant` is expected to learn from n random samples.

    It is ``lambda / (lambda + kappa)``; the budget ``sum of multiplicity * learnability + ridge / kappa = n`` fixes
    kappa. An estimate for n and the number of modes large, in which the values of a mode at the samples count as
    independent of those of the other modes; on the circle they are not.

    Parameters
    ----------
    eigenvalues : array_like
        (K,) >= 0, of the kernel's integral operator, such as :func:`~fpcourse.kernels.sphere_eigenvalues`.
    n : int
        Number of samples. Without ridge, n >= the number of modes with positive eigenvalue learns all of them.
    multiplicities : array_like, optional
        (K,) modes with each eigenvalue, default 1.
    ridge : float
        delta >= 0 of ``K_test (K + delta I)^-1 y``. Modes that are left out act as a ridge of the sum of their
        eigenvalues, if these are far below kappa.

    Returns
    -------
    ndarray
        (K,) in [0, 1].

    References
    ----------
    Simon, Dickens, Karkada, DeWeese, TMLR 2023; the same kappa in Bordelon, Canatar, Pehlevan, ICML 2020.

    Examples
    --------
    >>> learnability([2.0, 1.0], 1).round(4)  # kappa = sqrt 2; one sample is shared by two modes
    array([0.5858, 0.4142])
    >>> learnability([1.0, 0.0], 3)
    array([1., 0.])
    """
    eigenvalues, n = as_array("eigenvalues", eigenvalues, ndim=1), as_count("n", n)
    ridge = as_positive("ridge", ridge, zero_allowed=True)
    count = np.ones(len(eigenvalues)) if multiplicities is None else as_array("multiplicities", multiplicities, ndim=1)
    require_same_length("eigenvalues", eigenvalues, "multiplicities", count)
    if eigenvalues.min() < 0 or count.min() < 0:
        raise ValueError("eigenvalues and multiplicities must be >= 0")
    positive = eigenvalues > 0
    modes = count[positive].sum()
    if ridge == 0 and modes <= n:
        return positive.astype(float)
    from scipy.optimize import brentq

    def excess(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return count @ (eigenvalues / (eigenvalues + kappa)) + ridge / kappa - n

    # between: as if all eigenvalues were the least one, or 0; and learnability at most lambda / kappa
    least = ridge / n if ridge else eigenvalues[positive].min() * (modes / n - 1)
    largest = (count @ eigenvalues + ridge) / n
    kappa = np.exp(brentq(excess, np.log(least) - 1, np.log(largest) + 1, xtol=1e-13))
    return eigenvalues / (eigenvalues + kappa)


def rates(kernel: ArrayLike) -> np.ndarray:
    """Return the rates of the flow, largest first: the eigenvalues of K / n, (n,) or (n * c,).

    For points drawn from a measure of total mass one they tend to the eigenvalues of the kernel's integral operator as
    n grows, such as :func:`~fpcourse.kernels.sphere_eigenvalues`. The kernel is (n, n) or (n, n, c, c).

    Examples
    --------
    >>> rates(np.ones((4, 4))).round(6) + 0.0  # the constant function is learned at rate 1
    array([1., 0., 0., 0.])
    """
    kernel = as_array("kernel", kernel, ndim=(2, 4))
    return np.linalg.eigvalsh(as_matrix(kernel) / len(kernel))[::-1]


def as_matrix(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel (n1, n2, c, c) as one matrix (n1 * c, n2 * c) on all outputs; (n1, n2) stays as it is.

    Examples
    --------
    >>> as_matrix(np.ones((3, 2, 4, 4))).shape
    (12, 8)
    """
    if kernel.ndim == 2:
        return kernel
    n1, n2, c, _ = kernel.shape
    return kernel.transpose(0, 2, 1, 3).reshape(n1 * c, n2 * c)


def gradient_flow(
    model: nn.Module,
    x: ArrayLike,
    y: ArrayLike,
    times: ArrayLike,
    *,
    centred: bool = False,
    method: str = "LSODA",
    rtol: float = 1e-6,
    dtype: torch.dtype | None = None,
) -> Trajectory:
    """Follow ``d theta/dt = -dL/dtheta`` from the present parameters of ``model``, the limit of small steps.

    Time is learning rate * step. Steps are as long as accuracy allows, so that plateaus cost little. The trajectory has
    losses and all parameters.

    Parameters
    ----------
    model : nn.Module
        (n, ...) -> (n, c). It is copied, on its device, and stays as it is.
    x, y : array_like
        (n, ...) inputs and (n, c) targets; vectors count as one column.
    times : array_like
        (T,) strictly increasing, >= 0.
    centred : bool
        Follow ``h = f - f_0``, what training adds to the initial function, in place of f.
    method, rtol : str, float
        Of ``scipy.integrate.solve_ivp``; rtol is the relative error of a step. "LSODA" takes stiff problems and suits
        up to some hundred parameters P, since it stores a matrix (P, P); "RK23", rtol about 1e-3, suits wide networks.
    dtype : torch.dtype, optional
        Of the network, float64 by default. torch.float32 halves the time, and rtol >= 1e-4 asks for no more.

    Raises
    ------
    RuntimeError
        If the solver gives up.

    Examples
    --------
    >>> from fpcourse.models import MLP, with_parameters
    >>> run = gradient_flow(with_parameters(MLP([1, 1]), [0.0, 0.0]), [1.0, -1.0], [2.0, -2.0], [1.0])
    >>> run.outputs[0, :, 0].round(4)  # the slope has rate 1: 2 (1 - exp(-t))
    array([ 1.2642, -1.2642])
    """
    from scipy.integrate import solve_ivp

    from fpcourse.training import SquareLoss, square_loss  # torch: the rest of this module does without

    times, precision = _increasing(times), {} if dtype is None else {"dtype": dtype}
    loss = SquareLoss(model, x, y, **precision)
    start = loss.outputs(loss.start) if centred else 0.0
    loss.y = loss.y + start
    solver = {"method": method, "t_eval": times, "rtol": rtol, "atol": 1e-4 * rtol}
    solved = solve_ivp(lambda _, theta: -loss.gradient(theta), (0.0, times[-1]), loss.start, **solver)
    if not solved.success:
        raise RuntimeError(f"the gradient flow stopped at t = {solved.t[-1]:.3g}: {solved.message}")
    rows = np.transpose(solved.y)
    outputs = [loss.outputs(theta) for theta in rows]
    losses = [float(square_loss(each, loss.y)) for each in outputs]
    outputs = np.stack([(each - start).cpu().numpy() for each in outputs])
    return Trajectory(times, outputs, loss.x.cpu().numpy(), np.array(losses), rows)


def box_frequencies(period: float, largest: float, *, dim: int = 1) -> np.ndarray:
    """Return the frequencies k / period, k in Z^dim, of functions on a periodic box, up to the length ``largest``.

    They are (K, dim), without 0, and with each frequency its negative.

    Examples
    --------
    >>> box_frequencies(period=2.0, largest=1.0)[:, 0]
    array([-1. , -0.5,  0.5,  1. ])
    """
    period, largest = as_positive("period", period), as_positive("largest", largest)
    dim, reach = as_count("dim", dim), int(period * largest * (1 + 1e-12))
    if reach == 0:
        raise ValueError(f"largest must be at least 1 / period = {1 / period:g}; got {largest:g}")
    axes = np.meshgrid(*[np.arange(-reach, reach + 1)] * dim, indexing="ij")
    k = np.stack([axis.ravel() for axis in axes], axis=1)
    length = (k**2).sum(axis=1)
    return k[(length > 0) & (length <= (period * largest) ** 2 * (1 + 1e-12))] / period


def spectral_kernel(
    x1: ArrayLike, x2: ArrayLike | None = None, *, frequencies: ArrayLike, spectrum: ArrayLike
) -> np.ndarray:
    """Return ``K(x, x') = sum_xi spectrum(xi) cos(2 pi xi . (x - x'))`` over the given frequencies, (n1, n2).

    Parameters
    ----------
    x1, x2 : array_like
        (n1, d) and (n2, d) points; vectors count as d = 1. x2 defaults to x1.
    frequencies : array_like
        (K, d), or (K,) for d = 1, in cycles per unit of x. With their negatives, as from :func:`box_frequencies`, the
        sum is that of ``spectrum e^(2 pi i xi . (x - x'))``.
    spectrum : array_like
        (K,) weights >= 0, so that the kernel is positive semi-definite (Bochner).

    Examples
    --------
    >>> spectral_kernel([0.0, 0.25], frequencies=[-1.0, 1.0], spectrum=[0.5, 0.5]).round(6) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    a = as_points("x1", x1)
    b = a if x2 is None else as_points("x2", x2)
    k, spectrum = as_points("frequencies", frequencies), as_array("spectrum", spectrum, ndim=1)
    require_same_length("frequencies", k, "spectrum", spectrum)
    if not a.shape[1] == b.shape[1] == k.shape[1]:
        shapes = f"{a.shape}, {b.shape}, {k.shape}"
        raise ValueError(f"x1, x2 and frequencies must have the same dimension; got shapes {shapes}")
    if spectrum.min() < 0:
        raise ValueError(f"spectrum must be >= 0; got values down to {spectrum.min():g}")
    phase_a, phase_b = 2 * np.pi * a @ k.T, 2 * np.pi * b @ k.T
    return (np.cos(phase_a) * spectrum) @ np.cos(phase_b).T + (np.sin(phase_a) * spectrum) @ np.sin(phase_b).T


def lfp_flow(
    x: ArrayLike,
    y: ArrayLike,
    times: ArrayLike,
    *,
    frequencies: ArrayLike,
    spectrum: ArrayLike,
    x_test: ArrayLike | None = None,
    initial: ArrayLike | None = None,
    initial_test: ArrayLike | None = None,
) -> Trajectory:
    """Solve the linear frequency principle on sampled data exactly: each frequency moves at the rate of its spectrum.

    ``dh^(xi)/dt = -spectrum(xi) e(xi)``, ``e(xi) = 1/n sum_i (h(x_i) - y_i) e^(-2 pi i xi . x_i)``, does not tell apart
    frequencies that agree on the samples (aliasing). It is the kernel flow of :func:`spectral_kernel`. If 0 is one of
    the frequencies, its spectrum is the rate of the mean of h. If not, the mean is free, the limit of an infinite rate,
    in which the law of networks ends as xi -> 0: at every time it cancels the mean error over the samples.

    Parameters
    ----------
    x, y : array_like
        (n, d) or (n,) points and (n, c) or (n,) targets.
    times : array_like
        (T,) strictly increasing, >= 0.
    frequencies : array_like
        (K, d) or (K,) in cycles per unit of x, with their negatives: :func:`box_frequencies`.
    spectrum : array_like
        (K,) >= 0: :func:`~fpcourse.kernels.lfp_spectrum` times its factor, over period^d if the sum is an integral.
    x_test : array_like, optional
        Where to take the outputs, (n_test, d) or (n_test,). Default: x.
    initial, initial_test : array_like, optional
        As in :func:`kernel_flow`.

    Examples
    --------
    >>> x = np.arange(4) / 4
    >>> run = lfp_flow(x, np.cos(2 * np.pi * x), [1.0], frequencies=[-1.0, 1.0], spectrum=[2.0, 2.0])
    >>> run.outputs[0, 0, 0].round(4).item()  # 1 - exp(-2 t)
    0.8647
    """
    problem = _lfp(x, y, x_test, frequencies, spectrum, initial, initial_test)
    return kernel_flow(times=times, inputs=x if x_test is None else x_test, **problem)


def lfp_interpolant(
    x: ArrayLike,
    y: ArrayLike,
    x_test: ArrayLike,
    *,
    frequencies: ArrayLike,
    spectrum: ArrayLike,
    initial: ArrayLike | None = None,
    initial_test: ArrayLike | None = None,
) -> np.ndarray:
    """Return the limit t -> inf of :func:`lfp_flow` at the test points, (n_test, c); arguments as there.

    Of all functions through the data with these frequencies it differs from the initial function by the least FP-norm,
    ``(sum |h^(xi)|^2 / spectrum(xi))^(1/2)``. A free mean costs nothing.

    Examples
    --------
    >>> lfp_interpolant([0.0, 0.5], [1.0, -1.0], [0.25], frequencies=[-1.0, 1.0], spectrum=[1.0, 1.0]).round(6) + 0.0
    array([[0.]])
    """
    x_test = as_points("x_test", x_test)
    return interpolant(**_lfp(x, y, x_test, frequencies, spectrum, initial, initial_test))


def _lfp(
    x: ArrayLike,
    y: ArrayLike,
    x_test: ArrayLike | None,
    frequencies: ArrayLike,
    spectrum: ArrayLike,
    *starts: ArrayLike,
) -> dict[str, np.ndarray | None]:
    """Return the arguments of the :func:`kernel_flow` and :func:`interpolant` that are the LFP flow and its limit."""
    x, y, frequencies = as_points("x", x), as_points("y", y), as_points("frequencies", frequencies)
    require_same_length("x", x, "y", y)
    places = {"kernel": x} if x_test is None else {"kernel": x, "kernel_test": as_points("x_test", x_test)}
    parts = {name: spectral_kernel(at, x, frequencies=frequencies, spectrum=spectrum) for name, at in places.items()}
    start, start_test = _starts(y, parts.get("kernel_test"), *starts)
    if frequencies.any(axis=1).all():  # none is 0: the mean is free, and what is left of the kernel is centred
        shift, mean = (y - start).mean(axis=0), parts["kernel"].mean(axis=0)
        start, start_test = start + shift, None if start_test is None else start_test + shift
        parts = {name: part - mean for name, part in parts.items()}
        parts = {name: part - part.mean(axis=1, keepdims=True) for name, part in parts.items()}
    return {"y": y, "initial": start, "initial_test": start_test, **parts}


def loss_flow(
    kernel: ArrayLike,
    gradient: Callable[[np.ndarray], np.ndarray],
    until: float,
    *,
    initial: ArrayLike | None = None,
    target: ArrayLike | None = None,
    tolerance: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow ``d alpha/dt = -l'(u) / n``, ``u = initial + K alpha``, alpha(0) = 0: the flow of any loss 1/n sum l(u_i).

    A linear model with gradients J at the training points, K = J J^T, moves by ``J^T alpha``. Its outputs anywhere are
    ``initial_test + K_test alpha``, and it has moved by the distance ``(alpha^T K alpha)^(1/2)``.

    Parameters
    ----------
    kernel : array_like
        (n, n) symmetric positive semi-definite.
    gradient : callable
        l', u (n,) -> (n,); u - y is that of :func:`kernel_flow`.
    until : float
        Last time.
    initial : array_like, optional
        (n,) outputs at t = 0. Default: 0.
    target, tolerance : array_like, float, optional
        The flow ends before ``until`` once all ``|u - target|`` < tolerance, target (n,).

    Returns
    -------
    times, alpha : ndarray
        (T,), as dense as the implicit solver found necessary, and (T, n), right to about 1e-5 of the outputs.

    Examples
    --------
    >>> times, alpha = loss_flow([[1.0]], lambda u: u - 1, 2.0)
    >>> alpha[-1].round(4)  # 1 - exp(-t)
    array([0.8647])
    """
    from scipy.integrate import solve_ivp

    kernel, until = as_array("kernel", kernel, ndim=2), as_positive("until", until)
    require_same_length("rows of kernel", kernel, "columns of kernel", kernel.T)
    n, trace = len(kernel), np.trace(kernel)  # the solver's unknown is trace * alpha, of the size of the outputs
    unit_kernel = kernel / trace
    start = np.zeros(n) if initial is None else as_array("initial", initial, ndim=1)
    require_same_length("initial", start, "kernel", kernel)
    require_same_length("gradient(u)", as_array("gradient(u)", gradient(start), ndim=1), "kernel", kernel)

    def outputs(scaled: np.ndarray) -> np.ndarray:
        return start + unit_kernel @ scaled

    def velocity(_: float, scaled: np.ndarray) -> np.ndarray:
        return -trace / n * gradient(outputs(scaled))

    def arrival(_: float, scaled: np.ndarray) -> float:
        return np.abs(outputs(scaled) - target).max() - tolerance

    arrival.terminal = True
    if target is not None:
        target, tolerance = as_array("target", target, ndim=1), as_positive("tolerance", tolerance)
        require_same_length("target", target, "kernel", kernel)
    options = {"method": "BDF", "rtol": 1e-6, "atol": 1e-9, "events": None if target is None else arrival}
    found = solve_ivp(velocity, (0.0, until), np.zeros(n), **options)
    if not found.success:
        raise ValueError(f"the flow could not be followed beyond t = {found.t[-1]:.3g}: {found.message}")
    return found.t, found.y.T / trace


def decay_rate(residual: ArrayLike, times: ArrayLike, until: ArrayLike) -> float | np.ndarray:
    """Return the rate lambda of ``e^(-lambda t)`` fitted to a residual, by least squares on its logarithm.

    It is the measured counterpart of an eigenvalue in :func:`rates`: a float, or (K,).

    Parameters
    ----------
    residual, times : array_like
        (T,) or (T, K), non-zero within the fit, and (T,). Only the size of the residual counts.
    until : array_like
        Fit over 0 <= t <= until, a number or (K,). 2.5 / lambda is a good length: early slopes of a network mislead,
        and the coupling of the modes dominates late residuals.

    Examples
    --------
    >>> t = np.linspace(0, 1, 5)
    >>> round(decay_rate(3 * np.exp(-2 * t), t, until=1), 6)
    2.0
    """
    residual, times = as_array("residual", residual, ndim=(1, 2)), as_array("times", times, ndim=1)
    require_same_length("residual", residual, "times", times)
    columns = np.abs(residual.reshape(len(times), -1)).T
    found = []
    for column, end in zip(columns, np.broadcast_to(as_array("until", until), len(columns)), strict=True):
        within = (times >= 0) & (times <= end)
        if within.sum() < 2 or not column[within].all():
            raise ValueError(f"a fit needs two times up to {end:g} and a residual that is not 0 there")
        found.append(-np.polyfit(times[within], np.log(column[within]), 1)[0])
    return np.array(found) if residual.ndim == 2 else float(found[0])


def _increasing(times: ArrayLike) -> np.ndarray:
    times = as_array("times", times, ndim=1)
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"times must be >= 0 and increase strictly; got {times[0]:g} to {times[-1]:g}")
    return times


@dataclass(frozen=True)
class _Modes:
    """The flow in the eigenbasis of the kernel: N = n modes, or n * c where the kernel couples the channels."""

    n: int  # training points
    eigenvalues: np.ndarray  # (N,) of K, null ones exactly 0
    vectors: np.ndarray  # (N, N)
    to_test: np.ndarray | None  # (N_test, N): K_test
    gap: np.ndarray  # (N, columns): y - initial in the eigenbasis
    start: np.ndarray  # (n_out, c): outputs at t = 0

    def trajectory(self, times: np.ndarray, left: np.ndarray, done: np.ndarray, inputs: ArrayLike | None) -> Trajectory:
        """Return the trajectory on which the parts ``left`` and ``done`` (T, N) of each gap are left and done."""
        losses = left**2 @ (self.gap**2).sum(axis=1) / (2 * self.n)
        return Trajectory(times, self.outputs(done), inputs=inputs, losses=losses)

    def outputs(self, done: np.ndarray) -> np.ndarray:
        """Return (T, n_out, c), one matrix product for all times."""
        maps = [self.vectors]
        if self.to_test is not None:
            alive = self.eigenvalues > 0  # along null directions K_test vanishes as well, but for rounding
            done = done * alive / np.where(alive, self.eigenvalues, 1)
            maps = [self.to_test, self.vectors]
        parts = (done.T[:, :, None] * self.gap[:, None]).reshape(len(self.gap), -1)
        moved = np.linalg.multi_dot([*maps, parts])  # in the cheapest order
        moved = moved.reshape(len(moved), len(done), -1).transpose(1, 0, 2)
        return self.start + moved.reshape(len(done), *self.start.shape)


def _modes(kernel: ArrayLike, y: ArrayLike, kernel_test: ArrayLike | None, *starts: ArrayLike | None) -> _Modes:
    y, kernel = as_points("y", y), as_array("kernel", kernel, ndim=(2, 4))
    n, c = y.shape
    if kernel.shape not in ((n, n), (n, n, c, c)):
        raise ValueError(f"for y {y.shape} kernel must be square, {(n, n)} or {(n, n, c, c)}; got {kernel.shape}")
    if kernel_test is not None:
        kernel_test = as_array("kernel_test", kernel_test, ndim=kernel.ndim)
        if kernel_test.shape[1:] != kernel.shape[1:]:
            raise ValueError(f"kernel_test must be (n_test, *{kernel.shape[1:]}); got {kernel_test.shape}")
    initial, initial_test = _starts(y, kernel_test, *starts)

    matrix = as_matrix(kernel)
    asymmetry = (matrix - matrix.T).max()
    if asymmetry > ASYMMETRY * np.abs(matrix).max():
        raise ValueError(f"kernel must be symmetric; entries differ from the transposed ones by up to {asymmetry:.3g}")
    eigenvalues, vectors = np.linalg.eigh(matrix)
    low, high = eigenvalues[0], eigenvalues[-1]
    if low < -NEGATIVITY * abs(high):
        raise ValueError(f"kernel must be positive semi-definite; its eigenvalues go from {low:.3g} to {high:.3g}")
    eigenvalues[eigenvalues <= len(matrix) * np.finfo(float).eps * high] = 0.0
    gap = vectors.T @ (y - initial).reshape(len(matrix), -1)
    if kernel_test is None:
        return _Modes(n, eigenvalues, vectors, None, gap, initial)
    return _Modes(n, eigenvalues, vectors, as_matrix(kernel_test), gap, initial_test)


def _starts(
    y: np.ndarray, kernel_test: np.ndarray | None, initial: ArrayLike | None, initial_test: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return initial (n, c) and initial_test (n_test, c), 0 where not given; None where there are no test points."""
    if kernel_test is None:
        if initial_test is not None:
            raise ValueError("initial_test needs kernel_test or x_test: the outputs are at the training points")
        return _values("initial", initial, *y.shape), None
    if (initial is None) != (initial_test is None):
        raise ValueError("initial and initial_test are one function at two sets of points; give both or neither")
    return _values("initial", initial, *y.shape), _values("initial_test", initial_test, len(kernel_test), y.shape[1])


def _values(name: str, value: ArrayLike | None, n: int, c: int) -> np.ndarray:
    value = np.zeros((n, c)) if value is None else as_points(name, value)
    if value.shape != (n, c):
        raise ValueError(f"{name} must have shape {(n, c)}; got {value.shape}")
    return value
