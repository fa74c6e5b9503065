"""Sphinx extension: what ``make links`` does when it asks the addresses outside the book whether they still answer."""

from __future__ import annotations

DOI = "https://doi.org/"


def leave_notebooks_alone(app) -> None:
    """Execute nothing: the addresses stand in the text."""
    if app.builder.name == "linkcheck":
        app.config.nb_execution_mode = "off"


def ask_the_registry(app, address: str) -> str | None:
    """Ask for a DOI where it is registered: many publishers turn programs away, and would look like dead links."""
    return f"{DOI}api/handles/{address.removeprefix(DOI)}" if address.startswith(DOI) else None


def setup(app) -> dict[str, bool]:
    app.connect("builder-inited", leave_notebooks_alone, priority=400)  # before myst-nb reads its configuration
    app.connect("linkcheck-process-uri", ask_the_registry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
