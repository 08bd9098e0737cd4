"""Rules of the house that no other test holds: who may import whom, and who names what."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from xr2mri_core import __version__
from xr2mri_core.errors import InputError, with_option

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "xr2mri_core").rglob("*.py"))
PROGRAMS = {"cli", "server_command.py", "local_server.py", "demo.py", "bundle_command.py"}
"""What is a program, or starts one; `bundle_command` reads the options of the bundle's commands."""
OPTION = re.compile(r"(^|[ (])--[a-z]")


CLIENT = sorted((ROOT / "slicer_extension/XR2MRI/xr2mri_client").rglob("*.py"))
APP = sorted((ROOT / "monai_app").rglob("*.py"))
OURS = {"xr2mri_core", "xr2mri_client", "monai_app"}
OF_SLICER = {"slicer", "qt"}
"""What the client imports where it runs in Slicer, which has it."""


def imported(file: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    return _imports(ast.walk(ast.parse(file.read_text("utf-8"))))


def imported_at_once(file: Path) -> Iterator[str]:
    """Those that it imports when it is imported itself."""
    return _imports(_outside_functions(ast.parse(file.read_text("utf-8"))))


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for inner in ast.iter_child_nodes(node):
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner
            yield from _outside_functions(inner)


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)


@pytest.mark.parametrize("file", CORE, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_core_imports_no_server_and_names_no_option(file):
    inner = file.relative_to(ROOT / "xr2mri_core").parts
    if inner[0] in PROGRAMS:
        return
    tops = {name.partition(".")[0] for name in imported(file)}
    assert not tops & {"monai_app", "monailabel", "XR2MRILib", "slicer"}
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Raise | ast.Compare):
            assert not options_in(node), "pass option=...; the command line tells it its way"


def options_in(node: ast.AST) -> list[str]:
    """The texts below a node that name an option of a command line, f-strings too."""
    texts = [str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant)]
    for inner in ast.walk(node):
        if isinstance(inner, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "x" for p in inner.values]
            texts.append("".join(map(str, parts)))
    return [text for text in texts if OPTION.search(text)]


@pytest.mark.parametrize("text", ["'give --out'", "f'give {x} (--{name})'", "f'--{name} {x}'"])
def test_an_option_is_seen_in_any_text(text):
    assert options_in(ast.parse(f"raise E({text})")) and options_in(ast.parse(f"a == {text}"))
    assert not options_in(ast.parse("raise E(f'a -- {b}', option='out')"))


def test_no_two_modules_import_each_other():
    """At file scope; what a function imports when it is called is no circle."""
    graph = {}
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (*CORE, *sorted((ROOT / "monai_app").rglob("*.py")))
    }
    for name, file in names.items():
        scope = [
            node
            for node in ast.parse(file.read_text("utf-8")).body
            if isinstance(node, ast.ImportFrom) and not node.level and node.module
        ]
        imports = {f"{node.module}.{alias.name}" for node in scope for alias in node.names}
        imports |= {str(node.module) for node in scope}
        graph[name] = {other for other in imports if other in names and other != name}
    done: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in graph[name] - {name.rpartition(".")[0]}:  # a package knows its parts
                follow(other, (*way, name))
            done.add(name)

    for name in graph:
        follow(name, ())


@pytest.mark.parametrize(
    ("folder", "above"),
    [("diffusion", ("networks", "baselines")), ("networks", ("baselines",))],
)
def test_networks_use_the_diffusion_and_not_the_other_way_round(folder, above):
    for file in sorted((ROOT / "xr2mri_core" / folder).rglob("*.py")):
        parts = {name.split(".")[1] for name in imported(file) if name.startswith("xr2mri_core.")}
        assert not parts & set(above), file


@pytest.mark.parametrize(
    ("option", "message"),
    [("", "no"), ("out", "no (--out)"), ("resume False", "no (--resume False)")],
)
def test_a_command_line_tells_the_option_that_mends_an_error(option, message):
    assert with_option(InputError("no", option=option)) == message


def test_each_command_line_has_its_spelling():
    error = InputError("no", option="legs_seed")
    assert with_option(error, lambda name: name.replace("_", "-")) == "no (--legs-seed)"


def test_the_citation_tells_the_version_of_the_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == __version__ and cited["license"] == "Apache-2.0"
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_commits_are_checked_by_the_programs_of_make_lint():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    for line in ("$(BIN)/ruff check", "$(BIN)/ruff format", "$(BIN)/mypy"):
        assert line in (ROOT / "Makefile").read_text("utf-8")
        assert any(entry.startswith(line.replace("$(BIN)", ".venv/bin")) for entry in entries)


def declared(*extras: str) -> set[str]:
    """The packages that pyproject.toml asks for, with those of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"]]
    lines += [line for extra in extras for line in project["optional-dependencies"][extra]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


_owners = cache(packages_distributions)


def undeclared(names: Iterable[str], packages: set[str]) -> set[str]:
    """The modules of these that come with none of these packages, nor with Python or the house."""
    tops = {name.partition(".")[0] for name in names}
    return {
        top
        for top in tops - OURS - OF_SLICER - set(sys.stdlib_module_names)
        if not {canonicalize_name(owner) for owner in _owners().get(top, ())} & packages
    }


def test_a_package_that_nobody_asks_for_is_noticed():
    """What came along by chance, as with another package, counts as much as what is not there."""
    assert undeclared(["os.path", "torch.nn", "xr2mri_core.errors"], {"torch"}) == set()
    assert undeclared(["torch", "PIL.Image", "not_there"], {"torch"}) == {"PIL", "not_there"}


@pytest.mark.parametrize(
    ("files", "find", "extras"),
    [
        pytest.param((*CORE, *CLIENT), imported_at_once, (), id="core and client"),
        pytest.param((*CORE, *CLIENT), imported, ("server", "cluster"), id="when called"),
        pytest.param(APP, imported, ("server",), id="server"),
    ],
)
def test_whatever_is_imported_is_declared(files, find, extras):
    """`pip install` brings what pyproject.toml names, and nothing else is sure to be there."""
    packages = declared(*extras)
    missing = {str(file.relative_to(ROOT)): undeclared(find(file), packages) for file in files}
    assert {file: names for file, names in missing.items() if names} == {}


def test_weights_are_written_in_one_place():
    """Which writes them whole, and readable by the user that a server runs as."""
    writers = [file for file in CORE if "save_file" in file.read_text()]
    assert [file.name for file in writers] == ["model.py"]
    folders = [file for file in CORE if ".save_pretrained(" in file.read_text()]
    assert [file.name for file in folders] == ["autoencoder.py"]


def test_the_architecture_page_shows_every_room_of_the_core():
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    tree = page.partition("    xr2mri_core/")[2].partition("    monai_app/")[0]
    folders = {file.parent.relative_to(ROOT / "xr2mri_core").parts[:1] for file in CORE}
    rooms = {f"{parts[0]}/" for parts in folders if parts}
    rooms |= {file.name for file in CORE if file.parent == ROOT / "xr2mri_core"}
    assert rooms - {"__init__.py"} - set(tree.split()) == set()


@pytest.mark.parametrize("folder", ["monai_app", "xr2mri_core", "tests", "benchmarks"])
def test_the_app_s_parts_have_one_name(folder):
    """Imported as `lib` from within the app's folder, a module would be there twice."""
    wrong = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for name in imported(file)
        if name.partition(".")[0] == "lib"
    ]
    assert not wrong


def test_docstrings_speak_one_dialect():
    """Google's, in Markdown, as the reference is built from them: no roles of Sphinx."""
    role = re.compile(r":(?:func|class|mod|meth|attr|data|exc|obj):`")
    folders = ("xr2mri_core", "monai_app", "slicer_extension", "tests", "benchmarks")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert [str(file) for file in files if role.search(file.read_text("utf-8"))] == []


def test_every_python_3_11_can_install_what_is_pinned():
    """`make env` and uv take the one that a system has: Debian 12 has 3.11.2."""
    pinned = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    pins = {(canonicalize_name(name), version) for name, version in pinned}
    wrong = [
        f"{there.name} {there.version}: {asked}"
        for there in distributions()
        if (canonicalize_name(there.name), there.version) in pins
        and (asked := there.metadata.get("Requires-Python"))
        and "3.11.0" not in SpecifierSet(asked)
    ]
    assert not wrong


EXAMPLES = [file for file in CORE if re.search(r"^ *>>> ", file.read_text("utf-8"), re.M)]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_examples_of_docstrings_hold(file):
    """They stand in the reference as they are."""
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    with torch.random.fork_rng():
        found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted and not found.failed
