"""Sphinx extension: a search finds a term first on the page that explains it, which ``book_index`` names."""

from __future__ import annotations

import pickle
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import ENV_PICKLE_FILENAME
from sphinx.transforms import SphinxTransform


class MainEntries(SphinxTransform):
    """Give a page the main index entries that the configuration lists for it: {page: [terms]}."""

    default_priority = 800  # before the index is made

    def apply(self) -> None:
        terms = self.config.book_index.get(self.env.docname, [])
        section = next(self.document.findall(nodes.section), None)
        if terms and section is not None:
            entries = [("single", term, section["ids"][0], "main", None) for term in terms]
            section.insert(1, addnodes.index(entries=entries))  # after the title


def remember(app, error: Exception | None) -> None:
    """Save what the search has learned: Sphinx saves before it writes the pages, and forgets those of this build."""
    if error is None and app.builder.format == "html":
        path = Path(app.doctreedir, ENV_PICKLE_FILENAME)
        path.write_bytes(pickle.dumps(app.env, pickle.HIGHEST_PROTOCOL))


def setup(app) -> dict[str, bool]:
    app.add_config_value("book_index", {}, "env", types=[dict])
    app.add_transform(MainEntries)
    app.connect("build-finished", remember)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
