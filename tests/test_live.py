import sys
import types

import matplotlib.pyplot as plt
import pytest

from fpcourse import interactive


def draw(width=10, scale=0.5):
    print("drawn")
    return f"{width} neurons at {scale}"


def parts(panel):
    *sliders, button, output = panel.widget().children
    return sliders, button, output


def test_the_button_runs_it_with_the_chosen_values():
    seen = []

    def record(width=10, scale=0.5):
        seen.append((width, scale))
        return width

    sliders, button, _ = parts(interactive.panel(record, width=[10, 100], scale=(0.1, 0.5)))
    button.click()
    sliders[0].value = 100
    assert seen == [(10, 0.5)]  # choosing trains nothing yet
    sliders[1].index = 0
    button.click()
    assert seen == [(10, 0.5), (100, 0.1)]
    assert not button.disabled


def test_a_result_replaces_the_one_before(monkeypatch):
    _, button, output = parts(interactive.panel(draw, width=[10]))
    cleared = []
    monkeypatch.setattr(type(output), "clear_output", lambda self: cleared.append(self))
    button.click()
    assert cleared == [output]


def test_a_mistake_leaves_the_button_usable():
    def fail(width=10):
        raise RuntimeError("diverged")

    _, button, _ = parts(interactive.panel(fail, width=[10]))
    button.click()
    assert not button.disabled


def test_no_figure_is_left_open():
    def figure(width=10):
        return plt.figure()

    _, button, _ = parts(interactive.panel(figure, width=[10]))
    button.click()
    assert not plt.get_fignums()


def test_a_page_without_a_kernel_says_what_could_be_changed():
    bundle = interactive.panel(draw, width=[10, 100])._repr_mimebundle_()
    assert "Run it live" in bundle["text/plain"] and "width (10, 100)" in bundle["text/plain"]
    assert bundle["text/html"].startswith('<p class="fpc-live">') and "width (10, 100)" in bundle["text/html"]


def test_a_notebook_shows_the_panel(monkeypatch):
    bundle = interactive.panel(draw, width=[10, 100])._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["version_major"] == 2 and view["model_id"]
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert set(interactive.panel(draw, width=[10, 100])._repr_mimebundle_()) == {"application/vnd.jupyter.widget-view+json"}


def test_what_is_written_into_the_page_is_safe():
    assert "<b>" not in interactive.panel(draw, width=[10, "<b>"])._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "at least one argument"),
        ({"depth": [1, 2]}, r"depth must be an argument of draw\(width=10, scale=0.5\)"),
        ({"width": [1, 2]}, "width must offer its default 10"),
    ],
)
def test_panel_refuses(choices, message):
    with pytest.raises(ValueError, match=message):
        interactive.panel(draw, **choices)
