"""licences.csv, which `make licences` writes, and what licences.md says about it."""

import csv
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from test_requirements import pins

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "licences.md").read_text("utf-8")
NOT_PERMISSIVE = re.compile(r"\b([AL]?GPL|MPL|EPL|EUPL|CDDL|GNU|Mozilla|Proprietary|UNKNOWN)")


def packages() -> dict[str, dict[str, str]]:
    with open(ROOT / "licences.csv", encoding="utf-8", newline="") as file:
        return {canonicalize_name(row["Name"]): row for row in csv.DictReader(file)}


def test_every_pin_is_listed():
    pinned = pins("requirements-hashed.txt") | {"torch": pins("requirements.txt")["torch"]}
    # torch says after its version how it was built: 2.13.0+cpu
    listed = {name: f"=={Version(row['Version']).public}" for name, row in packages().items()}
    everywhere = {name for name, (_, marker) in pinned.items() if marker == "None"}
    assert everywhere <= set(listed) <= set(pinned), "run `make licences`"
    assert {name: pinned[name][0] for name in listed} == listed, "run `make licences`"


def test_what_is_not_permissive_is_explained():
    table = PAGE.partition("## What is not permissive")[2].partition("What wheels carry inside")[0]
    explained = set(re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE))
    assert {name for name, row in packages().items() if NOT_PERMISSIVE.search(row["License"])} == explained


@pytest.mark.parametrize(
    ("script", "package", "file", "version"),
    [
        ("MathJax", "sphinx-mathjax-offline", "mathjax/core.js", r'VERSION="([\d.]+)"'),
        ("plotly.js", "plotly", "plotly.min.js", r"plotly\.js v([\d.]+)"),
        ("Bootstrap", "pydata-sphinx-theme", "bootstrap.js.LICENSE.txt", r"Bootstrap v([\d.]+)"),
        ("Font Awesome Free", "pydata-sphinx-theme", "fontawesome.js.LICENSE.txt", r"Font Awesome Free ([\d.]+)"),
        ("clipboard.js", "sphinx-copybutton", "clipboard.min.js", r"clipboard\.js v([\d.]+)"),
    ],
)
def test_scripts_of_the_book_are_listed_with_their_versions(script, package, file, version):
    (path,) = (path for path in distribution(package).files if str(path).endswith(file))
    found = re.search(version, path.read_text("utf-8"))[1]
    assert f"| {script} | {found} | `{package}` |" in PAGE
