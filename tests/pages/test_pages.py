"""The built book as a reader meets it: every page of the table of contents, in a browser, with no network.

`make book` builds it first. Takes Debian's chromium; without one these tests are skipped, except where CI is set.
"""

import functools
import os
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from sphinx_external_toc.parsing import parse_toc_yaml

REPOSITORY = Path(__file__).resolve().parents[2]
BOOK = REPOSITORY / "_build" / "html"
PAGES = [str(page) for page in parse_toc_yaml(REPOSITORY / "_toc.yml")]
NOTEBOOKS = [page for page in PAGES if (REPOSITORY / f"{page}.ipynb").exists()]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1300, "height": 900}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def unavailable(reason: str):
    """Skip on a reader's laptop, fail where the tests are meant to be complete."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def complaint(line) -> bool:
    """Errors and warnings, but not what a machine without a graphics card says about the speed of a landscape."""
    slow = ("GL Driver Message (OpenGL, Performance", "willReadFrequently", "software WebGL")
    return line.type in ("error", "warning") and not any(each in line.text for each in slow)


def opened(browser, address: str, name: str):
    """Open a page and note what it asks for and what goes wrong."""
    page = browser.new_context(viewport=DESKTOP, color_scheme="light").new_page()
    seen = SimpleNamespace(browser=browser, page=page, name=name, requests=[], errors=[])
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda line: seen.errors.append(line.text) if complaint(line) else None)
    page.on("response", lambda got: seen.errors.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    page.goto(f"{address}{name}.html", wait_until="load")
    page.evaluate("window.MathJax?.startup?.promise")
    return seen


def scrubbers(visit):
    return visit.page.query_selector_all("figure.fpc-scrub")


@functools.cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


@functools.cache
def anchors(path: Path) -> set[str]:
    return {tag["id"] for tag in parsed(path).find_all(id=True)}


def asks_no_other_host_and_raises_no_error(visit, address):
    elsewhere = [url for url in visit.requests if not url.startswith((address, "data:", "blob:"))]
    assert not elsewhere
    assert not visit.errors


def loads_plotly_only_for_a_scrubber(visit, address):
    loaded = any("plotly.min.js" in url for url in visit.requests)
    assert loaded == bool(scrubbers(visit))


def equations_are_rendered(visit, address):
    raw = visit.page.evaluate(
        """[...document.querySelectorAll("span.math, div.math")].filter(e => !e.querySelector("mjx-container"))
        .map(e => e.textContent)"""
    )
    wrong = visit.page.evaluate("[...document.querySelectorAll('mjx-merror')].map(e => e.textContent)")
    assert not raw
    assert not wrong
    # dollars left in the text are mathematics that was not recognised
    text = visit.page.evaluate("[...document.querySelectorAll('.bd-article p')].map(p => p.innerText).join(' ')")
    assert "$" not in text


def links_lead_somewhere(visit, address):
    links = visit.page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
    broken = []
    for link in {link for link in links if link.startswith(address)}:
        parts = urlsplit(link)
        target = BOOK / (unquote(parts.path).lstrip("/") or "index.html")
        if not target.is_file() or (
            target.suffix == ".html" and parts.fragment and unquote(parts.fragment) not in anchors(target)
        ):
            broken.append(link)
    assert not broken


def images_have_alternative_text(visit, address):
    bare = visit.page.evaluate(
        """[...document.querySelectorAll("main img, .bd-article [role=img]:not([aria-hidden=true])")]
        .filter(i => !(i.alt ?? i.ariaLabel) || i.alt?.includes("_images/")).map(i => i.outerHTML.slice(0, 200))"""
    )
    assert not bare


def fits_a_phone(visit, address):
    visit.page.set_viewport_size(PHONE)
    visit.page.wait_for_timeout(300)
    wide = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    stacked = visit.page.evaluate(
        """[...document.querySelectorAll("figure.fpc-scrub .fpc-plot")]
        .every(p => Object.entries(p.layout).every(([k, v]) => !/^xaxis/.test(k) || v.domain[1] - v.domain[0] === 1))"""
    )
    squeezed = visit.page.evaluate(
        """[...document.querySelectorAll(".bd-article .cell_output img")]
            .map(i => (i.width / i.height) / (i.naturalWidth / i.naturalHeight))
            .filter(ratio => Math.abs(ratio - 1) > 0.05).length"""
    )
    cut = visit.page.evaluate(
        """[...document.querySelectorAll(".bd-article table")].filter(table => {
            const chain = [table];
            while (!chain[0].matches(".bd-article")) chain.unshift(chain[0].parentElement);
            return chain.some(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "hidden");
        }).length"""
    )
    visit.page.set_viewport_size(DESKTOP)
    assert wide == 0
    assert squeezed == 0
    assert cut == 0  # a table that is too wide scrolls in its own box
    assert stacked


def is_accessible_in_both_themes(visit, address):
    """Contrast, names, roles: what axe-core finds in the text itself; frame and list of citations are Sphinx's own."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    article = {"include": [".bd-article"], "exclude": [".citation-list"]}
    serious = []
    for theme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=theme)
        visit.page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
        visit.page.wait_for_timeout(300)
        # of all that axe looks at, contrast alone depends on the theme
        options = {"preload": False} | ({"runOnly": ["color-contrast"]} if theme == "dark" else {})
        serious += [
            f"{theme}: {finding['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
            for finding in axe.run(visit.page, context=article, options=options).response["violations"]
            if finding["impact"] in ("serious", "critical")
            for node in finding["nodes"]
        ]
    assert not serious


STOP_UNDER_WAY = """f => {
    const [slider, output, play] = ["input[type=range]", "output", "button"].map(name => f.querySelector(name));
    new MutationObserver((_, observer) => {
        if (play.textContent !== "Pause" || slider.value === "0") return;
        observer.disconnect();
        play.click();
        play.dataset.stoppedAt = slider.value;
    }).observe(output, { childList: true });
}"""


def scrubbers_move(visit, address):
    """By keyboard and by the play button, and the label says where one is."""
    curves = "f => JSON.stringify(f.querySelector('.fpc-plot').data.map(t => [t.x, t.y, t.z]))"
    for figure in scrubbers(visit):
        slider, output, play = (figure.query_selector(name) for name in ("input[type=range]", "output", "button"))
        slider.focus()
        visit.page.keyboard.press("Home")
        first = figure.evaluate(curves)
        visit.page.keyboard.press("End")
        visit.page.wait_for_function(f"([f, first]) => ({curves})(f) !== first", arg=[figure, first])
        assert output.inner_text() == slider.get_attribute("aria-valuetext")
        assert slider.input_value() == slider.get_attribute("max")
        # Stopped from within the page at the first step under way: a short dial may end before a click arrives.
        figure.evaluate(STOP_UNDER_WAY)
        play.click()  # at the end, it starts over
        visit.page.wait_for_function("play => play.dataset.stoppedAt && play.textContent === 'Play'", arg=play)
        assert 0 < int(slider.input_value()) < int(slider.get_attribute("max"))
        assert slider.input_value() == play.get_attribute("data-stopped-at")
        stopped = slider.input_value()
        visit.page.wait_for_timeout(300)
        assert slider.input_value() == stopped


def sliders_are_where_the_reader_left_them(visit, address):
    """Away by a link and back again, and by a link within the page."""
    figures = scrubbers(visit)
    if not figures:
        return
    slider = figures[0].query_selector("input[type=range]")
    slider.focus()
    visit.page.keyboard.press("End")
    visit.page.keyboard.press("ArrowLeft")
    left = slider.input_value()
    visit.page.wait_for_function("left => history.state?.scrubbers?.[0] === left", arg=int(left))
    visit.page.evaluate("location.hash = '#search-input'")
    visit.page.wait_for_function("left => history.state?.scrubbers?.[0] === left", arg=int(left))
    visit.page.goto(f"{address}genindex.html", wait_until="load")
    visit.page.go_back(wait_until="load")
    visit.page.query_selector("figure.fpc-scrub").scroll_into_view_if_needed()
    visit.page.wait_for_selector("figure.fpc-scrub.fpc-ready")
    slider = visit.page.query_selector("figure.fpc-scrub input[type=range]")
    assert slider.input_value() == left
    for figure in scrubbers(visit):
        figure.scroll_into_view_if_needed()
    visit.page.wait_for_function("!document.querySelector('figure.fpc-scrub:not(.fpc-ready)')")


def prints_without_the_frame_and_on_white(visit, address):
    shown = """name => [...document.querySelectorAll(name)].some(e => e.getClientRects().length)"""
    visit.page.emulate_media(media="print", color_scheme="dark")
    visit.page.set_viewport_size({"width": 680, "height": 1000})  # A4 less its margins
    visit.page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    theme = visit.page.evaluate("document.documentElement.dataset.theme")
    parts = (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer")
    frame = [name for name in (*parts, ".fpc-controls button") if visit.page.evaluate(shown, name)]
    cut = visit.page.evaluate(
        """[...document.querySelectorAll(".bd-article :is(img, .fpc-figure svg)")].filter(i => {
            const box = i.getBoundingClientRect();
            return box.width && (box.left < 0 || box.right > document.documentElement.clientWidth + 1);
        }).length"""
    )
    visit.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    after = visit.page.evaluate("document.documentElement.dataset.theme")
    visit.page.emulate_media(media="screen", color_scheme="light")
    visit.page.set_viewport_size(DESKTOP)
    assert (theme, after) == ("light", "dark")
    assert not frame
    assert not cut


def scrubbers_follow_the_theme(visit, address):
    follows = """f => f.querySelector(".fpc-plot").layout.font.color ===
        getComputedStyle(document.documentElement).getPropertyValue("--pst-color-text-base").trim()"""
    for theme in ("dark", "light"):
        visit.page.emulate_media(color_scheme=theme)
        visit.page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
        for figure in scrubbers(visit):
            visit.page.wait_for_function(follows, arg=figure)


def first_figure_does_not_wait_for_scripts(visit, address):
    """A picture, or a scrubber with a still one, is seen where no script has arrived yet."""
    context = visit.browser.new_context(viewport=DESKTOP)
    context.route("**/*.js*", lambda route: route.abort())
    bare = context.new_page()
    bare.goto(f"{address}{visit.name}.html", wait_until="load")
    seen = bare.evaluate(
        """() => {
            const first = document.querySelector(".bd-article :is(img, .fpc-figure, figure.fpc-scrub)");
            const picture = first?.matches("img") ? first : first?.querySelector("svg");
            return !first || (picture?.getBoundingClientRect().width > 100 && (picture.naturalWidth ?? 1) > 0);
        }"""
    )
    context.close()
    assert seen


CHECKS = [
    asks_no_other_host_and_raises_no_error,
    loads_plotly_only_for_a_scrubber,
    equations_are_rendered,
    links_lead_somewhere,
    images_have_alternative_text,
    fits_a_phone,
    scrubbers_move,
    is_accessible_in_both_themes,
    prints_without_the_frame_and_on_white,
    scrubbers_follow_the_theme,
    first_figure_does_not_wait_for_scripts,
    sliders_are_where_the_reader_left_them,
]


@pytest.mark.parametrize("page", PAGES)
def test_page(page, browser, address, subtests):
    """Open the page once and look at it in every way."""
    visit = opened(browser, address, page)
    for figure in scrubbers(visit):
        figure.scroll_into_view_if_needed()
    visit.page.wait_for_function("!document.querySelector('figure.fpc-scrub:not(.fpc-ready)')")
    for check in CHECKS:
        with subtests.test(check=check.__name__):
            check(visit, address)
        visit.page.set_viewport_size(DESKTOP)
        visit.page.emulate_media(media="screen", color_scheme="light")
    visit.page.context.close()


def test_reduced_motion_is_honoured(browser, address):
    """Nothing moves by itself, and what a reader sets in motion goes in slow steps."""
    page = browser.new_context(viewport=DESKTOP, reduced_motion="reduce").new_page()
    page.goto(f"{address}{next(name for name in NOTEBOOKS if parsed(BOOK / f'{name}.html').select('.fpc-scrub'))}.html")
    page.query_selector("figure.fpc-scrub").scroll_into_view_if_needed()
    page.wait_for_selector("figure.fpc-scrub.fpc-ready")
    assert page.evaluate("document.getAnimations().filter(a => a.playState === 'running').length") == 0
    page.evaluate(
        """() => {
            window.changes = [];
            new MutationObserver(() => window.changes.push(performance.now()))
                .observe(document.querySelector("figure.fpc-scrub output"), { childList: true });
            document.querySelector("figure.fpc-scrub button").click();
        }"""
    )
    page.wait_for_function("window.changes.length >= 3")
    changes = page.evaluate("window.changes")
    page.context.close()
    assert min(b - a for a, b in pairwise(changes)) > 500


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_launch_buttons(page, address):
    """Colab opens, and the download button gives, the notebook this page was made from."""
    links = [a["href"] for a in parsed(BOOK / f"{page}.html").select(".article-header-buttons a[href]")]
    colab = [link for link in links if link.startswith("https://colab.research.google.com/github/")]
    assert [link.split("/blob/main/")[1] for link in colab] == [f"{page}.ipynb"]
    downloads = [link for link in links if link.endswith(".ipynb") and "://" not in link]
    assert len(downloads) == 1
    downloaded = nbformat.read((BOOK / f"{page}.html").parent / downloads[0], as_version=4)
    nbformat.validate(downloaded)
    assert [cell.source for cell in downloaded.cells] == [
        cell.source for cell in nbformat.read(REPOSITORY / f"{page}.ipynb", as_version=4).cells
    ]


@pytest.mark.parametrize(
    ("words", "where"), [("spectral bias", "2_frequency_principle.html"), ("NTK", "tangent_kernel.html")]
)
def test_search_finds_first_where_it_is_explained(words, where, browser, address):
    seen = opened(browser, address, "index")
    seen.page.keyboard.press("Control+k")
    seen.page.keyboard.type(words)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#search-results ul.search li a")
    found = seen.page.evaluate("[...document.querySelectorAll('#search-results ul.search li a')].map(a => a.pathname)")
    assert Path(found[0]).name == where
    assert not [url for url in seen.requests if not url.startswith((address, "data:", "blob:"))]
    assert not seen.errors
    seen.page.context.close()
