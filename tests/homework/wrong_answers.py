"""Typical wrong answers and the marks that each must cost, chapter by chapter: what test_wrong_answers.py reads."""

import numpy as np


def reweighted(features):
    """Inputs of length 1 with another share of the first wave."""

    def wrong(theta):
        inputs = features(theta) * np.array([1.5, 1.5, 1.0, 1.0])
        return inputs / np.linalg.norm(inputs, axis=1, keepdims=True)

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
        ("factor 2", "order", lambda right: 2 * right, "2.2 order"),
        ("off by one", "order", lambda right: right + 1, "2.2 order"),
        ("k^s, not k^2s", "weighted_flow", lambda right: lambda K, y, s, t: right(K, y, s / 2, t), "2.2 weighted_flow"),
        ("radians", "weighted_flow", lambda right: lambda K, y, s, t: right(K, y, s, t * (2 * np.pi) ** (2 * s)),
         "2.2 weighted_flow"),
        ("u - y, not u", "weighted_flow", lambda right: lambda K, y, s, t: right(K, y, s, t) - y, "2.2 weighted_flow"),
        ("reciprocal", "speedup", lambda right: 1 / right, "2.2 speedup"),
        ("columns for rows", "features", lambda right: lambda theta: right(theta).T, "2.3 features, 2.3 rates"),
        ("another ratio", "features", reweighted, "2.3 features, 2.3 rates"),
        ("no 1 / sqrt n", "rates", lambda right: 64 * right, "2.3 rates"),
        ("other order, which the steps contradict", "rates", lambda right: right[::-1], "2.3 rates, 2.3 steps"),
        ("other order", "steps", lambda right: right[::-1], "2.3 steps"),
        ("off by one", "alias", lambda right: right + 1, "2.4 alias"),
        ("sign", "alias", lambda right: -right, "2.4 alias"),
        ("norm, not relative", "wrong_by", lambda right: right * np.sqrt(120), "2.4 wrong_by"),
        ("off by one: k counts", "share_above", lambda right: lambda y, k: right(y, k - 1), "2.4 share_above"),
        ("positive only", "share_above", lambda right: lambda y, k: right(y, k) / 2, "2.4 share_above"),
        ("hardest first", "ranking", lambda right: right[::-1], "2.4 ranking"),
        ("too good", "overfit", lambda right: lambda x, y, new, seed: (y, np.interp(new, x, y)),
         "2.5 overfit, 2.5 errors"),
        ("fits nothing", "overfit", lambda right: lambda x, y, new, seed: (0 * x, 0 * new), "2.5 overfit, 2.5 errors"),
        ("other order", "errors", lambda right: right[::-1], "2.5 errors"),
        ("says nothing", "explanation", lambda right: "it just works", "2.5 errors"),
    ],
}  # fmt: skip

# Values copied from another id, and the tests that must fail: all that depend on the id.
COPIED = {
    "2": (
        "t_stop, gain, order, speedup, rates, alias, wrong_by, ranking, errors",
        "2.1 t_stop, 2.1 gain, 2.2 order, 2.2 speedup, 2.3 rates, 2.4 alias, 2.4 wrong_by, 2.4 ranking, 2.5 errors",
    ),
}
