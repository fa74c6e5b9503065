"""Draw the posters of the figures that train in the page: what print and readers without JavaScript see.

``python tests/tools/live_posters.py [name ...]`` plays each figure in Chromium for a while, as it is and in every state
in which a page of the book shows it, and keeps its panels as inline SVG, ``_extensions/live/NAME.poster.html``; their
colours come from the style sheet and suit both themes.
"""

import ast
import html
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl

import nbformat

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "_extensions"))
import book_live  # noqa: E402

LIVE = book_live.LIVE
# what the status line says when the picture is taken; nothing: before anything has moved
MOMENTS = {
    "train": r"Step ([3-9]\d\d|\d{4})",
    "condense": r"relative loss [0-4]\.",
    "matrix": "wrong|Recovered",
}
NAMES = sorted(path.stem for path in LIVE.glob("*.js") if path.stem not in ("engine", "frame"))
CALL = re.compile(r"^interactive\.live\(.*?\)$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{live-figure\} (\w+)\n(?::state: (.*)\n)?", re.MULTILINE)


def shown() -> list[tuple[str, dict[str, object]]]:
    """Name and state of every figure in the book."""
    found = []
    for path in sorted([REPOSITORY / "index.md", *(REPOSITORY / "chapters").rglob("*.*")]):
        if path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            calls = [call for cell in cells if cell.cell_type == "code" for call in CALL.findall(cell.source)]
            for call in (ast.parse(call, mode="eval").body for call in calls):
                state = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
                found.append((ast.literal_eval(call.args[0]), state))
        elif path.suffix == ".md":
            for _, name, state in DIRECTIVE.findall(path.read_text("utf-8")):
                found.append((name, dict(parse_qsl(state))))
    return found


def page_of(name: str, state: dict[str, object] | None = None) -> str:
    """A page that holds one figure."""
    figure = f'<div class="fpc-lab" data-figure="{name}" data-state="{html.escape(json.dumps(state or {}))}"></div>'
    scripts = "".join(f'<script src="{LIVE / script}.js"></script>' for script in ("engine", "frame", name))
    return (
        f'<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="{LIVE / "live.css"}"><body style="margin: 0 auto; max-width: 800px">'
        f"<main><h1>{name}</h1>{figure}{scripts}</main></body></html>"
    )


def draw(browser, name: str, state: dict[str, object], folder: Path) -> str:
    path = folder / f"{name}.html"
    path.write_text(page_of(name, state), "utf-8")
    page = browser.new_context(viewport={"width": 800, "height": 900}).new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".fpc-on")
    if moment := MOMENTS.get(name):
        page.click(".fpc-play")
        says = "pattern => RegExp(pattern).test(document.querySelector('.fpc-status').textContent)"
        page.wait_for_function(says, arg=moment, polling=10)
        page.click(".fpc-play")
    page.wait_for_timeout(500)
    page.evaluate("""document.querySelectorAll('.fpc-stage canvas').forEach(canvas => canvas.replaceWith(
        Object.assign(new Image(), { alt: canvas.ariaLabel, src: canvas.toDataURL() })))""")
    drawn = page.evaluate("[...document.querySelector('.fpc-stage').children].map(e => e.outerHTML).join('\\n')")
    page.context.close()
    # nothing to press, to drag or to name: a picture with a label, and a board of texts
    drawn = re.sub(r'(<(?:circle|g|button)\b[^>]*?) aria-label="[^"]*"', r"\1", drawn)
    drawn = drawn.replace('<svg role="group"', '<svg role="img"')
    drawn = re.sub(r"(</?)button", r"\1span", drawn)
    drawn = re.sub(r' (role="(slider|button)"|(tabindex|type|aria-pressed|aria-value\w+|data-\w+)="[^"]*")', "", drawn)
    return drawn + "\n"


def main(names: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running, tempfile.TemporaryDirectory() as folder:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        every = {book_live.poster(*figure): figure for figure in [*((name, {}) for name in NAMES), *shown()]}
        for path, (name, state) in every.items():
            if names and name not in names:
                continue
            path.write_text(draw(browser, name, state, Path(folder)), "utf-8")
            print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
