"""Every claim of the book at every seed: ``make claims SEEDS=20``.

Some notebooks alone: ``python tests/tools/every_seed.py --seeds 20 chapters/1_mysteries.ipynb``, which writes no table.
Runs every notebook of the book at the seeds 0, 1, ..., two at a time on one thread each, and prints a line for each.
Results are kept in _build/claims, so that a run that was stopped goes on where it was, and those of which every claim
holds in tests/reports/runs.jsonl, in git: only what has changed since (its code, the modules it imports, the data, the
pins and Python) runs again. With all notebooks it writes two tables: tests/reports/claims.csv, a row for each
claim with the distance of its measurements to the bound in standard deviations over the seeds, and the page
every_seed.md of the book, a row for each notebook, with its time and its memory. Ends with status 1 where a claim fails
at any seed. ``--first 100`` begins at seed 100, for seeds that nobody has tuned on, and keeps and writes nothing.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import joblib
import nbformat
import numpy as np
import yaml
from nbclient import NotebookClient

from fpcourse import sweep
from fpcourse._files import written_whole

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "_extensions"))
from dependencies import version_of  # noqa: E402

KEPT = REPOSITORY / "_build/claims"
RUNS = REPOSITORY / "tests/reports/runs.jsonl"
CLAIMS = REPOSITORY / "tests/reports/claims.csv"
PAGE = REPOSITORY / "chapters/back_matter/every_seed.md"
# Run as the last cell of a notebook: the most memory its kernel ever held, in kB (ru_maxrss would count its parent's).
PEAK = r"import re; print(re.search(r'VmHWM:\s*(\d+)', open('/proc/self/status').read())[1])"
NUMBERS = ("least", "largest", "above", "below", "seconds", "peak_mb")  # of a run
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def notebooks() -> list[str]:
    """The notebooks of the book in reading order, as paths in the repository; not the homework: it awaits answers."""

    def below(entry: dict) -> list[str]:
        parts = (entry, *entry.get("subtrees", []))
        return [entry["file"], *(file for part in parts for each in part.get("sections", []) for file in below(each))]

    contents = yaml.safe_load((REPOSITORY / "_toc.yml").read_text())["chapters"]
    files = [file for chapter in contents for file in below(chapter)]
    paths = [f"{file}.ipynb" for file in files if not file.endswith("homework")]
    return [path for path in paths if (REPOSITORY / path).exists()]


def run_notebook(
    notebook: str, seed: int, version: str, book: nbformat.NotebookNode | None = None, timeout: int = 600
) -> dict:
    """Run one notebook at one seed in a kernel of its own; ``version`` is there to name the result after.

    ``book`` runs in its place where given, with errors planted, say. A cell may take ``timeout`` seconds.

    Figures are made but not drawn. A cell that fails does not stop the others, so that all failing claims are found.
    Raises RuntimeError where the machine, not the notebook, made a cell fail: kept, it would count as a failing claim.
    """
    path = REPOSITORY / notebook
    book = nbformat.read(path, as_version=4) if book is None else book
    if sys.platform == "linux":
        book.cells.append(nbformat.v4.new_code_cell(PEAK))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        claims = Path(folder, "claims.jsonl")
        claims.touch()
        environment = os.environ | THREADS | {"MPLBACKEND": "agg", "TQDM_DISABLE": "1", "PYTHONPATH": str(REPOSITORY),
                                              "FPCOURSE_SEED": str(seed), "FPCOURSE_CLAIMS": str(claims)}  # fmt: skip
        client = NotebookClient(book, timeout=timeout, allow_errors=True, resources={"metadata": {"path": path.parent}})
        client.execute(env=environment)
        rows = [json.loads(line) for line in claims.read_text("utf-8").splitlines()]
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    peak_mb = int(outputs[-1].text) / 1024 if sys.platform == "linux" else np.nan
    failed = [output for output in outputs if output.output_type == "error"]
    errors = [f"{output.ename}: {output.evalue}".splitlines()[0] for output in failed]
    if any(output.ename in ("OSError", "MemoryError") for output in failed):
        raise RuntimeError(f"{notebook} at seed {seed} was short of disk or memory, and is not kept: {errors}")
    numbers = {
        key: np.array([np.nan if row[key] is None else float(row[key]) for row in rows])
        for key in ("least", "largest", "above", "below")
    }
    return numbers | {
        "claims": np.array([row["claim"] for row in rows], dtype=str),
        "holds": np.array([row["holds"] for row in rows], dtype=bool),
        "errors": np.array(errors, dtype=str),
        "seconds": np.array(time.monotonic() - started),
        "peak_mb": np.array(peak_mb),
    }


def deviations(measured: np.ndarray, bound: np.ndarray, sign: int, logs: bool) -> float:
    """How many standard deviations over the seeds lie between the mean and the bound, of their logarithms if ``logs``.

    inf where there is no such bound, or all seeds measure the same.
    """
    measured, bound = measured[~np.isnan(bound)], bound[~np.isnan(bound)]
    if not len(bound) or np.ptp(measured) == 0 or np.isinf(bound).any():
        return np.inf
    if logs:
        measured, bound = np.log(measured), np.log(bound)
    return float(sign * np.mean(measured - bound) / np.std(measured, ddof=1))


def by_claim(results: list[dict]) -> list[dict]:
    """For each claim of a notebook its range, its bounds and its distance to them over the seeds, one result each."""
    rows = []
    for claim in dict.fromkeys(claim for result in results for claim in result["claims"].tolist()):
        found = {
            key: np.concatenate([result[key][result["claims"] == claim] for result in results]) for key in NUMBERS[:4]
        }
        # a positive ratio on a logarithmic scale; what may have both signs as it is
        logs = not any((found[key] <= 0).any() for key in ("least", "above", "below"))
        distance = min(
            deviations(found["least"], found["above"], 1, logs), deviations(found["largest"], found["below"], -1, logs)
        )
        rows.append(
            {
                "claim": claim,
                "least": found["least"].min(),
                "largest": found["largest"].max(),
                "above": np.nanmean(found["above"]) if not np.isnan(found["above"]).all() else "",
                "below": np.nanmean(found["below"]) if not np.isnan(found["below"]).all() else "",
                "deviations": distance,
                "one value at all seeds": bool(np.ptp(found["least"]) == 0 and np.ptp(found["largest"]) == 0),
            }
        )
    return rows


def known() -> dict[str, dict]:
    """What RUNS holds: for each notebook its version, its claims, and the measurements by seed."""
    if not RUNS.exists():
        return {}
    lines = [json.loads(line) for line in RUNS.read_text("utf-8").splitlines()]
    return {line["notebook"]: line for line in lines}


def recalled(point: dict, kept: dict[str, dict]) -> dict | None:
    """The result of a run of this notebook, at this version and seed, from what RUNS holds; None where it has none."""
    line = kept.get(point["notebook"], {})
    run = line["runs"].get(str(point["seed"])) if line.get("version") == point["version"] else None
    if run is None:
        return None
    numbers = {key: np.array([np.nan if each is None else float(each) for each in run[key]]) for key in NUMBERS}
    return numbers | {"claims": np.array(line["claims"], str), "errors": np.array([], str)}


def keep(points: list[dict], results: list[dict], kept: dict[str, dict]) -> None:
    """Write to RUNS the runs in which every claim holds, beside those that it has of the same version."""
    for point, result in zip(points, results, strict=True):
        new = {
            "notebook": point["notebook"],
            "version": point["version"],
            "claims": result["claims"].tolist(),
            "runs": {},
        }
        line = kept.get(point["notebook"], new)
        if (line["version"], line["claims"]) != (new["version"], new["claims"]):
            line = new
        if not len(result["errors"]):
            line["runs"][str(point["seed"])] = {
                key: [f"{x:.5g}" for x in np.atleast_1d(result[key])] for key in NUMBERS
            }
        kept[point["notebook"]] = line
    with written_whole(RUNS) as file:
        file.write("".join(json.dumps(kept[name]) + "\n" for name in notebooks() if name in kept).encode())


def write_tables(table: dict[str, list[dict]], seeds: int) -> None:
    """Write claims.csv and the page of the book from the results of every notebook, one for each seed."""
    lines = [
        "# Every claim at every seed",
        "",
        f"Every notebook of the book, run at the seeds 0 to {seeds - 1} by `make claims SEEDS={seeds}`. In the third"
        " column each seed has a sign, in order: a dot where every claim holds, else how many fail (+ for more than"
        " nine). The fourth says how far a claim's measurements lie from its bound, in standard deviations over the"
        " seeds (of logarithms where all are positive): the least of the notebook's claims, which the fifth names. The"
        " sixth counts the claims that measure the same at every seed: nothing in them is random, or they count."
        " The range of each claim stands in `tests/reports/claims.csv`. The last columns are the median time of a run,"
        " from the start of its kernel to its end, on one thread and two runs side by side, and the most memory that a"
        " kernel ever held.",
        "",
        "| notebook | claims | seeds | least distance | of the claim | same | s | MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    for notebook, results in table.items():
        claims = by_claim(results)
        if notebook == next(iter(table)):
            rows.writerow(["notebook", *claims[0]])
        rows.writerows([notebook, *(f"{x:.4g}" if isinstance(x, float) else x for x in row.values())] for row in claims)
        failing = [len(result["errors"]) for result in results]
        marks = "".join("·" if n == 0 else str(n) if n < 10 else "+" for n in failing)
        nearest = min(claims, key=lambda row: row["deviations"], default={"claim": "", "deviations": np.inf})
        same = sum(row["one value at all seeds"] for row in claims)
        seconds = np.median([result["seconds"] for result in results])
        peak_mb = np.max([result["peak_mb"] for result in results])
        label = Path(notebook).stem
        lines.append(
            f"| [{label}](../{Path(notebook).relative_to('chapters')}) | {len(claims)} | `{marks}` "
            f"| {nearest['deviations']:.1f} | {nearest['claim'].replace('|', chr(92) + '|')} | {same} "
            f"| {seconds:.0f} | {peak_mb:.0f} |"
        )
    for path, text in ((CLAIMS, written.getvalue()), (PAGE, "\n".join(lines) + "\n")):
        with written_whole(path) as file:  # however a run ends
            file.write(text.encode())


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="from the repository's root; all of the book where none is given")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed; any but 0 writes no table")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    chosen = options.notebooks or notebooks()
    points = [
        {"notebook": notebook, "seed": seed, "version": version_of(REPOSITORY / notebook, REPOSITORY)}
        for notebook in chosen
        for seed in range(options.first, options.first + options.seeds)
    ]
    kept = known()
    results = [recalled(point, kept) for point in points]
    missing = [i for i, result in enumerate(results) if result is None]
    if missing:
        with joblib.parallel_config(backend="loky", n_jobs=options.jobs):
            new = sweep.run(run_notebook, [points[i] for i in missing], folder=KEPT)
        for i, result in zip(missing, new, strict=True):
            results[i] = result
        if not options.first:
            keep([points[i] for i in missing], new, kept)
    table = {name: results[i * options.seeds : (i + 1) * options.seeds] for i, name in enumerate(chosen)}
    for notebook, runs in table.items():
        for seed, result in enumerate(runs, options.first):
            for error in result["errors"]:
                print(f"{notebook} at seed {seed}: {error}")
    if not options.notebooks and not options.first:
        write_tables(table, options.seeds)
    failing = sum(bool(len(result["errors"])) for result in results)
    print(f"{len(results)} runs, {failing} with a claim that fails")
    return int(failing > 0)


if __name__ == "__main__":
    sys.exit(main())
