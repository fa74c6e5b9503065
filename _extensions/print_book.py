"""Print the built book into one PDF, without a network: ``make pdf``, after ``make book``. Takes Debian's chromium.

A page is loaded from the address it is published at, with every file taken from the build: so links from page to page
lead to the published book. Figures with a slider are printed as they stand at their first step.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfWriter
from sphinx_external_toc.parsing import parse_toc_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
BOOK = REPOSITORY / "_build" / "html"
MARGIN = "15mm"
SCALE = 0.8
BETWEEN_MARGINS = {"width": int(680 / SCALE), "height": 1000}  # of A4, in px: figures are drawn as wide as they print


def published_at() -> str:
    """The address of the published book, as its pages state it."""
    return re.search(r'rel="canonical" href="(.*)index.html"', (BOOK / "index.html").read_text("utf-8")).group(1)


def printed(browser: Browser, pages: list[str]) -> Iterator[tuple[str, bytes]]:
    """(title, PDF) of each page, with its equations and its figures drawn."""
    address = published_at()

    def local(url: str) -> str:
        return unquote(urlsplit(url.removeprefix(address)).path)

    page = browser.new_page(viewport=BETWEEN_MARGINS)
    page.route("**/*", lambda route: route.abort())
    page.route(f"{address}**", lambda route: route.fulfill(path=BOOK / local(route.request.url)))
    for name in pages:
        page.goto(f"{address}{name}.html", wait_until="load")
        page.evaluate("window.MathJax?.startup?.promise")
        for figure in page.query_selector_all("figure.fpc-scrub"):
            figure.scroll_into_view_if_needed()
        page.wait_for_function("!document.querySelector('figure.fpc-scrub:not(.fpc-ready)')")
        margin = dict.fromkeys(("top", "right", "bottom", "left"), MARGIN)
        title = page.evaluate("document.querySelector('.bd-article h1')?.firstChild.textContent")
        yield title or name, page.pdf(format="A4", margin=margin, scale=SCALE, print_background=True)
    page.close()


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("there is no chromium: apt-get install chromium")
    out = PdfWriter()
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for title, pdf in printed(browser, [str(page) for page in parse_toc_yaml(REPOSITORY / "_toc.yml")]):
            out.append(io.BytesIO(pdf), outline_item=title)
            print(f"{len(out.pages):4d} pages, with {title}")
        browser.close()
    out.add_metadata({"/Title": "The frequency principle: from phenomena to theory"})
    out.write(BOOK.parent / "book.pdf")


if __name__ == "__main__":
    main()
