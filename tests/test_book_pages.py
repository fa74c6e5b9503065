"""What the extension of the pages adds to them."""

from types import SimpleNamespace

import book_pages

MINE = {"repo": "me/mine", "repo-id": "R_1", "category": "Pages", "category-id": "C_1"}


def body(settings: dict, doctree: object = True) -> str:
    context = {"body": "<p>text</p>"}
    app = SimpleNamespace(config=SimpleNamespace(book_comments=settings))
    book_pages.add_comments(app, "page", "page.html", context, doctree)
    return context["body"]


def test_comments_are_asked_for_where_a_repository_is_named():
    assert 'data-repo="me/mine"' in body(MINE) and 'data-mapping="pathname"' in body(MINE)
    assert 'data-mapping="title"' in body(MINE | {"mapping": "title"})


def test_without_one_no_page_asks_another_host():
    assert body({}) == body(MINE, doctree=None) == "<p>text</p>"
