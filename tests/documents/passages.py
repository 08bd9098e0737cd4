"""What a document shows: blocks to type, code in prose, links, headings."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from markdown_it import MarkdownIt

_PROGRAMS = r"xr2mri|monailabel|python3?|torchrun|tensorboard|pytest|curl|git|cd|openssl|source|\."
_MAKE = r"make [a-z-]+(?: \w+=\S+)*\s*(?:#|$)"  # and not `make` as a word of English
_TYPED = re.compile(rf"\s*(?:\w+=\S* )*(?:(?:\.venv/bin/\S+|{_PROGRAMS})\s+\S|{_MAKE})")


class Kind(Enum):
    """What a passage is."""

    SHELL = auto()
    """A block that is typed as it stands."""
    PYTHON = auto()
    """A block of Python."""
    CODE = auto()
    """Code in prose: a command or a part of one, an option, a path."""
    PROSE = auto()
    """Text in which code is not marked."""
    TREE = auto()
    """A block that lists folders and files, by indentation."""
    LINK = auto()
    """Target of a link or of a picture."""


@dataclass(frozen=True)
class Passage:
    """A piece of a document, and the line on which it starts."""

    kind: Kind
    text: str
    line: int


def passages(path: Path) -> Iterator[Passage]:
    """All pieces of a document that can be right or wrong, in their order."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        yield from _markdown(text)
    elif path.suffix == ".py":
        yield from _strings(text)
    elif path.suffix == ".ui":
        for number, label in enumerate(ElementTree.fromstring(text).iter("string"), 1):
            yield from _prose(label.text or "", number)
    else:
        yield from _comments(text)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a Markdown text."""
    tokens = MarkdownIt("commonmark").parse(text)
    titles = [tokens[place + 1].content for place, token in enumerate(tokens)
              if token.type == "heading_open"]  # fmt: skip
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def is_typed(text: str) -> bool:
    """Whether something in front of which there is no word of its kind is a command."""
    return _TYPED.match(text) is not None


def _markdown(text: str) -> Iterator[Passage]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = (token.map or [0])[0] + 1
        if token.type == "fence":
            kind = {"sh": Kind.SHELL, "python": Kind.PYTHON}.get(token.info.strip())
            if kind is not None:
                yield Passage(kind, token.content, line + 1)
        elif token.type == "code_block" and any(map(is_typed, token.content.splitlines())):
            yield Passage(Kind.SHELL, token.content, line)
        elif token.type == "code_block" and re.match(r"\s*[\w-]+/(\s|$)", token.content):
            yield Passage(Kind.TREE, token.content, line)
        for child in token.children or ():
            if child.type == "code_inline":
                yield Passage(Kind.CODE, child.content, line)
            for name in ("href", "src"):
                if name in child.attrs:
                    yield Passage(Kind.LINK, str(child.attrs[name]), line)


def _strings(source: str) -> Iterator[Passage]:
    """Docstrings and messages; what has no space in it is a name, not a text."""
    parts: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts.update(node.values)
            words = [
                part.value if isinstance(part, ast.Constant) else "..." for part in node.values
            ]
            yield from _prose("".join(map(str, words)), node.lineno)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield from _prose(node.value, node.lineno)


def _prose(text: str, line: int) -> Iterator[Passage]:
    if " " not in text.strip():
        return
    marked = re.compile(r"``([^`]+)``|`([^`]+)`")
    for found in marked.finditer(text):
        yield Passage(Kind.CODE, " ".join((found[1] or found[2]).split()), line)
    rest = marked.sub("", text)
    for block in re.findall(r"(?:^(?: {4,}|#   ).*\n?)+", rest, re.M):
        typed = [row.strip("# ") for row in block.splitlines()]
        if any(map(is_typed, typed)):
            yield Passage(Kind.SHELL, "\n".join(typed), line)
            rest = rest.replace(block, "")
    yield Passage(Kind.PROSE, rest, line)


def _comments(text: str) -> Iterator[Passage]:
    rows = [row if row.startswith("#") else "" for row in text.splitlines()]
    yield from _prose("\n".join(rows), 1)
