"""Sphinx extension: the buttons that open a notebook elsewhere, and only those that work where the repository is.

Colab and Kaggle read notebooks from GitHub, and the theme knows how to address Binder at GitHub and GitLab only.
"""

from __future__ import annotations

from urllib.parse import urlsplit

COLAB, KAGGLE = (
    "https://colab.research.google.com/github/",
    "https://kaggle.com/kernels/welcome?src=https://github.com/",
)


def leave_out(app, config) -> None:
    """Take back the buttons of `_config.yml` that cannot work for a repository at this address."""
    options = config.html_theme_options
    url = urlsplit(options["repository_url"].rstrip("/"))
    launch = options.get("launch_buttons", {})
    if url.hostname != "github.com":
        launch.pop("colab_url", None)
    if url.hostname not in ("github.com", "gitlab.com") or url.path.count("/") != 2:  # a subgroup of GitLab
        launch.pop("binderhub_url", None)
    if not any(forge in url.hostname for forge in ("github", "gitlab")):  # the theme stops at others
        options |= {"repository_url": "", "use_repository_button": False, "use_issues_button": False}


def add_kaggle(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Put Kaggle beside Colab: both take a notebook by its address on GitHub."""
    for group in context.get("header_buttons", []):
        for button in [each for each in group.get("buttons", []) if each.get("url", "").startswith(COLAB)]:
            kaggle = {"text": "Kaggle", "tooltip": "Launch on Kaggle", "icon": "fab fa-kaggle"}
            group["buttons"].append({"type": "link", **kaggle, "url": button["url"].replace(COLAB, KAGGLE)})


def setup(app) -> dict[str, bool]:
    app.connect("config-inited", leave_out, priority=900)  # after book_pages has read the address
    app.connect("html-page-context", add_kaggle, priority=900)  # after the theme has made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
