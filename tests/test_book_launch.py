"""Which buttons a page has, at GitHub and at other forges: small books, built by the theme itself."""

import nbformat
import pytest
import yaml
from bootstrap_cell import REPOSITORY
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

CONFIG = yaml.safe_load((REPOSITORY / "_config.yml").read_text("utf-8"))
NOTEBOOK = "chapters/1_mysteries.ipynb"


def links(folder, repository: str) -> list[str]:
    """Where the buttons of a page lead, in a book of one notebook whose repository stands at this address."""
    (folder / "chapters").mkdir()
    (folder / "index.md").write_text("# Book\n\n```{toctree}\nchapters/1_mysteries\n```\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Lesson")])
    nbformat.write(notebook, folder / NOTEBOOK)
    settings = {
        "extensions": ["myst_nb", "sphinxext.opengraph", "book_pages", "book_launch"],
        "nb_execution_mode": "off",
        "html_theme": "sphinx_book_theme",
        "html_theme_options": {
            "repository_url": repository,
            "repository_branch": "main",
            "launch_buttons": dict(CONFIG["launch_buttons"]),
            "use_repository_button": CONFIG["html"]["use_repository_button"],
            "use_issues_button": CONFIG["html"]["use_issues_button"],
        },
        "ogp_social_cards": {"enable": False},
    }
    built = folder / "_build"
    with docutils_namespace():
        app = Sphinx(folder, None, built, built / "tree", "html", settings, status=None, warningiserror=True)
        app.build()
    assert app.statuscode == 0
    assert (built / "sitemap.xml").exists() == repository.startswith("https://github.com/")
    page = (built / NOTEBOOK).with_suffix(".html").read_text("utf-8")
    assert ("github.io" in page) == repository.startswith("https://github.com/")
    hrefs = [a["href"] for a in BeautifulSoup(page, "html.parser").select(".article-header-buttons a[href]")]
    return [href.partition("?title")[0].partition("?issue")[0] for href in hrefs if "://" in href]


BINDER = f"/main?urlpath=lab/tree/{NOTEBOOK}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        (
            "https://github.com/you/waves",
            [
                f"https://mybinder.org/v2/gh/you/waves{BINDER}",
                f"https://colab.research.google.com/github/you/waves/blob/main/{NOTEBOOK}",
                f"https://kaggle.com/kernels/welcome?src=https://github.com/you/waves/blob/main/{NOTEBOOK}",
                "https://github.com/you/waves",
                "https://github.com/you/waves/issues/new",
            ],
        ),
        (
            "https://gitlab.com/you/waves",
            [
                f"https://mybinder.org/v2/gl/you%2Fwaves{BINDER}",
                "https://gitlab.com/you/waves",
                "https://gitlab.com/you/waves/-/issues/new",
            ],
        ),
        (
            "https://gitlab.com/school/class/waves",
            ["https://gitlab.com/school/class/waves", "https://gitlab.com/school/class/waves/-/issues/new"],
        ),
        (
            "https://gitlab.school.edu/you/waves",
            ["https://gitlab.school.edu/you/waves", "https://gitlab.school.edu/you/waves/-/issues/new"],
        ),
        ("https://gitee.com/you/waves", []),
    ],
)
def test_a_button_is_there_where_it_works(tmp_path, repository, expected):
    assert links(tmp_path, repository) == expected
