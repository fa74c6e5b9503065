"""Similar code under different ids: a page for the teacher to read, and no mark.

What was given out is taken away (the lines of the student's copy), and names that a student has chosen count as one
name. Tokens come from Pygments; each notebook becomes the counts of its runs of six tokens, weighted by how rare they
are in the class (tf-idf), and two are compared by the cosine. So what everybody writes weighs little, and renaming
or moving code changes little.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pygments.lexers import PythonLexer
from pygments.token import Token

from fpcourse._files import written_whole
from fpcourse.grading import submission

RUN = 6  # tokens
LIKE = 0.5  # from this similarity on a pair is listed: two ways to solve homework 2 have 0.07, a copy in disguise 0.74
MOST_PAIRS, MOST_CHARACTERS = 200, 100_000
LEXER = PythonLexer()


def own_lines(cells: list[str], given: set[str]) -> str:
    """Return the lines of a notebook's code that were not given out."""
    lines = (line for cell in cells for line in cell.splitlines() if line.strip() not in given)
    return "\n".join(lines)[:MOST_CHARACTERS]


def tokens(code: str, known: frozenset[str]) -> Iterator[str]:
    """Yield the tokens of a program without comments, texts and spaces; names that are not ``known`` as one name.

    Examples
    --------
    >>> list(tokens("late = np.exp(2)  # twice", frozenset({"np", "exp"})))
    ['name', '=', 'np', '.', 'exp', '(', '2', ')']
    """
    for kind, text in LEXER.get_tokens(code):
        if kind in Token.Name:
            yield text if text in known else "name"
        elif kind not in Token.Comment and kind not in Token.Literal.String and text.strip():
            yield text.strip()


def pairs(codes: list[str], known: frozenset[str]) -> list[tuple[float, int, int]]:
    """Return (similarity, one, other) of all pairs that are alike, the most similar first."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # 70 MB that the processes which grade do without

    terms = [list(tokens(code, known)) for code in codes]
    long = [i for i, each in enumerate(terms) if len(each) >= 10 * RUN]  # shorter ones are alike by chance
    if len(long) < 2:
        return []
    weigh = TfidfVectorizer(analyzer=lambda i: [tuple(terms[i][k : k + RUN]) for k in range(len(terms[i]) - RUN + 1)])
    rows = weigh.fit_transform(long)
    alike = np.triu((rows @ rows.T).toarray(), 1)
    found = sorted(((alike[i, j], long[i], long[j]) for i, j in np.argwhere(alike >= LIKE)), reverse=True)
    return [(float(value), i, j) for value, i, j in found]


def write_page(path: Path, rows: list[dict], assignment: str, given: list[str]) -> None:
    """Write the pairs of counting submissions whose code is alike; ``given`` are the cells of the student's copy."""
    known = frozenset(text for kind, text in LEXER.get_tokens("\n".join(given)) if kind in Token.Name)
    taken = {line.strip() for cell in given for line in cell.splitlines()}
    kept, codes = [], []
    for row in rows:
        if row["counts"] and row["result"]["status"] == "graded":
            try:
                codes.append(own_lines(submission.read(submission.content_of(row["file"]), assignment), taken))
                kept.append(row)
            except submission.Unreadable as reason:
                logging.getLogger("homework").warning("%s is not compared: %s", row["name"], reason)
    found = pairs(codes, known)
    lines = [
        "# Similar code",
        "",
        f"{len(kept)} submissions compared; {len(found)} pairs under different ids with similarity {LIKE} or more"
        f"{f', of which the first {MOST_PAIRS} are listed' if len(found) > MOST_PAIRS else ''}. Read both notebooks"
        " before you think anything: short answers have few forms, and no mark depends on this page.",
        "",
        "| similarity | id | file | id | file |",
        "|--:|:--|:--|:--|:--|",
    ]
    for value, i, j in found[:MOST_PAIRS]:
        cells = (submission.clean(text, 80).replace("|", "/") for row in (kept[i], kept[j]) for text in
                 (row["result"]["student_id"], row["name"]))  # fmt: skip
        lines.append(f"| {value:.2f} | {' | '.join(cells)} |")
    with written_whole(path) as file:
        file.write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
