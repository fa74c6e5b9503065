"""What others need to cite the course, and what the course cites."""

from pathlib import Path

import pytest
import yaml
from bootstrap_cell import URL
from pybtex.database import parse_file

import fpcourse

ROOT = Path(__file__).resolve().parents[1]
SOURCES = parse_file(ROOT / "references.bib").entries
NOWHERE = {  # published where no such number or address was given
    "lawrence1997lessons",
    "zhang2025course",
}


def test_citation_file_names_this_version_and_address():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == fpcourse.__version__
    assert citation["repository-code"] == URL
    page = (ROOT / "chapters" / "back_matter" / "how_to_cite.md").read_text("utf-8")
    assert f"Version {fpcourse.__version__}." in page
    assert citation["title"] in page
    assert f"## {fpcourse.__version__}\n" in (ROOT / "chapters" / "back_matter" / "changelog.md").read_text("utf-8")


@pytest.mark.parametrize("key", SOURCES)
def test_every_source_can_be_found(key):
    fields = {name.lower() for name in SOURCES[key].fields}
    assert key in NOWHERE or fields & {"doi", "eprint", "isbn", "url"}
    assert "eprint" not in fields or "archiveprefix" in fields
