"""Run notebooks on the pretend GPU: `python lessons.py [STEPS] < paths`, a line of JSON for each, its errors.

With STEPS, trainings end after so many and their trajectories are filled up, as if they had converged; claims are
computed, and may be false. Each notebook runs in a process of its own, a fork of this one, which has done the imports.
"""

import contextlib
import functools
import json
import os
import re
import signal
import sys
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pretend
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot

from fpcourse import claims, data, fourier, interactive, landscape, plotting, recovery, sphere, training  # noqa: F401
from fpcourse.trajectory import Trajectory

TIMEOUT = 900  # seconds


def cut(steps: int) -> None:
    """Shorten every training to ``steps``, and let no claim end a cell."""
    train, check = training.train, claims.check

    @functools.wraps(train)
    def short(model, x, y, *, steps: int, snapshots=60, **options):
        if steps <= limit:
            return train(model, x, y, steps=steps, snapshots=snapshots, **options)
        due = np.array(training._snapshot_steps(snapshots, steps))
        run = train(model, x, y, steps=limit, snapshots=[0, limit], **options)
        rest = np.linspace(1, 0, len(due))  # what is still to be learned
        goal = run.outputs[1]
        if "evaluate_on" not in options and options.get("loss", "square") == "square":
            target = np.asarray(y).reshape(len(y), -1)
            goal = np.tile(target, (1, goal.shape[1] // target.shape[1]))
        outputs = goal + rest[:, None, None] * (run.outputs[0] - goal)
        parameters = run.parameters
        if parameters is not None:
            parameters = parameters[1] + rest[:, None] * (parameters[0] - parameters[1])
        losses = run.losses[0] * (1e-4 + rest**2)
        return Trajectory(due * run.times[1] / limit, outputs, run.inputs, losses, parameters)

    @functools.wraps(check)
    def noted(*claim, **bounds) -> None:
        with contextlib.suppress(AssertionError):
            check(*claim, **bounds)

    limit, training.train, claims.check = steps, short, noted


def run(path: Path) -> list[dict]:
    """Run all code cells, whatever fails, and return the errors."""
    os.chdir(path.parent)
    shell, errors = InteractiveShell.instance(), []
    shell.showtraceback = lambda *_, **__: None
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            result = shell.run_cell(cell.source, store_history=False)
            pyplot.close("all")
            error = result.error_before_exec or result.error_in_exec
            if error is not None:
                text = f"{cell.id}: {type(error).__name__}: {error}"
                errors.append({"error": text, "of the device": is_of_the_device(error)})
    return errors


def is_of_the_device(error: BaseException) -> bool:
    """Whether a training cut short cannot be the reason; nor can it be that of a name which a cell has not defined."""
    artefact = isinstance(error, (ValueError, IndexError, AssertionError))
    return not artefact or bool(re.search("pretend|same device|CUDA", str(error)))


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    matplotlib.use("Agg")
    pretend.install()
    if len(sys.argv) > 1:
        cut(int(sys.argv[1]))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.alarm(TIMEOUT)
            out.write(json.dumps(run(Path(line.strip()))) + "\n")
            out.flush()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status:
            out.write(json.dumps([{"error": f"it ended with status {status}", "of the device": True}]) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
