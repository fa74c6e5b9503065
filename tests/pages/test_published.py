"""What the built book promises as a whole, read from its files: light pages, shared scripts, something to move."""

from importlib.metadata import files
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import pytest
from bootstrap_cell import URL
from test_pages import BOOK, NOTEBOOKS, PAGES, REPOSITORY, parsed, unavailable

OWNER, NAME = URL.split("/")[-2:]
PUBLISHED = f"https://{OWNER.lower()}.github.io/{NAME}/"
MEGABYTE = 1_000_000
LESSONS = [page for page in NOTEBOOKS if not page.endswith("/homework")]  # the student's copy is not executed


@pytest.fixture(scope="module", autouse=True)
def book():
    if not (BOOK / "index.html").exists():
        unavailable("the book is not built: make book")


def html(page: str):
    return parsed(BOOK / f"{page}.html")


def loaded(page: str, selector: str, attribute: str) -> list[str]:
    """Where a page's elements point to, from the root of the book, with their query."""
    addresses = [urljoin(f"{page}.html", element[attribute]) for element in html(page).select(selector)]
    return [address for address in addresses if not urlsplit(address).scheme]


@pytest.mark.parametrize("page", PAGES)
def test_page_weighs_less_than_three_megabytes(page):
    """Apart from what pages share: the text, the data of its scrubbers, its pictures."""
    own = {path for path in loaded(page, "img[src]", "src") if not path.startswith("_static/")}
    weight = sum((BOOK / path).stat().st_size for path in {f"{page}.html", *own})
    assert weight < 3 * MEGABYTE


def test_shared_scripts_have_one_address_each():
    """So that a browser fetches each of them once for the whole book."""
    addresses = {address for page in PAGES for address in loaded(page, "script[src]", "src")}
    paths = [urlsplit(address).path for address in addresses]
    assert sorted(paths) == sorted(set(paths))


def test_only_the_bundle_of_mathjax_that_is_used_comes_with_the_book():
    bundles = {path.name for path in (BOOK / "_static" / "mathjax").glob("*.js")}
    assert "tex-chtml.js" in bundles
    assert not {name for name in bundles if name.startswith(("mml-", "tex-svg", "tex-mml-"))}


def test_every_script_and_font_comes_with_a_licence():
    static = BOOK / "_static"
    packages = [path.stem for path in (static / "licences").glob("*.txt") if path.stem != "MathJax"]
    # Sphinx fills in some scripts: language_data.js.jinja becomes language_data.js
    licensed = {path.name.removesuffix(".jinja").removesuffix("_t") for package in packages for path in files(package)}
    own = {path.name for name in ("static", "live") for path in (REPOSITORY / "_extensions" / name).iterdir()}
    found = {path.name for path in static.rglob("*") if path.suffix in {".js", ".ttf", ".woff2"}}
    mathjax = {path.name for path in (static / "mathjax").rglob("*")}
    assert found - mathjax - own <= licensed
    assert (static / "licences" / "MathJax.txt").exists()


@pytest.mark.parametrize("page", LESSONS)
def test_every_lesson_has_a_figure_to_move_without_a_kernel(page):
    assert html(page).select("figure.fpc-scrub, div.fpc-lab")


def test_every_chapter_has_a_figure_that_trains_in_the_page():
    chapters = {page.split("/")[1].partition(".")[0] for page in NOTEBOOKS if page[len("chapters/")].isdigit()}
    assert {page.split("/")[1] for page in NOTEBOOKS if html(page).select("div.fpc-lab")} == chapters


def test_sitemap_lists_every_page():
    tree = ElementTree.parse(BOOK / "sitemap.xml")
    listed = [element.text for element in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert sorted(listed) == sorted(f"{PUBLISHED}{page}.html" for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_shared_links_have_a_card(page):
    said = {meta["property"]: meta["content"] for meta in html(page).select('meta[property^="og:"]')}
    assert said["og:url"] == f"{PUBLISHED}{page}.html"
    assert said["og:title"] and said["og:site_name"] == "The frequency principle"
    card = said["og:image"].removeprefix(PUBLISHED)
    assert (BOOK / card).is_file()


def test_freshness_names_commit_versions_and_every_notebook():
    text = html("chapters/back_matter/freshness").select_one(".bd-article").get_text(" ", strip=True)
    for word in ("Commit", "Seed", "torch", "numpy"):
        assert word in text
    rows = html("chapters/back_matter/freshness").select(".bd-article table")[1].select("tbody tr")
    pages = {urljoin("chapters/back_matter/freshness.html", row.a["href"]) for row in rows if row.a}
    assert pages == {f"{page}.html" for page in LESSONS}
