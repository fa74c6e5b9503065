"""Sphinx extension: the parts that every lesson has. Guesses and their answers, checks in one line, folded code.

``{guess}`` asks, with a list of choices; ``{answer}`` stands beside the figure that decides and names the right one.
Both are plain text in the page: without scripts, in print and for the search they read as a list and its answer. The
script ``anatomy.js`` turns the list into buttons and keeps a reader's choice in that reader's browser.
"""

from __future__ import annotations

import ast
import html
import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
CLAIM = 'class="fpc-claim"'


# Guesses and answers


class guess(nodes.General, nodes.Element):
    """Children: what is asked, and as the last one the list of choices."""


class answer(nodes.General, nodes.Element):
    """Children: the text. ``choice`` is the number of the right one, from 1."""


class Guess(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec = {"label": directives.unchanged_required}  # noqa: RUF012  (docutils reads it from the class)

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        node = guess(guess=name, label=self.options.get("label", ""), ids=[f"guess-{name}"])
        self.set_source_info(node)
        node += self.parse_content_to_nodes()
        if not node["label"]:
            raise self.error(f"guess {name!r} needs a :label: that names its question")
        lists = [child for child in node.children if isinstance(child, nodes.bullet_list)]
        if not lists or lists[-1] is not node.children[-1] or len(lists[-1]) < 2:
            raise self.error(f"guess {name!r} must end in a list of two choices or more")
        if any(len(item) != 1 or not isinstance(item[0], nodes.paragraph) for item in lists[-1]):
            raise self.error(f"each choice of guess {name!r} must be one paragraph")
        return [node]


class Answer(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec = {"choice": directives.positive_int}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if "choice" not in self.options:
            raise self.error(f"the answer to {name!r} needs the number of the right :choice:")
        node = answer(guess=name, choice=self.options["choice"], ids=[f"answer-{name}"])
        self.set_source_info(node)
        node += self.parse_content_to_nodes()
        return [node]


def collect(app, document: nodes.document) -> None:
    """Match the guesses of a page with its answers, and keep them for the pages that speak of all guesses."""
    found: dict[str, dict] = {}
    for node in document.findall(guess):
        if node["guess"] in found:
            logger.warning("guess %r is asked twice", node["guess"], location=node)
        choices = [plain(item) for item in node.children[-1]]
        asked = "\n".join(plain(child) for child in node.children[:-1])
        found[node["guess"]] = {"label": node["label"], "asked": asked, "choices": choices, "node": node}
    for node in document.findall(answer):
        entry = found.get(node["guess"])
        if entry is None:
            logger.warning("the answer %r belongs to no guess of this page", node["guess"], location=node)
            continue
        if node["choice"] > len(entry["choices"]):
            logger.warning(
                "guess %r has no choice %d, only %d",
                node["guess"],
                node["choice"],
                len(entry["choices"]),
                location=node,
            )
            continue
        if "right" in entry:
            logger.warning("guess %r is answered twice", node["guess"], location=node)
        entry |= {"right": node["choice"], "answer": "\n".join(plain(child) for child in node.children)}
        node["label"], entry["node"]["choice"] = entry["label"], node["choice"]
    for name, entry in found.items():
        if "right" not in entry:
            logger.warning("guess %r is never answered", name, location=entry["node"])
        del entry["node"]
    kept(app.env)[app.env.docname] = found


def kept(env) -> dict[str, dict[str, dict]]:
    """Page -> its guesses by name."""
    if not hasattr(env, "fpc_guesses"):
        env.fpc_guesses = {}
    return env.fpc_guesses


def forget(app, env, docname: str) -> None:
    kept(env).pop(docname, None)


def merge(app, env, docnames: set[str], other) -> None:
    kept(env).update({name: found for name, found in kept(other).items() if name in docnames})


def one_name_one_guess(app, env) -> None:
    asked: dict[str, str] = {}
    for page, found in kept(env).items():
        for name in found:
            if name in asked:
                logger.warning("guess %r is asked on %s, too", name, asked[name], location=page)
            asked[name] = page


def plain(node: nodes.Node) -> str:
    r"""Text with its formulas as ``\(...\)``, which MathJax reads anywhere."""
    if isinstance(node, nodes.math):
        return rf"\({node.astext()}\)"
    if isinstance(node, nodes.math_block):
        return rf"\[{node.astext()}\]"
    if isinstance(node, nodes.Text):
        return html.escape(node.astext().replace("\n", " "), quote=False)
    if isinstance(node, nodes.system_message | addnodes.index):
        return ""
    return "".join(map(plain, node.children))


def visit_guess(self, node: guess) -> None:
    name, right = node["guess"], node.get("choice", 0)
    self.body.append(
        f'<fieldset class="fpc-guess" id="guess-{name}" data-guess="{name}" data-choice="{right}">'
        f"<legend>Guess: {html.escape(node['label'])}</legend>"
    )
    choices = node.children.pop()
    for child in node.children:
        child.walkabout(self)
    self.body.append('<ol class="fpc-choices">')
    for i, item in enumerate(choices.children, 1):
        # named by its text: a formula alone gives a screen reader no name
        said = html.escape(item[0].astext(), quote=True)
        self.body.append(
            f'<li><label><input type="radio" name="guess-{name}" value="{i}" aria-label="{said}" hidden> <span>'
        )
        for child in item[0].children:
            child.walkabout(self)
        self.body.append("</span></label></li>")
    self.body.append(
        f'</ol><p class="fpc-pointer" aria-live="polite" hidden>Noted. <a href="#answer-{name}">The answer</a> '
        "stands beside the figure that decides.</p></fieldset>"
    )
    raise nodes.SkipNode


def visit_answer(self, node: answer) -> None:
    name = node["guess"]
    self.body.append(
        f'<aside class="fpc-answer" id="answer-{name}" data-guess="{name}" aria-labelledby="title-{name}">'
        f'<p class="fpc-title" id="title-{name}">Answer: {html.escape(node.get("label", ""))}</p>'
        f'<p class="fpc-yours" hidden>Not guessed yet: <a href="#guess-{name}">guess first</a>.</p>'
    )


def depart_answer(self, node: answer) -> None:
    self.body.append("</aside>")


def as_it_is(self, node: nodes.Node) -> None:
    """For builders that write no HTML: the children say everything."""


# Checks and code


def only_checks(source: str) -> bool:
    """Whether a cell consists of calls of ``check``, loops over them included."""

    def checks(statement: ast.stmt) -> bool:
        if isinstance(statement, ast.For):
            return all(map(checks, statement.body))
        call = statement.value if isinstance(statement, ast.Expr) else None
        return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "check"

    try:
        return all(map(checks, ast.parse(source).body))
    except SyntaxError:  # a line that only a notebook understands
        return False


def fold_checks(app, doctree: nodes.document, docname: str) -> None:
    """Show the checks of a cell as one line, and with them the code of a cell that holds nothing else."""
    if app.builder.format != "html":
        return
    for outputs in [node for node in doctree.findall(nodes.container) if node.get("nb_element") == "cell_code_output"]:
        code = next((child for child in outputs.parent.children if child is not outputs), None)
        runs = [[]]
        for output in outputs.children:
            if is_claim(output):
                runs[-1].append(output)
            elif runs[-1]:
                runs.append([])
        runs = [run for run in runs if run]
        whole = len(runs) == 1 and len(runs[0]) == len(outputs) and code is not None and only_checks(code.astext())
        if whole:
            outputs.parent.remove(code)
        for run in runs:
            holds = "1 measurement holds" if len(run) == 1 else f"{len(run)} measurements hold"
            opened = f'<details class="fpc-claims"><summary>{holds}</summary>'
            inside = [*run, next(code.findall(is_source))] if whole else run
            folded = [nodes.raw("", opened, format="html"), *inside, nodes.raw("", "</details>", format="html")]
            at = outputs.index(run[0])
            outputs[at : at + len(run)] = folded


def is_source(node: nodes.Node) -> bool:
    """Whether it is the code of a cell, within whatever folds it."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_source"


def is_claim(output: nodes.Node) -> bool:
    return any(CLAIM in raw.astext() for raw in output.findall(nodes.raw))


def add_switch(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """A button in the header that shows or hides all folded code of a page."""
    if '<details class="admonition hide' in context.get("body", "") and "header_buttons" in context:
        switch = {"type": "javascript", "javascript": "", "text": "Code", "label": "fpc-code",
                  "tooltip": "Show or hide all code"}  # fmt: skip
        context["header_buttons"].insert(0, switch)


# What a reader has done, and cards to learn from


class progress(nodes.General, nodes.Element):
    """Stands for the line until all pages have been read."""


class Progress(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [progress()]


class AnkiDeck(SphinxDirective):
    """A link to the glossary and all guesses as cards, and the cards."""

    def run(self) -> list[nodes.Node]:
        return [anki()]


class anki(nodes.General, nodes.Element):
    """Stands for the link."""


def lessons(app) -> list[str]:
    pages = map(str, app.env.external_site_map)
    return [p for p in pages if Path(app.srcdir, f"{p}.ipynb").exists() and not p.endswith("/homework")]


def fill_in(app, doctree: nodes.document, docname: str) -> None:
    for place in doctree.findall(progress):
        known = {"pages": lessons(app), "guesses": [name for found in kept(app.env).values() for name in found]}
        data = html.escape(json.dumps(known), quote=True)
        text = (
            f'<div class="fpc-progress" data-known="{data}" hidden><p><span role="status"></span> '
            '<button type="button">Forget</button> <small>Kept in this browser only.</small></p></div>'
        )
        place.replace_self(nodes.raw("", text, format="html"))
    for place in doctree.findall(anki):
        target = app.builder.get_relative_uri(docname, "index").removesuffix("index.html") + "_static/fpcourse_anki.txt"
        place.replace_self(
            nodes.raw(
                "",
                f'<p>To learn them by heart: <a href="{target}" download>{len(cards(app.env))} cards</a> for '
                "<em>Anki</em> (File, Import), the terms of this page and the guesses of all lessons.</p>",
                format="html",
            )
        )


def speak_of_all(app, env) -> list[str]:
    """Pages that show something of all others are written again with every build that reads one."""
    return [page for page in env.found_docs if page == "index" or Path(page).name == "glossary"]


def cards(env) -> list[tuple[str, str, str]]:
    """(front, back, tags), one line each: every term of the glossary, then every guess."""
    rows = []
    for page in sorted(env.found_docs):
        if Path(page).name == "glossary":
            for item in env.get_doctree(page).findall(nodes.definition_list_item):
                terms = ", ".join(plain(term) for term in item.findall(nodes.term))
                rows.append((terms, "<br>".join(map(plain, item.children[-1])), "glossary"))
    for page, found in kept(env).items():
        for entry in found.values():
            if "right" in entry:
                front = [entry["asked"], *(f"{i}. {choice}" for i, choice in enumerate(entry["choices"], 1))]
                back = [f"<b>{entry['choices'][entry['right'] - 1]}</b>", entry["answer"]]
                rows.append(("\n".join(front), "\n".join(back), f"guess {Path(page).name}"))
    return [tuple(cell.strip().replace("\t", " ").replace("\n", "<br>") for cell in row) for row in rows]


def write_cards(app, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        head = "#separator:tab\n#html:true\n#tags column:3\n"
        text = "".join("\t".join(row) + "\n" for row in cards(app.env))
        Path(app.outdir, "_static", "fpcourse_anki.txt").write_text(head + text, encoding="utf-8")


def setup(app) -> dict[str, object]:
    others = dict.fromkeys(("latex", "text", "man", "texinfo"), (as_it_is, as_it_is))
    app.add_node(guess, html=(visit_guess, None), **others)
    app.add_node(answer, html=(visit_answer, depart_answer), **others)
    app.add_node(progress)
    app.add_node(anki)
    app.add_directive("guess", Guess)
    app.add_directive("answer", Answer)
    app.add_directive("progress", Progress)
    app.add_directive("anki-deck", AnkiDeck)
    app.add_js_file("anatomy.js", loading_method="defer")
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("env-check-consistency", one_name_one_guess)
    app.connect("env-updated", speak_of_all)
    app.connect("doctree-resolved", fold_checks)
    app.connect("doctree-resolved", fill_in)
    app.connect("html-page-context", add_switch, priority=900)  # after the theme has made its buttons
    app.connect("build-finished", write_cards)
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
