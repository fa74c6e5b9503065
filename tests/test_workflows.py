"""The workflows of the forge, as far as they can be judged without it; `make lint` asks zizmor, a job actionlint."""

from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def test_whatever_fails_in_the_weekly_run_opens_an_issue():
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "weekly.yml").read_text("utf-8"))["jobs"]
    report = jobs.pop("report")
    assert set(report["needs"]) == set(jobs)
    assert report["if"] == "failure()"
    assert report["permissions"] == {"issues": "write"}
    for name in jobs:
        assert f"needs.{name}.result" in report["env"]["BODY"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_target_of_make_exists(path):
    targets = {line.split(":")[0] for line in (REPOSITORY / "Makefile").read_text("utf-8").splitlines() if ":" in line}
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    asked = {command.split()[1] for command in commands if command.startswith("make ")}
    assert asked and asked <= targets
