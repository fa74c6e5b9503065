"""Draw the posters of the figures that train in the page: what print and readers without JavaScript see.

``python tests/tools/live_posters.py [name ...]`` plays each figure in Chromium for a while and keeps its panels as
inline SVG, ``_extensions/live/NAME.poster.html``; their colours come from the style sheet and suit both themes.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

LIVE = Path(__file__).resolve().parents[2] / "_extensions" / "live"
# what the status line says when the picture is taken; nothing: before anything has moved
MOMENTS = {
    "train": r"Step ([3-9]\d\d|\d{4})",
    "condense": r"relative loss [0-4]\.",
    "matrix": "wrong|Recovered",
    "choose": None,
}


def page_of(name: str) -> str:
    """A page that holds one figure."""
    scripts = "".join(f'<script src="{LIVE / script}.js"></script>' for script in ("engine", "frame", name))
    return (
        f'<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="{LIVE / "live.css"}"><body style="margin: 0 auto; max-width: 800px">'
        f'<main><h1>{name}</h1><div class="fpc-lab" data-figure="{name}"></div>{scripts}</main></body></html>'
    )


def poster(browser, name: str, folder: Path) -> str:
    path = folder / f"{name}.html"
    path.write_text(page_of(name), "utf-8")
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
    drawn = re.sub(r"(</?)button", r"\1span", drawn)  # there is nothing to press
    drawn = re.sub(r' (role="slider"|(tabindex|type|aria-pressed|aria-value\w+|data-\w+)="[^"]*")', "", drawn)
    return drawn + "\n"


def main(names: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running, tempfile.TemporaryDirectory() as folder:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        for name in names or MOMENTS:
            (LIVE / f"{name}.poster.html").write_text(poster(browser, name, Path(folder)), "utf-8")
            print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
