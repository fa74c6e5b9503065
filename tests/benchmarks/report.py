"""The tables of the book's page "Performance": ``make performance``.

Runs all benchmarks of this folder in one run and writes two tables, which the page shows: tests/reports/ratios.csv,
where each group's first row is fpcourse and the others are divided by it, and growth.csv, where the logarithm of the
time is fitted against that of the size. Give it a quiet machine. Peers that are not installed are left out, and the
run says which.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
WAYS = {
    "test_empirical_ntk float32_ntk": "`empirical_ntk`, float32",
    "test_empirical_ntk empirical_ntk": "`empirical_ntk`, float64 (the default)",
    "test_empirical_ntk whole_jacobian_ntk": "`torch.func`, one Jacobian",
    "test_empirical_ntk_by_neural_tangents structured_derivatives": "neural-tangents, structured derivatives",
    "test_empirical_ntk_by_neural_tangents jacobian_contraction": "neural-tangents, Jacobian contraction",
    "test_two_layer_ntk": "`two_layer_ntk`",
    "test_two_layer_ntk_by_the_plain_formula": "the formula in numpy",
    "test_two_layer_ntk_by_neural_tangents": "neural-tangents",
    "test_bare_matrix_product": "the bare product $x x^T$",
    "test_sphere_eigenvalues": "`sphere_eigenvalues`",
    "test_kernel_flow": "`kernel_flow`",
    "test_one_eigendecomposition": "one `eigh`",
    "test_kernel_flow_by_neural_tangents": "neural-tangents, `gradient_descent_mse`",
    "test_ode_solver DOP853": "scipy's DOP853, times to $10^3$",
    "test_ode_solver BDF": "scipy's BDF, times to $10^5$",
    "test_nudft as it is": "`nudft`, through finufft",
    "test_nudft direct": "`nudft`, without it",
    "test_gaussian_split": "`gaussian_split`",
    "test_full_product": "the bare product $x x^T$",
    "test_gaussian_split_by_keops": "pykeops",
    "test_ensemble train_ensemble": "`Ensemble`",
    "test_ensemble train_one_after_the_other": "a loop over the networks",
    "test_import torch": "torch alone",
    "test_import torch, fpcourse": "torch and all of fpcourse that computes",
    "test_import torch, fpcourse with figures": "torch and all of fpcourse",
}


def way(benchmark: dict) -> str:
    """What a reader calls it: by the test and the last of its parameters that tells two rows of one group apart."""
    function, _, parameters = benchmark["name"].rstrip("]").partition("[")
    last = parameters.rpartition("-")[2] if parameters else ""
    return WAYS.get(f"{function} {last}") or WAYS[function]


def measure() -> list[dict]:
    """All benchmarks in the order they ran."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "benchmarks.json")
        command = [sys.executable, "-m", "pytest", str(FOLDER), "-q", f"--benchmark-json={result}", "--benchmark-quiet"]
        subprocess.run(command, check=True)
        return json.loads(result.read_text("utf-8"))["benchmarks"]


def groups(benchmarks: list[dict], growth: bool) -> dict[str, list[dict]]:
    """The benchmarks by their group: those of growth, or the others."""
    found = {}
    for benchmark in benchmarks:
        if benchmark["group"].startswith("growth: ") == growth:
            found.setdefault(benchmark["group"].removeprefix("growth: "), []).append(benchmark)
    return found


def seconds(benchmark: dict) -> float:
    return benchmark["stats"]["median"]


def written(value: float) -> str:
    """Three digits, in seconds or milliseconds; no line breaks before the unit."""
    return f"{value:.3g}\N{NO-BREAK SPACE}s" if value >= 1 else f"{1000 * value:.3g}\N{NO-BREAK SPACE}ms"


def power_of_ten(value: float) -> str:
    """One digit: $3 \\cdot 10^{-9}$."""
    digit, exponent = f"{value:.0e}".split("e")
    return "0" if value == 0 else f"${digit} \\cdot 10^{{{int(exponent)}}}$"


def ratios(benchmarks: list[dict]) -> list[list]:
    rows = [["work", "by", "time", "times ours", "memory", "error"]]
    for group, members in groups(benchmarks, growth=False).items():
        for i, benchmark in enumerate(members):
            extra = benchmark["extra_info"]
            error = extra.get("error", extra.get("diagonal_error"))
            rows.append([
                "" if i else group,
                way(benchmark),
                written(seconds(benchmark)),
                f"{seconds(benchmark) / seconds(members[0]):.3g}" if i else "1",
                f"{extra['peak_mb']}\N{NO-BREAK SPACE}MB" if extra.get("peak_mb") is not None else "",
                "" if error is None else power_of_ten(error),
            ])  # fmt: skip
    return rows


def growth(benchmarks: list[dict]) -> list[list]:
    rows = [["work", "sizes", "times", "exponent, all four", "last two", "expected"]]
    for group, members in groups(benchmarks, growth=True).items():
        sizes = [benchmark["extra_info"]["size"] for benchmark in members]
        times = [seconds(benchmark) for benchmark in members]
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        last = np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2])
        listed = ", ".join(f"{size:,}" for size in sizes), ", ".join(map(written, times))
        rows.append([group, *listed, f"{slope:.2f}", f"{last:.2f}", members[0]["extra_info"]["expected"]])
    return rows


def main() -> None:
    benchmarks = measure()
    for name, table in {"ratios": ratios(benchmarks), "growth": growth(benchmarks)}.items():
        with open(FOLDER.parent / "reports" / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    main()
