"""Typical wrong answers and the marks that each must cost, chapter by chapter: what test_wrong_answers.py reads."""

import numpy as np


def reweighted(features):
    """Inputs of length 1 with another share of the first wave."""

    def wrong(theta):
        inputs = features(theta) * np.array([1.5, 1.5, 1.0, 1.0])
        return inputs / np.linalg.norm(inputs, axis=1, keepdims=True)

    return wrong


def nyquist_twice(band_energy):
    """Energies in which the highest frequency of an even number of points counts twice."""

    def wrong(y, cutoff):
        low, high = band_energy(y, cutoff)
        fastest = np.mean(y * (-1.0) ** np.arange(len(y))) ** 2 if len(y) % 2 == 0 else 0.0
        return (low + fastest, high) if cutoff >= len(y) / 2 else (low, high + fastest)

    return wrong


# What is wrong; the name of the answer; the wrong answer made from the right one; the tests that must fail, no others.
WRONG = {
    "2": [
        ("sign in the exponent", "remaining", lambda right: lambda rate, t: right(-rate, t), "2.1 remaining"),
        ("radians", "remaining", lambda right: lambda rate, t: right(2 * np.pi * rate, t), "2.1 remaining"),
        ("squared", "remaining", lambda right: lambda rate, t: right(rate, t) ** 2, "2.1 remaining"),
        ("sum, not mean", "expected_error", lambda right: lambda t: 64 * right(t), "2.1 expected_error"),
        ("norm, not mean square", "gain", np.sqrt, "2.1 gain"),
        ("too late, and the gain is another", "t_stop", lambda right: 2 * right, "2.1 t_stop, 2.1 gain"),
        ("no 1 / n in the flow", "t_stop", lambda right: right / 64, "2.1 t_stop, 2.1 gain"),
        ("factor 2", "order", lambda right: 2 * right, "2.2 order"),
        ("off by one", "order", lambda right: right + 1, "2.2 order"),
        ("k^s, not k^2s", "weighted_flow", lambda right: lambda K, y, s, t: right(K, y, s / 2, t), "2.2 weighted_flow"),
        ("radians", "weighted_flow", lambda right: lambda K, y, s, t: right(K, y, s, t * (2 * np.pi) ** (2 * s)),
         "2.2 weighted_flow"),
        ("no 1 / n", "weighted_flow", lambda right: lambda K, y, s, t: right(K, y, s, len(y) * t), "2.2 weighted_flow"),
        ("u - y, not u", "weighted_flow", lambda right: lambda K, y, s, t: right(K, y, s, t) - y, "2.2 weighted_flow"),
        ("reciprocal", "speedup", lambda right: 1 / right, "2.2 speedup"),
        ("columns for rows", "features", lambda right: lambda theta: right(theta).T,
         "2.3 features, 2.3 rates, 2.3 steps"),
        ("another ratio", "features", reweighted, "2.3 features, 2.3 rates, 2.3 steps"),
        ("no 1 / n", "rates", lambda right: 64 * right, "2.3 rates"),
        ("other order", "rates", lambda right: right[::-1], "2.3 rates"),
        ("other order", "steps", lambda right: right[::-1], "2.3 steps"),
        ("off by one", "alias", lambda right: right + 1, "2.4 alias"),
        ("sign", "alias", lambda right: -right, "2.4 alias"),
        ("norm, not relative", "wrong_by", lambda right: right * np.sqrt(120), "2.4 wrong_by"),
        ("off by one: k counts", "fraction_above", lambda right: lambda y, k: right(y, k - 1), "2.4 fraction_above"),
        ("positive only", "fraction_above", lambda right: lambda y, k: right(y, k) / 2, "2.4 fraction_above"),
        ("hardest first", "ranking", lambda right: right[::-1], "2.4 ranking"),
        ("too good", "overfit", lambda right: lambda x, y, new, seed: (y, np.interp(new, x, y)),
         "2.5 overfit, 2.5 errors"),
        ("fits nothing", "overfit", lambda right: lambda x, y, new, seed: (0 * x, 0 * new), "2.5 overfit, 2.5 errors"),
        ("other order", "errors", lambda right: right[::-1], "2.5 errors"),
        ("says nothing", "explanation", lambda right: "it just works", "2.5 errors"),
    ],
    "1": [
        ("A, not A/2", "line", lambda right: 2 * right, "1.1 line"),
        ("square", "line", lambda right: right**2, "1.1 line"),
        ("sigma / n", "floor", lambda right: right**2 / 0.5, "1.1 floor"),
        ("no square root", "floor", lambda right: right**2, "1.1 floor"),
        ("sigma itself", "floor", lambda right: right * 22**0.5, "1.1 floor"),
        ("mean square", "last_error", lambda right: right**2, "1.1 last_error"),
        ("it is zero", "last_error", lambda right: 0.0, "1.1 last_error"),
        ("not one of the three", "guess", lambda right: "both", "1.1 guess"),
        ("positive k only", "band_energy", lambda right: lambda y, k: [part / 2 for part in right(y, k)],
         "1.2 parseval, 1.2 values"),
        ("off by one: k < cutoff", "band_energy", lambda right: lambda y, k: right(y, k - 1), "1.2 border, 1.2 values"),
        ("no 1 / n", "band_energy", lambda right: lambda y, k: [len(y) * part for part in right(y, k)],
         "1.2 parseval, 1.2 values"),
        ("high before low", "band_energy", lambda right: lambda y, k: right(y, k)[::-1], "1.2 border, 1.2 values"),
        ("Nyquist twice", "band_energy", nyquist_twice, "1.2 parseval, 1.2 values"),
        ("only points in order", "memorize", lambda right: lambda z, v: right(np.sort(z), v), "1.3 any_order"),
        ("sign of the kinks", "memorize", lambda right: lambda z, v: (-right(z, v)[0], right(z, v)[1]),
         "1.3 sorted, 1.3 any_order, 1.3 own_points"),
        ("off by one: a kink on every point", "memorize", lambda right: lambda z, v: (np.sort(z), right(z, v)[1]),
         "1.3 sorted, 1.3 any_order, 1.3 own_points"),
        ("the low frequencies", "high_fraction", lambda right: 1 - right, "1.4 high_fraction"),
        ("amplitudes, not energies", "high_fraction", np.sqrt, "1.4 high_fraction"),
        ("index, not step", "noise_step", lambda right: 64, "1.4 steps"),
        ("other order", "wave_step", lambda right: 600, "1.4 steps"),
        ("never", "noise_step", lambda right: np.inf, "1.4 steps"),
        ("distance to the noisy points", "best_error", lambda right: 1e-3, "1.4 best_error"),
        ("distance at the end", "best_error", lambda right: 1.6 * right + 0.2, "1.4 best_error"),
        ("mean square", "end_error", lambda right: right**2, "1.4 end_error"),
        ("distance to the noisy points", "end_error", lambda right: 1e-3, "1.4 end_error"),
        ("learns nothing", "fit_noise", lambda right: lambda x, y, new, seed: (0 * x, 0 * new),
         "1.5 fit_noise, 1.5 price"),
        ("one array only", "fit_noise", lambda right: lambda *given: right(*given)[0], "1.5 fit_noise, 1.5 price"),
        ("mean square", "price", lambda right: right**2, "1.5 price"),
        ("says nothing", "explanation", lambda right: "it just works", "1.5 price"),
    ],
    "3": [
        ("1 / alpha forgotten", "exponents", lambda right: lambda p, q, r: right(-p, q, r), "3.1 gamma"),
        ("signs of gamma", "exponents", lambda right: lambda p, q, r: (-right(p, q, r)[0], right(p, q, r)[1]),
         "3.1 gamma"),
        ("sign of gamma'", "exponents", lambda right: lambda p, q, r: (right(p, q, r)[0], q - r), "3.1 gamma_prime"),
        ("other order", "exponents", lambda right: lambda p, q, r: right(p, q, r)[::-1], "3.1 gamma, 3.1 gamma_prime"),
        ("gamma' ignored", "phase", lambda right: lambda gamma, _: right(gamma, -5.0), "3.2 phase_right, 3.2 border"),
        ("sign of gamma'", "phase", lambda right: lambda gamma, prime: right(gamma, -prime),
         "3.2 phase_right, 3.2 border"),
        ("no border", "phase", lambda right: lambda *point: right(*point).replace("critical", "linear"), "3.2 border"),
        ("names exchanged", "phase", lambda right: lambda *point: {"linear": "condensed"}.get(right(*point), "linear"),
         "3.2 phase_left, 3.2 phase_right, 3.2 border"),
        ("sign", "slopes_predicted", lambda right: -right, "3.2 slopes_predicted"),
        ("factor 2", "slopes_predicted", lambda right: right / 2, "3.2 slopes_predicted"),
        ("gamma, not gamma - 1", "slopes_predicted", lambda right: right + 1, "3.2 slopes_predicted"),
        ("reciprocal", "growth", lambda right: lambda m, changes: 1 / right(m, changes), "3.3 powers, 3.3 scattered"),
        ("sign", "growth", lambda right: lambda m, changes: -right(m, changes), "3.3 powers, 3.3 scattered"),
        ("logarithm of the mean", "growth",
         lambda right: lambda m, changes: right(m, changes.mean(axis=1, keepdims=True)), "3.3 scattered"),
        ("first and last only", "growth", lambda right: lambda m, changes: right(m[[0, -1]], changes[[0, -1]]),
         "3.3 scattered"),
        ("sign", "slopes_measured", lambda right: -np.array(right), "3.4 slopes_measured"),
        ("log 10 against ln", "slopes_measured", lambda right: np.array(right) / np.log(10), "3.4 slopes_measured"),
        ("other order", "slopes_measured", lambda right: np.roll(right, 1), "3.4 slopes_measured"),
        ("per cent", "fractions_measured", lambda right: 100 * right, "3.4 fractions_measured"),
        ("the rest", "fractions_measured", lambda right: 1 - right, "3.4 fractions_measured"),
        ("sign", "s_border", lambda right: -right, "3.5 s_border"),
        ("factor 2", "s_border", lambda right: 2 * right, "3.5 s_border"),
        ("wrong way", "s", lambda right: -right, "3.5 moved_slope"),
        ("not far enough", "s", lambda right: right / 10, "3.5 moved_slope"),
        ("slope of another s", "s", lambda right: right - 0.2, "3.5 moved_slope"),
        ("sign", "moved_slope", lambda right: -right, "3.5 moved_slope"),
        ("says nothing", "explanation", lambda right: "it just works", "3.5 moved_slope"),
    ],
    "4": [
        ("shares exchanged", "kept_w", lambda right: 1 - right, "4.1 kept_w"),
        ("no share", "copy_w", lambda right: 1.0, "4.1 copy_w"),
        ("sign", "copy_w", lambda right: -right, "4.1 copy_w"),
        ("a share where none is", "copy_a", lambda right: 0.3, "4.1 copy_a"),
        ("off by one", "split", lambda right: lambda w, b, a, j, alpha: right(w, b, a, j - 1, alpha),
         "4.2 function_and_weights, 4.2 idle_copy"),
        ("the original keeps all", "split",
         lambda right: lambda w, b, a, j, alpha: (*right(w, b, a, j, alpha)[:2], np.append(a, alpha * a[j])),
         "4.2 function_and_weights, 4.2 twice"),
        ("no bias in the copy", "split",
         lambda right: lambda w, b, a, j, alpha: (right(w, b, a, j, alpha)[0], np.append(b, 0.0),
                                                  right(w, b, a, j, alpha)[2]),
         "4.2 function_and_weights, 4.2 twice"),
        ("sign of the residual", "curvature", lambda right: lambda *given: -right(*given),
         "4.3 values, 4.3 own_minimum"),
        ("twice", "curvature", lambda right: lambda *given: 2 * right(*given), "4.3 values, 4.3 own_minimum"),
        ("sum, not mean", "curvature", lambda right: lambda *given: right(*given) * len(given[-1]),
         "4.3 values, 4.3 own_minimum"),
        ("bias before weight", "curvature", lambda right: lambda *given: right(*given)[::-1, ::-1], "4.3 values"),
        ("no counts for the idle copy", "counts",
         lambda right: [(1, 1, 7) if tuple(row) == (0, 3, 6) else row for row in right], "4.4 counts"),
        ("other order", "counts", lambda right: np.array(right)[:, ::-1], "4.4 counts"),
        ("sign", "rate_predicted", lambda right: -right, "4.5 rate_predicted"),
        ("rate of the loss", "rate_predicted", lambda right: 2 * right, "4.5 rate_predicted"),
        ("rate of the loss", "rate_measured", lambda right: 2 * right, "4.5 rate_measured"),
        ("log 10", "rate_measured", lambda right: right / np.log(10), "4.5 rate_measured"),
        ("sum, not mean", "loss_after", lambda right: 20 * right, "4.5 loss_after"),
        ("mean square, not half of it", "loss_after", lambda right: 2 * right, "4.5 loss_after"),
        ("mean square, not half of it", "both_losses", lambda right: 2 * np.array(right), "4.6 both_losses"),
        ("the same twice", "apart", lambda right: [right[0]] * 2, "4.6 apart"),
        ("per cent", "apart", lambda right: [100 * loss for loss in right], "4.6 apart"),
        ("says nothing", "explanation", lambda right: "it just works", "4.6 apart"),
    ],
    "5": [
        ("parameters per neuron without a", "count_tanh", lambda right: 0.9 * right, "5.1 count_tanh"),
        ("off by one", "count_tanh", lambda right: right + 1, "5.1 count_tanh"),
        ("all hundred neurons", "count_tanh", lambda right: 100 * right, "5.1 count_tanh"),
        ("off by one", "count_bias", lambda right: right - 1, "5.1 count_bias"),
        ("off by one", "count_matrix", lambda right: right + 1, "5.1 count_matrix"),
        ("twice", "count_shared", lambda right: 2 * right, "5.1 count_shared"),
        ("transpose", "tangent", lambda right: lambda A, W: right(A, W).T,
         "5.2 shape, 5.2 derivatives, 5.2 rank"),
        ("columns in reverse", "tangent", lambda right: lambda A, W: right(A, W) + right(0 * A, W[:, ::-1] - W),
         "5.2 derivatives"),
        ("factor 2", "tangent", lambda right: lambda A, W: 2 * right(A, W), "5.2 derivatives"),
        ("A only", "tangent", lambda right: lambda A, W: right(A, 0 * W), "5.2 derivatives, 5.2 rank"),
        ("all parameters", "rank_copies", lambda right: 3 * right, "5.3 rank_copies"),
        ("off by one", "rank_null", lambda right: right + 1, "5.3 rank_null"),
        ("idle neurons add nothing", "rank_idle", lambda right: 2 * right, "5.3 rank_idle"),
        ("off by one", "rank_idle", lambda right: right + 1, "5.3 rank_idle"),
        ("off by one", "size_predicted", lambda right: right + 1, "5.4 size_predicted"),
        ("all parameters", "size_predicted", lambda right: 32, "5.4 size_predicted"),
        ("one entry later", "test_errors", lambda right: np.append(right[1:], right[-1]), "5.4 test_errors"),
        ("other order", "test_errors", lambda right: right[::-1], "5.4 test_errors"),
        ("reciprocal", "gain", lambda right: 1 / right, "5.4 gain"),
        ("nothing changed", "changed", lambda right: {}, "5.5 changed, 5.5 failed"),
        ("not trained to the end", "changed", lambda right: right | {"steps": 20}, "5.5 changed, 5.5 failed"),
        ("the small start's error", "failed", lambda right: 1e-4, "5.5 failed"),
        ("says nothing", "explanation", lambda right: "it just works", "5.5 failed"),
    ],
}  # fmt: skip

# What a hint says that names no answer, by the answers that it is for.
HINTS = {
    "1": {"band_energy": ("low + high of", "low of the constant"), "memorize": ("misses point", "no kink lies")},
    "2": {
        "order, weighted_flow": ("what is learned of K over",),
        "steps": ("learns k = 1 first",),
        "errors": ("does not fit its training points",),
    },
    "3": {
        "exponents": ("gamma",),
        "phase": ("your phase is", "lies on the border", "is linear"),
        "slopes_predicted": ("your slope",),
        "fractions_measured": ("6 fullest of 90",),
    },
    "4": {
        "split": ("splitting neuron", "outputs of the wide network"),
        "curvature": ("second derivative of L", "when every data point appears twice"),
        "counts": ("alpha = 0", "positive eigenvalues"),
        "rate_predicted, rate_measured": ("measured over predicted rate",),
        "apart": ("both losses must lie below",),
    },
    "5": {
        "tangent": ("squares of",),
        "rank_copies, rank_null": ("copies have the tangent functions",),
        "test_errors": ("test_errors",),
    },
}

# Values copied from another id, and the tests that must fail: all that depend on the id.
COPIED = {
    "2": (
        "t_stop, gain, order, speedup, rates, alias, wrong_by, ranking, errors",
        "2.1 t_stop, 2.1 gain, 2.2 order, 2.2 speedup, 2.3 rates, 2.4 alias, 2.4 wrong_by, 2.4 ranking, 2.5 errors",
    ),
    "1": (
        "line, floor, last_error, high_fraction, end_error, price",
        "1.1 line, 1.1 floor, 1.1 last_error, 1.4 high_fraction, 1.4 end_error, 1.5 price",
    ),
    "3": (
        "slopes_predicted, slopes_measured, fractions_measured, s_border, s, moved_slope",
        "3.2 slopes_predicted, 3.4 slopes_measured, 3.4 fractions_measured, 3.5 s_border, 3.5 moved_slope",
    ),
    "4": (
        "kept_w, copy_w, counts, rate_predicted, rate_measured, loss_after, both_losses",
        "4.1 kept_w, 4.1 copy_w, 4.4 counts, 4.5 rate_predicted, 4.5 rate_measured, 4.5 loss_after, 4.6 both_losses",
    ),
    "5": (
        "count_tanh, count_bias, count_matrix, count_shared, rank_copies, rank_null, rank_idle, size_predicted",
        "5.1 count_tanh, 5.1 count_bias, 5.1 count_matrix, 5.1 count_shared, "
        "5.3 rank_copies, 5.3 rank_null, 5.3 rank_idle, 5.4 size_predicted",
    ),
}
