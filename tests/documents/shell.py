"""Shell blocks, as far as documents use the shell: words, variables, folders, lists of commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

_SEPARATORS = {"&&", "||", ";", "|", "&"}
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.S)
_VARIABLE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)\b\}?")  # not `$None`, which is MONAI's


@dataclass
class Session:
    """What the commands of one document have changed so far.

    Attributes:
        root: of the checkout, where it starts.
        folder: where it is.
        variables: that were set.
        active: whether the programs of the environment are on the PATH.
        brief: whether its commands are those of a source, which tells neither PATH nor folder.
    """

    root: Path
    folder: Path = field(init=False)
    variables: dict[str, str] = field(default_factory=dict)
    active: bool = False
    brief: bool = False

    def __post_init__(self) -> None:
        self.folder = self.root


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a block as lists of words; comments are dropped, variables left."""
    for row in text.replace("\\\n", " ").splitlines():
        row = re.sub(r"(?:^|\s)#.*", "", row)  # shlex would end `--a#b` at the `#`, too
        lexer = shlex.shlex(row.strip(), posix=True, punctuation_chars=";&|")
        lexer.whitespace_split, lexer.commenters = True, ""
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _SEPARATORS:
                words.append(word)
            elif words:
                yield words
                words = []


def replaced(words: list[str], session: Session) -> tuple[list[str], list[str]]:
    """A command without the assignments before it, its variables replaced; and unknown variables.

    A line of nothing but assignments sets them for the rest of the session.
    """
    unknown: list[str] = []

    def value(found: re.Match[str]) -> str:
        if found[1] not in session.variables:
            unknown.append(found[1])
        return session.variables.get(found[1], found[0])

    words = [_VARIABLE.sub(value, word) for word in words]
    given = list(takewhile(None.__ne__, map(_ASSIGNED.fullmatch, words)))
    if len(given) == len(words):
        session.variables.update({found[1]: found[2] for found in given})
    return words[len(given) :], unknown
