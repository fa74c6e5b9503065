"""What the parameters of a network do while it trains: quantities that gradient flow conserves."""

from __future__ import annotations

import numpy as np
from torch import nn

from fpcourse import checks
from fpcourse.models import CircularCNN, TwoLayer


def conserved_quantities(model: TwoLayer | CircularCNN, parameters=None) -> np.ndarray:
    """Outgoing minus incoming energy of each of m neurons or channels: |a_j|^2 - |w_j|^2 - b_j^2 (w = K in a CNN).

    model       a ``TwoLayer`` or ``CircularCNN``; of an antisymmetric pair give one half
    parameters  (P,) or (T, P), as :func:`fpcourse.training.train` records them; default: those of the model

    Returns float64 (m,) or (T, m). Gradient flow with all parameters trained conserves each entry, for any loss, if the
    activation is homogeneous, sigma(c z) = c sigma(z) for c > 0: then a_j . dL/da_j = w_j . dL/dw_j + b_j dL/db_j (Du,
    Hu, Lee, NeurIPS 2018). Descent in steps of size eta moves them by eta^2 (|dL/da_j|^2 - |dL/dw_j|^2 - (dL/db_j)^2).
    With ``bias="shift"`` |w_j| multiplies the shift, so that w alone carries the homogeneity and no b_j^2 is taken off.
    With tanh nothing is conserved; the numbers are those of the formula. Raises ValueError for any other model and for
    parameters that are not finite or not those of such a model.
    """
    if not isinstance(model, (TwoLayer, CircularCNN)):
        raise ValueError(f"model must be a TwoLayer or a CircularCNN; got {type(model).__name__}")
    flat = nn.utils.parameters_to_vector(model.parameters()) if parameters is None else parameters
    flat = checks.array("parameters", flat, ndim=(1, 2))
    named = dict(model.named_parameters())
    ends = np.cumsum([parameter.numel() for parameter in named.values()])
    if flat.shape[-1] != ends[-1]:
        raise ValueError(f"parameters must hold the {ends[-1]} numbers of the model in each row; got {flat.shape}")
    blocks = zip(named.items(), np.split(flat**2, ends[:-1], axis=-1), strict=True)
    squares = {name: block.reshape(*flat.shape[:-1], *parameter.shape) for (name, parameter), block in blocks}
    if isinstance(model, CircularCNN):
        energy = squares["a"] - squares["kernels"].sum(axis=-1)
    else:
        energy = squares["a"].sum(axis=-2) - squares["w"].sum(axis=-1)
    shifted = isinstance(model, TwoLayer) and model.bias == "shift"
    return energy - squares["b"] if "b" in squares and not shifted else energy
