"""Homework 2 as another student would solve it: a right solution that shares no line with the master's."""

# In place of the answers of each question, in their order.
ANSWERS = {
    "2.1": """
def remaining(eigenvalue, t):
    return 1 / np.exp(np.multiply(eigenvalue, t))


def expected_error(t):
    bias = 0
    for k in range(1, 4):
        bias += 0.5 * (amplitudes[k - 1] * remaining(eigenvalues[k], t)) ** 2
    learned = 1 - remaining(eigenvalues, t)
    variance = sigma**2 * np.dot(learned, learned) / n
    return bias + variance


from scipy.optimize import minimize_scalar

best = minimize_scalar(lambda log_t: expected_error(10**log_t), bounds=(0, 4), method="bounded")
t_stop = 10**best.x
spectrum = np.fft.fft(y) * (1 - remaining(eigenvalues, t_stop))
u_stop = np.real(np.fft.ifft(spectrum))
gain = ((y - truth) ** 2).sum() / ((u_stop - truth) ** 2).sum()
""",
    "2.2": """
from scipy.optimize import brentq

order = brentq(lambda s: K ** (2 * s) * eigenvalues[K] - eigenvalues[1], 0, 5)


def weighted_flow(kernel, y, s, t):
    size = len(y)
    modes = np.fft.fft(np.eye(size)) / np.sqrt(size)
    freq = np.minimum(np.arange(size), size - np.arange(size)).astype(float)
    freq[0] = 1.0
    lam = np.real(np.diag(modes @ kernel @ modes.conj().T)) / size
    done = -np.expm1(-lam * freq ** (2 * s) * t)
    return np.real(modes.conj().T @ (done * (modes @ y)))


def relative_time(s):
    speeds = [eigenvalues[k] * max(k, 1) ** (2 * s) for k in range(33)]
    return max(speeds) / speeds[K]


speedup = relative_time(0) / relative_time(order)
""",
    "2.3": """
def make(theta, c):
    out = np.zeros((theta.size, 4))
    out[:, 0], out[:, 1] = c * np.cos(theta), c * np.sin(theta)
    rest = np.sqrt(1 - c**2)
    out[:, 2] = rest * np.cos(k_first * theta)
    out[:, 3] = rest * np.sin(k_first * theta)
    return out


def two_rates(c):
    X = make(theta, c)
    M = kernels.basri_kernel(np.minimum(X @ X.T, 1.0), bias=True)
    row = np.real(np.fft.fft(M[0])) / n
    return row[1], row[k_first]


from scipy.optimize import bisect

c = bisect(lambda c: two_rates(c)[1] - ratio * two_rates(c)[0], 0.05, 0.75)


def features(theta):
    return make(np.asarray(theta), c)


rates = list(two_rates(c))
X = features(theta)
history = training.train(network(4), X, target, steps=200, snapshots=200, **train_with)
steps = []
for k in (1, k_first):
    wrong = fourier.relative_error(theta / (2 * np.pi), history.outputs, target, [k])
    steps.append(fourier.learned_at(wrong.ravel(), history.times, 0.5))
""",
    "2.4": """
alias = 20 - k_beyond


def miss(f):
    K20 = kernels.basri_kernel(np.cos(np.subtract.outer(coarse, coarse)), bias=True)
    K240 = kernels.basri_kernel(np.cos(np.subtract.outer(fine, coarse)), bias=True)
    weights = np.linalg.solve(K20, f(coarse))
    difference = K240 @ weights - f(fine)
    return np.sqrt((difference**2).sum() / (f(fine) ** 2).sum())


wrong_by = miss(lambda a: np.cos(k_beyond * a))


def fraction_above(y, k):
    n = len(y)
    power = np.abs(np.fft.fft(y)) ** 2
    total = 0.0
    for j in range(n):
        if min(j, n - j) > k:
            total += power[j]
    return total / np.sum(power)


scores = {letter: miss(f) for letter, f in targets.items()}
ranking = ""
while scores:
    easiest = min(scores, key=scores.get)
    ranking += easiest
    scores.pop(easiest)
""",
    "2.5": '''
def overfit(x, y, x_new, seed):
    generator = torch.Generator().manual_seed(seed)
    w = 60 * torch.randn(300, generator=generator, dtype=torch.float64)
    b = 60 * torch.randn(300, generator=generator, dtype=torch.float64)
    hidden = lambda z: torch.sin(torch.outer(torch.as_tensor(z, dtype=torch.float64), w) + b)
    a = torch.linalg.pinv(hidden(x)) @ torch.as_tensor(y, dtype=torch.float64)
    return (hidden(x) @ a).numpy(), (hidden(x_new) @ a).numpy()


fit, new = overfit(x, easy(x), x_new, 0)
size = lambda v: np.sqrt(np.mean(np.square(v)))
errors = [size(fit - easy(x)) / size(easy(x)), size(new - easy(x_new)) / size(easy(x_new))]
explanation = """I took sines, with inner weights of standard deviation sixty, so every hidden unit is a rapid wave.
Only the output weights are fitted. There is no slow unit, so no low frequency is cheap, and the curve falls to nothing
between two points. One sees it without new points because another seed gives another curve through the same data."""
''',
    "2.6": """
damp, wavenumbers = 2 / 3, np.arange(33)
energy_rates = [eigenvalues[k] * (mass + k * k) for k in wavenumbers]
residual_rates = [(mass + k**2) ** 2 * eigenvalues[k] for k in wavenumbers]


def sweep(u, f):
    size = len(u)
    second = 2 * np.eye(size) - np.roll(np.eye(size), 1, axis=0) - np.roll(np.eye(size), -1, axis=0)
    A = second * (size / 2 / np.pi) ** 2 + mass * np.eye(size)
    return u + damp * (f - A @ u) / np.diag(A)


def kept(k):
    first = sweep(np.cos(k * theta), np.zeros(64))
    return first @ np.cos(k * theta) / 32


sweep_counts = [int(np.floor(np.log(0.1) / np.log(kept(k)))) + 1 for k in (1, 8)]
""",
    "2.7": """
from scipy.linalg import polar


def spectral_step(W1, W2, M, eta):
    residual = M - W2 @ W1
    return W1 + eta * polar(W2.T @ residual)[0], W2 + eta * polar(residual @ W1.T)[0]


def advantage(s):
    doublings = np.log2(s / a_first**2 - 1)
    return doublings * np.log(2) / (2 * s * eta_descent) - np.sqrt(s / 2) / eta_spectral


same_strength = brentq(advantage, 0.5, 50)
""",
}


def cells(notebook: dict, student_id: str) -> list[str]:
    """The code cells of the student's copy with these answers in place of its own cells with ``...``."""
    out, answers = [], iter(ANSWERS.values())
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            continue
        if "student_id = ..." in source:
            source = f"student_id = {student_id!r}"
        elif "..." in source and "def _check" not in source and "homework.variant" not in source:
            source = next(answers)
        out.append(source)
    return out
