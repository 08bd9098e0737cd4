"""What can be typed: asked of the parsers, the Makefile, the bundle's files and the routes."""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import io
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml


def parser_of(program: str) -> argparse.ArgumentParser:
    """The parser of `xr2mri` or of the module `monai_app.lib.security.users`."""
    if program == "xr2mri":
        from xr2mri_core.cli import _parser

        return _parser()
    from monai_app.lib.security.users import _parser as users

    return users()


def descend(
    parser: argparse.ArgumentParser, words: list[str]
) -> tuple[argparse.ArgumentParser, list[str], str | None]:
    """Follow the commands of a parser.

    Returns:
        The parser of the innermost command, the words after it, and a word that is none of its
        commands where there should be one.
    """
    words = list(words)
    while (choices := commands_of(parser)) and words and not words[0].startswith("-"):
        if words[0] not in choices:
            return parser, words, words[0]
        parser = choices[words.pop(0)]
    return parser, words, None


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options_of(parser: argparse.ArgumentParser, deep: bool = False) -> set[str]:
    """The options of a parser; with `deep` also those of its commands."""
    found = set(parser._option_string_actions)
    for command in commands_of(parser).values() if deep else ():
        found |= options_of(command, True)
    return found


def refused(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    """What a parser says against a whole command; None where it takes it."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            parser.parse_args(words)
    except SystemExit as stop:
        return said.getvalue().strip().splitlines()[-1] if stop.code else None
    return None


@cache
def script_options(script: Path, function: str | None = None) -> frozenset[str]:
    """The options that a script, or one function of it, adds to its parser."""
    tree: ast.AST = ast.parse(script.read_text("utf-8"))
    if function is not None:
        tree = _functions(script)[function]
    names = [
        argument.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
        for argument in node.args
        if isinstance(argument, ast.Constant)
    ]
    return frozenset(name for name in names if str(name).startswith("--"))


def _functions(source: Path) -> dict[str, ast.FunctionDef]:
    nodes = ast.walk(ast.parse(source.read_text("utf-8")))
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


def can_run(module: str) -> bool:
    """Whether `python -m module` finds something; it is not imported."""
    if find_spec(module.partition(".")[0]) is None:
        return False
    source = installed(module)
    return source.is_file() or (source.with_suffix("") / "__main__.py").is_file()


def installed(module: str) -> Path:
    """The source of a module of another package, which takes seconds to import."""
    package, *inner = module.split(".")
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, f"{package} is not installed"
    folder = Path(spec.origin).parent
    return folder.joinpath(*inner).with_suffix(".py") if inner else folder.with_suffix(".py")


@cache
def monailabel_options() -> dict[str, frozenset[str]]:
    """The commands of `monailabel` and the options of each."""
    source = installed("monailabel.main")
    found = {name for name in _functions(source) if name.startswith("args_")} - {"args_parser"}
    return {name.removeprefix("args_"): script_options(source, name) for name in found}


@cache
def make_targets(root: Path) -> frozenset[str]:
    """The targets of the Makefile."""
    text = (root / "Makefile").read_text("utf-8")
    return frozenset(re.findall(r"^([a-z][\w-]*):", text, re.M))


@cache
def make_variables(root: Path) -> frozenset[str]:
    """The variables that the Makefile uses."""
    return frozenset(re.findall(r"\$\((\w+)\)", (root / "Makefile").read_text("utf-8")))


def merged(files: list[Path]) -> dict[str, Any]:
    """Configurations of a bundle, the later ones over the earlier ones."""
    result: dict[str, Any] = {}
    for file in files:
        result |= yaml.safe_load(file.read_text("utf-8"))
    return result


@cache
def bundle_functions() -> dict[str, frozenset[str]]:
    """The commands of `monai.bundle` and the options of each."""
    return {
        name: frozenset(argument.arg for argument in node.args.args)
        for name, node in _functions(installed("monai.bundle.scripts")).items()
        if not name.startswith("_")
    }


def has_key(config: dict[str, Any], key: str, root: Path) -> bool:
    """Whether `a#b#0` stands in a configuration, or is an argument of what it makes."""
    node: Any = config
    for part in key.split("#"):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return isinstance(node, dict) and part in _arguments(node.get("_target_", ""), root)
    return True


@cache
def _arguments(target: str, root: Path) -> frozenset[str]:
    """The arguments of a class of ours, by its name in the package that exports it."""
    package, _, name = target.rpartition(".")
    found: set[str] = set()
    for source in (root / package.replace(".", "/")).glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name == name:
                inits = [inner for inner in node.body if getattr(inner, "name", "") == "__init__"]
                found |= {
                    argument.arg
                    for init in inits
                    if isinstance(init, ast.FunctionDef)
                    for argument in [*init.args.args, *init.args.kwonlyargs]
                }
    return frozenset(found)


@cache
def configurations(root: Path) -> dict[str, Any]:
    """All configurations of the bundle, as one."""
    return merged(sorted((root / "monai_app/model/knee_xr2mri/configs").glob("*.yaml")))


@cache
def conf_keys() -> frozenset[str]:
    """The names that `--conf` takes."""
    from monai_app.lib.security.settings import SecuritySettings
    from monai_app.lib.settings import Settings

    names = {
        field.name for kind in (Settings, SecuritySettings) for field in dataclasses.fields(kind)
    }
    return frozenset(names - {"bundles"} | {"models"})


def is_route(method: str | None, path: str) -> bool:
    """Whether the server has a route, or, without a method, routes that begin so."""
    from served_routes import everything

    routes = everything().routes

    path = re.sub(r"[{<]\w+[}>]", "x", path.partition("?")[0])
    if method is None and any(route.path.startswith(path) for route in routes):
        return True
    return any(route.matches(path) and method in (None, route.method) for route in routes)


@cache
def all_options(root: Path) -> frozenset[str]:
    """Every option of every program of the project, the bundle's keys not counted."""
    found: set[str] = set()
    for program in ("xr2mri", "users"):
        found |= options_of(parser_of(program), deep=True)
    found |= set().union(*monailabel_options().values())
    for function in ("run", "verify_net_in_out", "verify_metadata"):
        found |= {f"--{name}" for name in bundle_functions()[function]}
    for script in [*root.glob("benchmarks/*.py"), *root.glob("tests/slicer/*.py")]:
        found |= script_options(script)
    return frozenset(found)


def is_option(name: str, root: Path) -> bool:
    """Whether any program of the project, a configuration of the bundle included, takes it."""
    return name in all_options(root) or has_key(configurations(root), name.removeprefix("--"), root)
