"""The workflows of the forge, as far as they can be judged without it; `make lint` asks zizmor, a job actionlint."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
BOOK, WEEKLY = (yaml.safe_load(path.read_text("utf-8"))["jobs"] for path in WORKFLOWS)


def test_whatever_fails_in_the_weekly_run_opens_an_issue():
    jobs = {name: job for name, job in WEEKLY.items() if name != "report"}
    report = WEEKLY["report"]
    assert set(report["needs"]) == set(jobs)
    assert report["if"] == "failure()"
    assert report["permissions"] == {"issues": "write"}
    for name in jobs:
        assert f"needs.{name}.result" in report["env"]["BODY"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_target_of_make_exists(path):
    makefile = (REPOSITORY / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
    targets = {line.split(":")[0] for line in makefile.splitlines() if ":" in line}
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    asked = {command.split()[1] for command in commands if command.startswith("make ")}
    assert asked and asked <= targets


@pytest.mark.parametrize("job", [BOOK["test"], WEEKLY["machines"]], ids=["push", "weekly"])
def test_every_python_is_tested_on_every_system(job):
    """Linux at every push, macOS and Windows each week."""
    said = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    versions = [f"3.{minor}" for minor in range(20) if f"3.{minor}.99" in SpecifierSet(said)]
    matrix = job["strategy"]["matrix"]
    assert matrix["python"] == versions
    systems = matrix.get("os", [job["runs-on"]])
    assert [system.partition("-")[0] for system in systems] in (["ubuntu"], ["macos", "windows"])


def test_where_there_is_no_make_the_commands_are_those_of_the_readme():
    install, run = (step["run"] for step in WEEKLY["machines"]["steps"] if "run" in step)
    readme = " ".join((REPOSITORY / "README.md").read_text("utf-8").replace("\\", "").split())
    for command in install.splitlines():
        assert command.replace("python", ".venv/bin/python", 1) in readme
    assert run.strip().partition("--nbval")[2] in readme
