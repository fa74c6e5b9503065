"""Two-layer ReLU networks at every scale of the initialization: the plane (gamma, gamma') of Luo, Xu, Ma and Zhang."""

from __future__ import annotations

import numpy as np
import torch

from fpcourse import checks, settings

BINS = 90  # of 4 degrees, for orientations in the plane of weight and bias
STEP = 0.05  # the most that either layer may move in a step, relative to its norm


def train_scaled(
    x, y, *, width: int, gamma, gamma_prime, draws: int = 4, seed: int = 0, steps: int = 600
) -> dict[str, np.ndarray]:
    """Train f(x) = kappa sum_j a_j ReLU(w_j x + b_j), kappa = width^-gamma, at G points of the plane, a batch at once.

    All weights start as N(0, 1) (the normalised variables of Luo et al., JMLR 2021), in pairs with opposite a, so that
    f = 0. What the scales of a real initialization a ~ N(0, beta_1^2), w ~ N(0, beta_2^2), factor 1/alpha, leave behind
    is kappa = beta_1 beta_2 / alpha and kappa' = beta_1 / beta_2 = width^-gamma_prime, in the speeds of the flow

        da/dt = -(1/kappa') dL/da,    d(w,b)/dt = -kappa' dL/d(w,b),    L = 1/2 sum_i (f(x_i) - y_i)^2.

    The flow is followed by Euler's method with a step of its own for every network: 1 / trace of its tangent kernel, or
    less where a layer would move by more than 5 %. So one number of steps suits all scales.

    x, y         (n,) points in one dimension and their targets
    width        m, even
    gamma, gamma_prime   (G,) each, or a number
    draws        initial weights per point, the same ones at all points; float32, on ``settings.device()``

    Returns float32 arrays: "change" (G, draws), the largest |W(t) - W(0)| / |W(0)| on the way, W all of w and b (RD in
    the paper); "loss" (G, draws), what is left of the initial one; "amplitudes" (G, draws, 90), the sum of |a||(w, b)|
    by direction of (w, b), in bins of 4 degrees from -180 on. Raises ValueError for arguments that do not fit.
    """
    x, y = checks.array("x", x, ndim=1), checks.array("y", y, ndim=1)
    checks.same_length("x", x, "y", y)
    if not np.any(y):
        raise ValueError("y must not be all zero: the networks start from zero and would stay there")
    gamma, gamma_prime = (
        checks.array("gamma", gamma, ndim=(0, 1)),
        checks.array("gamma_prime", gamma_prime, ndim=(0, 1)),
    )
    try:
        gamma, gamma_prime = np.broadcast_arrays(np.atleast_1d(gamma), gamma_prime)
    except ValueError:
        raise ValueError(f"gamma and gamma_prime must match; got {gamma.shape} and {gamma_prime.shape}") from None
    if checks.count("width", width, minimum=2) % 2:
        raise ValueError(f"width must be even, for neurons in pairs; got {width}")
    draws, steps = checks.count("draws", draws), checks.count("steps", steps)
    device, points = settings.device(), len(gamma)

    def tensor(array, repeats=1) -> torch.Tensor:
        return torch.as_tensor(np.repeat(array, repeats, axis=0), dtype=torch.float32, device=device)

    generator = np.random.default_rng([checks.count("seed", seed, minimum=0), width])
    weights = generator.standard_normal((draws, width // 2, 3))
    w = tensor(np.tile(np.concatenate([weights[..., :2]] * 2, axis=1), (points, 1, 1)))  # (E, m, 2)
    a = tensor(np.tile(np.concatenate([weights[..., 2], -weights[..., 2]], axis=1), (points, 1)))  # (E, m)
    kappa, speed_a = tensor(width**-gamma, draws), tensor(float(width) ** gamma_prime, draws)
    x, y = tensor(np.column_stack([x, np.ones_like(x)])), tensor(y)
    start, moved = w, torch.zeros_like(w)  # apart: float32 would lose a change below 1e-7 in the sum
    lengths, change, loss = (x**2).sum(1), torch.zeros_like(kappa), torch.ones_like(kappa)
    for _ in range(steps):
        z = w @ x.T  # (E, m, n)
        features, slopes = z.clamp(min=0), (z > 0) * a[:, :, None]
        error = kappa[:, None] * torch.einsum("em,emn->en", a, features) - y
        descent_a = (kappa * speed_a)[:, None] * torch.einsum("emn,en->em", features, error)
        descent_w = (kappa / speed_a)[:, None, None] * ((slopes * error[:, None]) @ x)
        trace = speed_a * (features**2).sum((1, 2)) + ((slopes**2).sum(1) * lengths).sum(1) / speed_a
        relative = torch.maximum(descent_a.norm(dim=1) / a.norm(dim=1), descent_w.norm(dim=(1, 2)) / w.norm(dim=(1, 2)))
        eta = torch.minimum(1 / (kappa**2 * trace), STEP / relative)
        a, moved = a - eta[:, None] * descent_a, moved - eta[:, None, None] * descent_w
        w = start + moved
        change = torch.maximum(change, moved.norm(dim=(1, 2)) / start.norm(dim=(1, 2)))
        loss = (error**2).sum(1) / (y**2).sum()
    amplitudes = (a.abs() * w.norm(dim=2)).cpu().numpy()
    bins = torch.atan2(w[..., 1], w[..., 0]).cpu().numpy() * (BINS / 2 / np.pi) + BINS / 2
    bins = bins.astype(int).clip(0, BINS - 1) + BINS * np.arange(len(bins))[:, None]
    histograms = np.bincount(bins.ravel(), amplitudes.ravel(), minlength=BINS * len(bins)).astype(np.float32)
    checks.array("the change of the weights", change.cpu())  # x or y too large for float32
    checks.array("the loss, relative to that of y = 0,", loss.cpu())  # y too small for float32
    return {
        "change": change.cpu().numpy().reshape(points, draws),
        "loss": loss.cpu().numpy().reshape(points, draws),
        "amplitudes": histograms.reshape(points, draws, BINS),
    }


def top_share(amplitudes, *, bins: int = 6) -> np.ndarray:
    """Share of ``amplitudes`` (..., B) in the fullest ``bins`` of the last axis: near 1 condensed, near bins / B not.

    Raises ValueError for negative amplitudes, for none at all, and for more bins than there are.
    """
    amplitudes = checks.array("amplitudes", amplitudes)
    if amplitudes.ndim == 0 or not 1 <= checks.count("bins", bins) <= amplitudes.shape[-1] or (amplitudes < 0).any():
        raise ValueError(f"amplitudes must be >= 0 in at least {bins} bins; got shape {amplitudes.shape}")
    if (amplitudes.sum(axis=-1) == 0).any():
        raise ValueError("amplitudes must not be all zero")
    return np.sort(amplitudes, axis=-1)[..., -bins:].sum(axis=-1) / amplitudes.sum(axis=-1)


def predicted_slope(gamma, gamma_prime) -> np.ndarray:
    """The power S of the width with which the relative change of the input weights grows, RD ~ m^S, by scaling alone.

    A balance of powers of m in the flow of :func:`train_scaled`. For gamma <= 1 the kernel stands still and
    S = gamma - 1 - 2 max(gamma', 0). For gamma > 1 the products a_j w_j have to grow by m^(gamma - 1): the a do it
    where gamma' > gamma - 1, with S = 2 (gamma - 1 - gamma'), the w where gamma' < 1 - gamma, with S = gamma - 1, and
    both between these, with S = (gamma - 1 - gamma') / 2. The sign of S gives the phases of Luo et al. (JMLR 2021):
    S < 0 linear, S > 0 condensed. Arguments broadcast; raises ValueError where they do not.
    """
    gamma, gamma_prime = checks.array("gamma", gamma), checks.array("gamma_prime", gamma_prime)
    try:
        g, q = np.broadcast_arrays(gamma - 1, gamma_prime)
    except ValueError:
        raise ValueError(f"gamma and gamma_prime must match; got {gamma.shape} and {gamma_prime.shape}") from None
    return np.select([g <= 0, q > g, q < -g], [g - 2 * np.maximum(q, 0), 2 * (g - q), g], (g - q) / 2)
