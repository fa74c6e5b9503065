"""The pins: what requirements.txt asks for by name, and requirements-hashed.txt, which `make pins` makes of it."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """(requirement, hashes) of each entry of the file."""
    lines = [line.partition("#")[0] for line in (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()]
    parts = [line.split("--hash=") for line in lines if line.strip()]
    return [(Requirement(first), [hash.strip() for hash in hashes]) for first, *hashes in parts]


def pins(name: str) -> dict[str, tuple[str, str]]:
    """Name, as the registry spells it: (version, marker)."""
    found = {
        re.sub(r"[-_.]+", "-", requirement.name).lower(): (str(requirement.specifier), str(requirement.marker))
        for requirement, _ in entries(name)
    }
    assert len(found) == len(entries(name)), f"{name} names a package twice"
    return found


def test_both_files_pin_the_same_versions():
    direct, hashed = pins("requirements.txt"), pins("requirements-hashed.txt")
    assert direct.pop("torch") and "torch" not in hashed
    assert {name: hashed.get(name) for name in direct} == direct, "run `make pins`"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-hashed.txt"])
def test_every_entry_is_one_version_from_the_registry(name):
    for requirement, _ in entries(name):
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(requirement.specifier)), f"{requirement} is no pin"
        assert requirement.url is None
    assert "://" not in (ROOT / name).read_text("utf-8")


def test_every_entry_has_hashes():
    for requirement, hashes in entries("requirements-hashed.txt"):
        assert hashes, f"{requirement} has no hash"
        assert len(set(hashes)) == len(hashes)
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", hash) for hash in hashes), requirement


@pytest.mark.parametrize("name", ["Makefile", "README.md", "fpcourse/grading/Containerfile"])
def test_what_has_hashes_is_installed_first_and_from_wheels_only(name):
    installs = re.findall(r"(?:pip install|PIP\)) (.*-r.*)", (ROOT / name).read_text("utf-8"))
    with_hashes, with_torch = installs
    assert "--only-binary :all: --require-hashes" in with_hashes and "requirements-hashed.txt" in with_hashes
    assert "--only-binary :all:" in with_torch and "requirements.txt" in with_torch
