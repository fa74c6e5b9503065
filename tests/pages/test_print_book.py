"""The book on paper: pages of the build, printed and bound without a network."""

import io
import re

import print_book
import pytest
from test_pages import BOOK, unavailable


def test_a_page_prints_with_its_figures_drawn_and_links_to_the_published_book(browser):
    if not (BOOK / "index.html").exists():
        unavailable("the book is not built: make book")
    pypdf = pytest.importorskip("pypdf")
    ((title, content),) = print_book.printed(browser, ["chapters/fourier_primer"])
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    text = " ".join(page.extract_text() for page in pages)
    assert title == "Fourier primer" and title in text
    assert "takes JavaScript" not in text  # the dial is drawn
    links = [note["/A"]["/URI"] for page in pages for note in page.get("/Annots", []) if "/URI" in note.get("/A", {})]
    assert any(link.endswith("chapters/2_frequency_principle.html") for link in links)
    assert all(re.match(r"https?://", link) and "127.0.0.1" not in link for link in links)
