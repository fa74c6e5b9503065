"""Change it and train again: a panel that runs a function of the notebook with the choices of its reader.

A page of the book has no kernel. There the panel is one line that says what could be changed, below the figure that the
same function has drawn with its default values.
"""

from __future__ import annotations

import html
import inspect
import sys
from collections.abc import Callable, Sequence


class Panel:
    """A slider for each choice, a button and the result; in a page without a kernel, an invitation to run it."""

    def __init__(self, draw: Callable, choices: dict[str, list], button: str) -> None:
        self.draw, self.choices, self.button = draw, choices, button

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget().model_id}
        live = {"application/vnd.jupyter.widget-view+json": view}
        if "google.colab" in sys.modules:  # Colab would show the line and not the panel
            return live
        return {**live, "text/html": self._html(), "text/plain": self._line()}

    def widget(self):
        """Make the panel itself (an ``ipywidgets.VBox``: the sliders, the button, the output)."""
        import ipywidgets

        defaults = inspect.signature(self.draw).parameters
        sliders = {
            name: ipywidgets.SelectionSlider(
                options=values, value=defaults[name].default, description=name.replace("_", " "),
                style={"description_width": "10em"}, layout={"width": "28em"}, continuous_update=False,
            )
            for name, values in self.choices.items()
        }  # fmt: skip
        button = ipywidgets.Button(description=self.button)
        output = ipywidgets.Output()

        def run(_) -> None:
            from IPython.display import display

            button.disabled = True
            output.clear_output()
            try:
                with output:
                    display(self.draw(**{name: slider.value for name, slider in sliders.items()}))
            finally:
                button.disabled = False
                if "matplotlib.pyplot" in sys.modules:  # a figure left open would appear again under the next cell
                    sys.modules["matplotlib.pyplot"].close("all")

        button.on_click(run)
        return ipywidgets.VBox([*sliders.values(), button, output])

    def _line(self) -> str:
        choices = "; ".join(
            f"{name.replace('_', ' ')} ({', '.join(map(str, values))})" for name, values in self.choices.items()
        )
        return f"Run it live: where this notebook runs, a panel stands here that lets you change {choices}."

    def _html(self) -> str:
        lead, rest = self._line().split(":", 1)
        where = "The rocket at the top of the page opens it on Google Colab."
        return f'<p class="fpc-live"><strong>{lead}:</strong>{html.escape(rest)} {where}</p>'


def panel(draw: Callable, *, button: str = "Train again", **choices: Sequence) -> Panel:
    """Let a reader choose arguments of ``draw`` and run it again, without touching the code.

    draw      makes a figure; every name in ``choices`` is one of its arguments, with a default
    choices   name -> the values to choose from, among them the default

    Below the sliders stands what ``draw`` returns and prints. Raises ValueError for an argument that ``draw`` does not
    have, or whose default is not among the values.
    """
    parameters = inspect.signature(draw).parameters
    if not choices:
        raise ValueError("a panel needs at least one argument to choose")
    for name, values in choices.items():
        if name not in parameters:
            raise ValueError(f"{name} must be an argument of {draw.__name__}{inspect.signature(draw)}")
        if parameters[name].default not in list(values):
            raise ValueError(f"{name} must offer its default {parameters[name].default}; got {list(values)}")
    return Panel(draw, {name: list(values) for name, values in choices.items()}, button)
