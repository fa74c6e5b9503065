"""The first cell of every notebook, run for real: an empty directory, one notebook alone, no fpcourse to import."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version

import bootstrap_cell
import nbformat
import pytest
from bootstrap_cell import CELL, REPOSITORY, URL

import fpcourse

FETCHED = f"fpcourse-v{fpcourse.__version__}"
REPORT = """\
import json, fpcourse.data, numpy, torch
print(json.dumps([fpcourse.__file__, torch.__version__, numpy.__version__]))"""


def run(*command, cwd, env=None, check=True) -> subprocess.CompletedProcess:
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert not (check and done.returncode), f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A git repository of the working tree, tagged as released, that serves partial clones as a forge does."""
    tree = tmp_path_factory.mktemp("forge") / "tree"
    shutil.copytree(REPOSITORY, tree, ignore=shutil.ignore_patterns(".*", "_build", "__pycache__", "*.egg-info"))
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", "init", "--quiet", cwd=tree)
    run("git", "add", ".", cwd=tree)
    run("git", *author, "commit", "--quiet", "-m", "release", cwd=tree)
    run("git", *author, "tag", f"v{fpcourse.__version__}", cwd=tree)
    run("git", "config", "uploadpack.allowFilter", "true", cwd=tree)
    run("git", "config", "uploadpack.allowAnySHA1InWant", "true", cwd=tree)
    return tree


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that imports what this one does, but no fpcourse: a path in a .pth file starts no editable install."""
    home = tmp_path_factory.mktemp("python")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    python = home / "bin" / "python"
    if not python.exists():
        python = home / "Scripts" / "python.exe"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).stdout.strip()
    with open(os.path.join(site, "packages.pth"), "w") as file:
        file.write("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    found = run(python, "-c", "import torch, fpcourse", cwd=home, check=False).stderr
    assert "No module named 'fpcourse'" in found, f"these tests take an editable install of fpcourse, or none: {found}"
    return python


@pytest.fixture
def environment(tmp_path):
    """Make the environment of a run: the course's address leads to ``address``."""

    def make(address) -> dict[str, str]:
        config = tmp_path / "gitconfig"
        config.write_text(f'[url "{address}"]\n    insteadOf = {URL}\n')
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return env | {"GIT_CONFIG_GLOBAL": str(config), "GIT_TERMINAL_PROMPT": "0"}

    return make


@pytest.fixture
def empty(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    return folder


def test_every_notebook_carries_the_cell():
    for path in bootstrap_cell.notebooks():
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert cells[0].source == CELL, f"{path}: run `python tests/tools/bootstrap_cell.py --write`"
        assert [bootstrap_cell.is_bootstrap(cell) for cell in cells] == [True] + [False] * (len(cells) - 1), path


def test_notebooks_are_committed_without_outputs():
    for path in bootstrap_cell.notebooks():
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in cells), f"{path}: run `nbstripout {path}`"


def test_write_replaces_or_inserts(tmp_path):
    new = nbformat.v4
    path = tmp_path / "notebook.ipynb"
    nbformat.write(new.new_notebook(cells=[new.new_markdown_cell("# Title"), new.new_code_cell("1 + 1")]), path)
    for _ in range(2):
        bootstrap_cell.write(path)
        cells = nbformat.read(path, as_version=4).cells
        assert [cell.source for cell in cells] == ["# Title", CELL, "1 + 1"]
        assert cells[1].metadata.tags == ["remove-cell"]
    cells[1].source = CELL.replace(f"v{fpcourse.__version__}", "v0.0.1")
    nbformat.write(new.new_notebook(cells=cells), path)
    bootstrap_cell.write(path)
    assert nbformat.read(path, as_version=4).cells[1].source == CELL


def test_a_notebook_alone_runs_to_its_end(tree, python, environment, empty):
    lessons = [path for path in bootstrap_cell.notebooks() if not path.name.startswith("homework")]
    shortest = min(lessons, key=lambda path: path.stat().st_size)
    notebook = nbformat.read(shortest, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(REPORT))
    nbformat.write(notebook, empty / "alone.ipynb")
    packages = sorted(os.listdir(sysconfig.get_path("purelib")))

    run(python, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "alone.ipynb",
        cwd=empty, env=environment(tree.as_uri()))  # fmt: skip

    report = nbformat.read(empty / "alone.ipynb", as_version=4).cells[-1].outputs[-1].text
    assert json.loads(report) == [
        str(empty / FETCHED / "fpcourse" / "__init__.py"), version("torch"), version("numpy")
    ]  # fmt: skip
    assert sorted(os.listdir(sysconfig.get_path("purelib"))) == packages
    assert sorted(os.listdir(empty)) == ["alone.ipynb", FETCHED]
    # the package, its data and the figures that train in the page only, in the folder and in what came over the line
    assert sorted(os.listdir(empty / FETCHED)) == [".git", "_extensions", "data", "fpcourse"]
    assert os.listdir(empty / FETCHED / "_extensions") == ["live"]
    files = [path for path in (empty / FETCHED).rglob("*") if path.is_file()]
    files = {path.read_bytes() for path in files if not {".git", "__pycache__"} & set(path.parts)}
    objects = run("git", "cat-file", "--batch-all-objects", "--batch-check", cwd=empty / FETCHED).stdout
    assert objects.count(" blob ") == len(files)


def test_a_failed_download_leaves_nothing_and_the_next_run_mends_it(tree, python, environment, empty):
    nowhere = environment((tree.parent / "nowhere").as_uri())
    failed = run(python, "-c", CELL, cwd=empty, env=nowhere, check=False)
    assert f"RuntimeError: fetching {URL}" in failed.stderr
    assert "takes git and a network, and in a fork its tags (git push --tags)" in failed.stderr
    assert os.listdir(empty) == []

    # what is left of a copy that was interrupted, or made by hand
    (empty / FETCHED).mkdir()
    failed = run(python, "-c", CELL, cwd=empty, env=environment(tree.as_uri()), check=False)
    assert f"{FETCHED} is incomplete: delete this folder, and run this cell again" in failed.stderr
    (empty / FETCHED).rmdir()

    # a mere folder of the package's name must not be taken for the package
    (empty / "fpcourse").mkdir()
    script = f"{CELL}\n{REPORT}"
    fetched = run(python, "-c", script, cwd=empty, env=environment(tree.as_uri()))
    again = run(python, "-c", script, cwd=empty, env=environment((tree.parent / "nowhere").as_uri()))
    assert fetched.stdout == again.stdout
    assert json.loads(again.stdout)[0] == str(empty / FETCHED / "fpcourse" / "__init__.py")


def test_what_was_tagged_is_fetched_when_the_branch_has_moved_on(tree, python, environment, empty, tmp_path):
    forge = tmp_path / "forge"
    run("git", "clone", "--quiet", tree, forge, cwd=tmp_path)
    released = run("git", "rev-parse", "HEAD", cwd=forge).stdout
    (forge / "fpcourse" / "__init__.py").write_text("raise SystemExit('this is not what was released')")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", *author, "commit", "--quiet", "--all", "-m", "after the release", cwd=forge)
    assert run("git", "rev-parse", "HEAD", cwd=forge).stdout != released
    run(python, "-c", f"{CELL}\nimport fpcourse.data", cwd=empty, env=environment(forge.as_uri()))
    assert run("git", "rev-parse", "HEAD", cwd=empty / FETCHED).stdout == released


def test_inside_the_repository_nothing_is_fetched(tree, python, environment):
    folder = tree / "chapters" / "2_frequency_principle"
    folder.mkdir(exist_ok=True)
    before = sorted(os.listdir(folder))
    done = run(python, "-c", f"{CELL}\n{REPORT}", cwd=folder, env=environment("file:///nowhere"))
    assert json.loads(done.stdout)[0] == str(tree / "fpcourse" / "__init__.py")
    assert sorted(os.listdir(folder)) == before


@pytest.mark.skipif(not all(map(shutil.which, ("make", "perl"))), reason="takes make and perl")
@pytest.mark.parametrize(
    ("given", "url", "page"),
    [
        ("https://github.com/teacher/waves", "https://github.com/teacher/waves", "/blob/main/CITATION.cff"),
        (
            "https://gitlab.com/school/class/waves.git",
            "https://gitlab.com/school/class/waves",
            "/-/blob/main/CITATION.cff",
        ),
        ("https://gitee.com/teacher/waves/", "https://gitee.com/teacher/waves", "/blob/main/CITATION.cff"),
    ],
)
def test_one_command_changes_the_address_everywhere(tree, tmp_path, given, url, page):
    fork = tmp_path / "fork"
    run("git", "clone", "--quiet", tree, fork, cwd=tmp_path)
    run("make", "fork", f"URL={given}", cwd=fork)
    owner_and_name = "/".join(URL.split("/")[-2:])
    assert run("git", "grep", "-E", f"[a-z.]+/{owner_and_name}", cwd=fork, check=False).stdout == ""
    assert f'Repository = "{url}"\n' in (fork / "pyproject.toml").read_text("utf-8")
    assert f"]({url}{page})" in (fork / "chapters/back_matter/how_to_cite.md").read_text("utf-8")
    carried = "tests/test_bootstrap.py::test_every_notebook_carries_the_cell"
    run(sys.executable, "-m", "pytest", "--quiet", carried, cwd=fork)


@pytest.mark.skipif(not shutil.which("make"), reason="takes make")
@pytest.mark.parametrize("given", ["", "you/waves", "git@github.com:you/waves.git", "https://github.com/you"])
def test_what_is_no_address_is_refused(tree, given):
    refused = run("make", "fork", f"URL={given}", cwd=tree, check=False)
    assert refused.returncode == 2 and "usage: make fork URL=https://github.com/you/fpcourse" in refused.stderr
    assert run("git", "status", "--porcelain", cwd=tree).stdout == ""


def test_a_forge_without_partial_clones_or_a_mirror_will_do(tree, python, environment, empty, tmp_path):
    """A mirror is one setting of git, which `environment` makes: url.<mirror>.insteadOf."""
    forge = tmp_path / "forge"
    run("git", "clone", "--quiet", tree, forge, cwd=tmp_path)
    run("git", "config", "uploadpack.allowFilter", "false", cwd=forge)
    done = run(python, "-c", f"{CELL}\n{REPORT}", cwd=empty, env=environment(forge.as_uri()))
    assert json.loads(done.stdout)[0] == str(empty / FETCHED / "fpcourse" / "__init__.py")
