"""The checks: each takes a piece of a document and yields what is wrong with it."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile, zip_longest
from pathlib import Path
from urllib.parse import unquote, urlsplit

from documents import options
from documents.passages import Kind, Passage, anchors, is_typed, passages
from documents.shell import Session, commands, replaced

ENVIRONMENT = Path(sys.prefix) / "bin"
SYSTEM = {"make", "cd", "cp", "curl", "git", "openssl", "python3.11"}
"""What a machine has before anything of ours is installed."""

_OPTION = re.compile(r"(?<![\w-])--[A-Za-z][\w#-]*")
_LOOSE = re.compile(r"(?<![\w/.-])(?:python -m [\w.]+\w|monailabel \w+_\w+)")
_ELISION = re.compile(r"\.\.\.|[\[\]{}<>]|^[A-Z]+$")


@dataclass(frozen=True)
class Problem:
    """Something that a document names and that does not exist."""

    document: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.what}"


def documents(root: Path) -> list[Path]:
    """What people read: the tracked Markdown, nginx's example, Qt's forms, and Python's strings."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.conf", "*.ui", "*.py"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [
        root / name
        for name in listed
        if not (name.endswith(".py") and name.startswith("tests/") and "harness" not in name)
        and not name.endswith("logging.conf")
    ]


def problems(document: Path, root: Path) -> list[Problem]:
    """Everything in a document that cannot be typed or does not resolve.

    Args:
        document: Markdown, Python, a Qt form or another text with `#` comments.
        root: of the checkout.
    """
    session = Session(root, brief=document.suffix == ".py")
    found = []
    for passage in passages(document):
        for what in _wrong(passage, document, session):
            found.append(Problem(document, passage.line, what))
    return found


def _wrong(passage: Passage, document: Path, session: Session) -> Iterator[str]:
    if passage.kind is Kind.SHELL:
        for words in commands(passage.text):
            yield from _command(words, session)
    elif passage.kind is Kind.PYTHON:
        yield from _imports(passage.text, session.root)
    elif passage.kind is Kind.TREE:
        yield from _tree(passage.text, session.root)
    elif passage.kind is Kind.LINK:
        yield from _link(passage.text, document)
    elif passage.kind is Kind.PROSE:
        yield from _options(passage.text, session)
        for found in _LOOSE.finditer(passage.text):
            yield from _code(found[0], document, session)
    else:
        yield from _code(passage.text, document, session)


# --- commands -------------------------------------------------------------------------------------


def _command(words: list[str], session: Session) -> Iterator[str]:
    """A command of a shell block, which has to run as it stands."""
    words, unknown = replaced(words, session)
    yield from (f"${name} is set nowhere before" for name in unknown)
    if not words:
        return
    program, *given = words
    if program in (".", "source"):
        session.active = session.active or given == [".venv/bin/activate"]
        return
    if program == "cd":
        yield from _enter(given, session)
        return
    if program.startswith(".venv/bin/") and session.folder == session.root:
        program = program.removeprefix(".venv/bin/")
    elif "/" in program:
        if not (session.folder / program).is_file():
            yield f"{program}: no such program"
        return
    elif program not in SYSTEM and not (session.active or session.brief):
        yield f"{program}: not on the PATH of a new terminal; write .venv/bin/{program}"
    yield from _called(program, given, session, whole=True)


def _enter(given: list[str], session: Session) -> Iterator[str]:
    """`cd`: the folder that `git clone` makes is the checkout."""
    folder = (session.folder / given[0]).resolve()
    if folder.is_relative_to(session.root) and folder.is_dir():
        session.folder = folder
    elif given != ["xr2mri"]:
        yield f"cd {given[0]}: no such folder"


def _called(program: str, given: list[str], session: Session, whole: bool) -> Iterator[str]:
    """A program with its arguments; in prose they need not be complete."""
    whole = whole and not any(map(_ELISION.search, given))
    if program == "make":
        yield from _make(given, session.root)
    elif program == "xr2mri":
        yield from _parsed(options.parser_of(program), program, given, whole)
    elif program == "monailabel":
        yield from _monailabel(given)
    elif program == "torchrun":
        place = given.index("-m") if "-m" in given else len(given)
        yield from _torchrun(given[:place])
        yield from _python(given[place:], session, whole)
    elif program in ("python", "python3"):
        yield from _python(given, session, whole)
    elif program == "curl":
        yield from _curl(given)
    elif program not in SYSTEM and not (ENVIRONMENT / program).is_file():
        yield f"{program}: no such command"


def _parsed(parser, program: str, given: list[str], whole: bool) -> Iterator[str]:
    if program == "xr2mri":
        from xr2mri_core.cli.localize import spelled_out

        given = list(spelled_out(given)) if whole else given
    inner, rest, stranger = options.descend(parser, given)
    if stranger and (whole or not _ELISION.search(stranger)):
        yield f"{program}: no command {stranger}"
        return
    known = options.options_of(inner, deep=not whole)
    wrong = list(_unknown(inner.prog, rest, known))
    yield from wrong
    if whole and not wrong and (said := options.refused(parser, given)):
        yield said


def _monailabel(given: list[str]) -> Iterator[str]:
    command, *rest = given
    if command not in options.monailabel_options():
        yield f"monailabel: no command {command}"
        return
    yield from _unknown("monailabel", rest, options.monailabel_options()[command])
    for word, key in pairwise(rest):
        if word == "--conf" and key.islower() and key not in options.conf_keys():
            yield f"--conf: no setting {key}"


def _unknown(program: str, given: list[str], known: Collection[str]) -> Iterator[str]:
    for name in map(_name, given):
        if _OPTION.fullmatch(name) and name not in known:
            yield f"{program}: no option {name}"


def _make(given: list[str], root: Path) -> Iterator[str]:
    for word in given:
        name, assigned, _ = word.partition("=")
        if assigned and name not in options.make_variables(root):
            yield f"make: no variable {name}"
        elif not assigned and not word.startswith("-") and word not in options.make_targets(root):
            yield f"make: no target {word}"


def _python(given: list[str], session: Session, whole: bool) -> Iterator[str]:
    if given[:1] == ["-m"] and len(given) > 1:
        module, rest = given[1], given[2:]
        if module == "monai.bundle":
            yield from _bundle(rest, session, whole)
        elif module == "monai_app.lib.security.users":
            yield from _parsed(options.parser_of(module), module, rest, whole)
        elif not options.can_run(module):
            yield f"python -m {module}: no such module"
    elif given and given[0].endswith(".py"):
        script = session.folder / given[0]
        if not script.is_file():
            yield f"python {given[0]}: no such file"
            return
        yield from _unknown(given[0], given[1:], options.script_options(script))


def _bundle(given: list[str], session: Session, whole: bool) -> Iterator[str]:
    """`monai.bundle`: its own options, and the keys of the configurations that it is given."""
    functions = options.bundle_functions()
    if not given or given[0] not in functions:
        yield from [] if not whole and not given else [f"monai.bundle: no command {given[:1]}"]
        return
    function, *rest = given
    values = {
        _name(word).removeprefix("--"): word.partition("=")[2] or following
        for word, following in zip_longest(rest, rest[1:], fillvalue="")
        if word.startswith("--")
    }
    files = re.findall(r"[^\s'\",\[\]]+\.(?:yaml|json|conf)", values.get("config_file", ""))
    files += [values[name] for name in ("meta_file", "logging_file", "filepath") if name in values]
    missing = [name for name in files if not (session.folder / name).is_file()]
    yield from (f"monai.bundle: no file {name}" for name in missing)
    if missing or not whole:
        return
    config = options.merged([session.folder / name for name in files if name.endswith(".yaml")])
    for name in values:
        if name not in functions[function] and not options.has_key(config, name, session.root):
            yield f"monai.bundle {function}: {name} is no key of {', '.join(files)}"
    if rest and not rest[0].startswith("-") and rest[0] not in config:
        yield f"monai.bundle {function}: {rest[0]} is no key of {', '.join(files)}"


def _torchrun(given: list[str]) -> Iterator[str]:
    known = options.script_options(options.installed("torch.distributed.run"))
    yield from _unknown("torchrun", [word.replace("_", "-") for word in given], known)


def _curl(given: list[str]) -> Iterator[str]:
    for word in given:
        address = urlsplit(word)
        if address.hostname in ("127.0.0.1", "localhost") and not options.is_route(
            None, address.path
        ):
            yield f"curl: the server has no route {address.path}"


def _name(word: str) -> str:
    return word.partition("=")[0]


# --- code in prose, links -------------------------------------------------------------------------


def _code(text: str, document: Path, session: Session) -> Iterator[str]:
    if is_typed(text):
        try:
            words, _ = replaced(
                shlex.split(text), Session(session.root, variables=session.variables)
            )
        except ValueError as error:
            yield f"{text}: {error}"
        else:
            program, *given = words
            outside = Session(session.root, brief=session.brief)
            yield from _called(Path(program).name, given, outside, whole=False)
        return
    if document.suffix == ".md" and (route := re.fullmatch(r"(?:([A-Z]+) )?(/\S*)", text)):
        yield from [] if options.is_route(*route.groups()) else [f"the server has no route {text}"]
    elif "/" in text and " " not in text and not text.startswith("/"):
        yield from _path(text, document, session.root)
    yield from _options(text, session)


def _options(text: str, session: Session) -> Iterator[str]:
    for name in _OPTION.findall(text):
        if not options.is_option(name, session.root):
            yield f"no command has the option {name}"


def _path(text: str, document: Path, root: Path) -> Iterator[str]:
    """A path that starts in a folder of the tree is there, or is made by a command of ours."""
    bases = [root, *(folder for folder in document.parents if folder.is_relative_to(root))]
    homes = [base for base in bases if (base / text.split("/")[0]).is_dir()]
    if not homes or text.startswith(".") or _ELISION.search(text):
        return
    if not any(any(base.glob(text.strip("/"))) for base in homes) and not _is_made(text, root):
        yield f"no such path: {text}"


def _is_made(path: str, root: Path) -> bool:
    """Whether Git ignores it: what commands write."""
    ignored = ["git", "check-ignore", "--quiet", path.rstrip("/") + "/"]
    return subprocess.run(ignored, cwd=root).returncode == 0


def _tree(text: str, root: Path) -> Iterator[str]:
    """Folders (`name/`) and files (`name.py`) that stand before the words of a line."""
    above: list[tuple[int, Path]] = []
    for row in text.splitlines():
        indent = len(row) - len(row.lstrip())
        above = [(less, folder) for less, folder in above if less < indent]
        home = above[-1][1] if above else root
        for name in takewhile(re.compile(r"[\w-]+(/|\.\w+)").fullmatch, row.split()):
            if not (home / name).exists():
                yield f"the tree has no {(home / name).relative_to(root)}"
            if name.endswith("/"):
                above.append((indent, home / name))


def _link(target: str, document: Path) -> Iterator[str]:
    address = urlsplit(target)
    if address.scheme or address.netloc:
        return
    file = document.parent / unquote(address.path) if address.path else document
    if not file.exists():
        yield f"broken link: {target}"
    elif address.fragment and address.fragment not in anchors(file.read_text("utf-8")):
        yield f"no such heading: {target}"


def _imports(source: str, root: Path) -> Iterator[str]:
    """Names that a Python block imports from the project."""
    homes = (root, root / "slicer_extension/XR2MRI")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        inner = node.module.replace(".", "/")
        files = [home / f"{inner}{end}" for home in homes for end in (".py", "/__init__.py")]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            yield f"no module {node.module}"
            continue
        text = file.read_text("utf-8")
        for name in node.names:
            if not re.search(rf"\b{name.name}\b", text):
                yield f"{node.module} has no {name.name}"
