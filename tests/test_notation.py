"""Words and symbols mean the same on every page: what of it can be checked by reading the sources.

The notation page says which letter means what where; the glossary says it of words. A page that uses a Greek letter in
a sense of its own has to say so there.
"""

import posixpath
import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

CHAPTERS = Path(__file__).resolve().parents[1] / "chapters"
NOTATION = CHAPTERS / "back_matter" / "notation.md"
GLOSSARY = CHAPTERS / "back_matter" / "glossary.md"
GREEK = (
    r"\\((?:var)?(?:alpha|beta|[gG]amma|[dD]elta|epsilon|zeta|eta|[tT]heta|kappa|[lL]ambda|mu|nu|[xX]i|[pP]i|rho|[sS]igma"
    r"|tau|[pP]hi|chi|[pP]si|[oO]mega))(?![a-zA-Z])"
)
MATHS = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)


def prose(path: Path) -> str:
    """The text of a page without code."""
    if path.suffix == ".md":
        return path.read_text("utf-8")
    return "\n\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")


def name(path: Path) -> str:
    return path.relative_to(CHAPTERS).with_suffix("").as_posix()


def formulas(text: str) -> str:
    return " ".join(first or second for first, second in MATHS.findall(text))


LESSONS = {name(p): prose(p) for p in sorted(CHAPTERS.rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts}
LESSONS = {page: text for page, text in LESSONS.items() if "homework" not in page}
PAGES = LESSONS | {name(p): prose(p) for p in sorted((CHAPTERS / "back_matter").glob("*.md"))}
in_lessons = pytest.mark.parametrize("page", LESSONS)
in_pages = pytest.mark.parametrize("page", PAGES)


def meanings() -> list[tuple[str, str]]:
    """Each symbol of the notation's tables with each page it is listed for ("" for everywhere)."""
    listed = []
    for row in NOTATION.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        if row.startswith("| $") and len(cells) == 3:
            pages = [posixpath.normpath(f"back_matter/{link}") for link in re.findall(r"\(([^)]+)\.ipynb\)", cells[2])]
            assert pages or cells[2] == "everywhere", f"where? {row}"
            listed += [(symbol, page) for symbol in re.findall(r"\$([^$]+)\$", cells[0]) for page in pages or [""]]
    return listed


def glossary() -> dict[str, list[str]]:
    """Each explanation of the glossary with its words: the first one, and others for the same."""
    block = re.search(r":::\{glossary\}\n(.*)\n:::", GLOSSARY.read_text("utf-8"), re.DOTALL)[1]
    entries = re.split(r"\n\n(?=\S)", block)
    return {"\n".join(re.findall(r"^  .*$", e, re.MULTILINE)): re.findall(r"^\S.*$", e, re.MULTILINE) for e in entries}


def test_no_symbol_is_listed_twice_for_a_page():
    assert not [each for each, times in Counter(meanings()).items() if times > 1]


def test_listed_symbols_occur_where_they_are_listed():
    absent = []
    for symbol, page in meanings():
        letter = re.match(r"(?:\\(?:hat|tilde|bar|lVert)\s*)*(\\?[a-zA-Z]+)", symbol)[1]
        letter = re.escape(letter) if letter.startswith("\\") else rf"(?:(?<![\\a-zA-Z])|_x){letter[0]}"
        if page and not re.search(letter, formulas(LESSONS[page])):
            absent.append((symbol, page))
    assert not absent


@in_lessons
def test_greek_letters_are_listed(page):
    """For the page itself or everywhere; but pi is pi."""
    listed = {letter for symbol, where in meanings() if where in ("", page) for letter in re.findall(GREEK, symbol)}
    assert set(re.findall(GREEK, formulas(LESSONS[page]))) - listed <= {"pi"}


@in_lessons
def test_fourier_transforms_carry_two_pi(page):
    """A wave along x has 2 pi in its exponent; who writes e^{-ikx} says what k is. (An angle needs no 2 pi.)"""
    exponents = re.findall(r"e\^\{([^{}]*)\}", formulas(LESSONS[page]))
    angular = [e for e in exponents if re.match(r"[-+]?\s*i\s*[a-z]", e) and re.search(r"[xu](?![a-z])", e)]
    assert not angular or r"k=2\pi\xi" in formulas(LESSONS[page]), angular


def test_glossary_has_each_word_once_and_in_order():
    first = [words[0].casefold() for words in glossary().values()]
    assert first == sorted(first)
    every = [word.casefold() for words in glossary().values() for word in words]
    assert len(every) == len(set(every))


def test_glossary_says_where_a_word_is_explained():
    assert not [words for text, words in glossary().items() if not re.search(r"\]\(\S+\)|\{term\}", text)]


def test_words_of_the_glossary_are_used_in_a_lesson():
    texts = re.sub(r"[\s*]+", " ", " ".join(LESSONS.values())).casefold()
    assert not [words[0] for words in glossary().values() if words[0].casefold() not in texts]


@in_pages
def test_links_to_the_glossary_arrive_and_are_sparing(page):
    """Outside the book the role is raw text, so a lesson links few words, each once."""
    linked = re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", PAGES[page])
    assert set(linked) <= {word for words in glossary().values() for word in words}
    if page in LESSONS:
        assert max(Counter(linked).values(), default=0) <= 1
        assert len(linked) <= 4


SPELLED = {
    "tangent kernel": r"tangent-kernel|Tangent Kernel",
    "frequency principle": r"frequency-principle(?!\w)|F-principle",
    "spectral bias": r"spectral-bias",
    "condensation": r"condensement",
    "data set": r"\bdatasets?\b",
    "learning rate": r"learning-rate(?!\w)|step-size",
    "overparametrized": r"over-?parameteri[sz]ed|over-parametri[sz]ed|overparametrised",
    "nonuniform": r"non-uniform(?! distribution)",
    "nonlinear": r"non-linear",
    "eigenvalue": r"eigen-value",
    "ReLU": r"\b(?:relu|Relu|RELU)\b",
    "PyTorch": r"\b(?:Pytorch|pytorch)\b",
}


@in_pages
def test_key_words_have_one_spelling(page):
    """In the text: not in code, formulas, addresses or quotations."""
    text = re.sub(
        r"`[^`]*`|```.*?```|\"[^\"\n]*\"|\]\([^)]*\)|^(?: {4}|:)[^\n]*$",
        " ",
        PAGES[page],
        flags=re.DOTALL | re.MULTILINE,
    )
    text = MATHS.sub(" ", text)
    assert not {right: wrong for right, pattern in SPELLED.items() if (wrong := re.findall(pattern, text))}
