"""The workflows of the forge, as far as they can be judged without it: pinned actions, least permissions, no injection.

Syntax and expressions are left to actionlint, which comes as no Python package: a pre-commit hook runs it, and a job of
the workflow `book`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fpcourse import __version__

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
ZIZMOR = Path(sys.executable).parent / "zizmor"


def findings(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([ZIZMOR, "--offline", "--no-progress", folder], capture_output=True, text=True, timeout=60)


def test_zizmor_finds_nothing():
    done = findings(REPOSITORY / ".github" / "workflows")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@v6"),
        ("permissions:\n  contents: read", "permissions: write-all"),
        ("persist-credentials: false", "fetch-depth: 1"),
    ],
)
def test_zizmor_would_find(tmp_path, old, new):
    text = (REPOSITORY / ".github" / "workflows" / "book.yml").read_text("utf-8")
    assert old in text
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "book.yml").write_text(text.replace(old, new), "utf-8")
    assert findings(tmp_path / ".github" / "workflows").returncode > 0


def test_whatever_fails_in_the_weekly_run_opens_an_issue():
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "weekly.yml").read_text("utf-8"))["jobs"]
    report = jobs.pop("report")
    assert set(report["needs"]) == set(jobs)
    assert report["if"] == "failure()"
    assert report["permissions"] == {"issues": "write"}
    for name in jobs:
        assert f"needs.{name}.result" in report["env"]["BODY"]


@pytest.mark.parametrize(
    ("tag", "branch", "passes"),
    [
        (f"v{__version__}", "main", True),
        ("v99.0.0", "main", False),
        (__version__, "main", False),
        (f"v{__version__}", f"v{__version__}", False),
    ],
)
def test_a_tag_must_be_the_version_and_no_branch(tmp_path, tag, branch, passes):
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "book.yml").read_text("utf-8"))["jobs"]
    (step,) = (step for step in jobs["test"]["steps"] if step.get("if") == "github.ref_type == 'tag'")
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run([*git, "init", "--quiet", "--initial-branch", branch], cwd=tmp_path, check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "release"], cwd=tmp_path, check=True)
    subprocess.run([*git, "remote", "add", "origin", str(tmp_path)], cwd=tmp_path, check=True)
    (tmp_path / "fpcourse").mkdir()
    shutil.copy(REPOSITORY / "fpcourse" / "__init__.py", tmp_path / "fpcourse")
    # as the forge runs it: it stops at the first command that fails
    environment = os.environ | {"GITHUB_REF_NAME": tag, "PATH": f"{ZIZMOR.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, timeout=60)
    assert (done.returncode == 0) == passes


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_target_of_make_exists(path):
    targets = {line.split(":")[0] for line in (REPOSITORY / "Makefile").read_text("utf-8").splitlines() if ":" in line}
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    asked = {command.split()[1] for command in commands if command.startswith("make ")}
    assert asked and asked <= targets
