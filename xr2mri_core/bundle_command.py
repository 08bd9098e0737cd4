"""Options of the bundle's commands (`python -m monai.bundle run ...`), checked as they are typed.

MONAI adds an override that no part of a configuration reads (`stesp` for `steps`) to the
configuration and says nothing: the training runs for hours with the default. `begin` is the first
thing that each of the bundle's configurations evaluates; it refuses such options, and makes the
errors that a user can mend one line instead of a traceback. It is a part of that program, as `cli`
is of ours: it knows the options by their spelling.
"""

from __future__ import annotations

import inspect
import pydoc
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow, run

from xr2mri_core.errors import InputError, XR2MRIError, shown, with_option

_REFERENCE = re.compile(r"[@%](\w+)")
_STRUCTURE = {"imports", "bundle_root", "initialize", "run", "finalize"}


def begin() -> None:
    """Check the options of the bundle command that evaluates this; see the module.

    Raises:
        InputError: an option or a key of a configuration file is misspelt, or belongs to another
            command; the message names the nearest one. Or a configuration is not named that others
            need.
    """
    if _is_command():
        sys.excepthook = _plainly
    workflow = _running()
    if workflow is not None:
        config, configs = workflow.parser.get(), Path(workflow.config_root_path)
        check_options(config, configs, command_options())
        check_complete(config, configs)


def check_options(
    config: Mapping[str, Any], configs: Path | None = None, typed: Iterable[str] = ()
) -> None:
    """Refuse keys that no part of a configuration reads.

    A key is known when an expression refers to it, or it holds a component (`_target_`) or a list
    of expressions. Keys at the top of any configuration of the bundle are known too, for an overlay
    may serve several of its commands; an option that was typed has to be one of this command.

    Args:
        config: the whole configuration, overrides included.
        configs: the bundle's folder of configurations.
        typed: names of the options on the command line.

    Raises:
        InputError: see above.
    """
    own = {name: value for name, value in config.items() if not name.startswith("_")}
    referred = {name for text in _texts(own) for name in _REFERENCE.findall(text)}
    read = referred | _STRUCTURE | {n for n, v in own.items() if _is_content(v)}
    elsewhere = _keys_of(configs) if configs is not None else set()
    options = _read(config, _STRUCTURE | {"export"}) | set(inspect.signature(run).parameters)
    for name in typed:
        top, *rest = re.split(r"#|::", name)
        if top not in options:
            raise InputError(_unknown(f"--{name}", top, options, "--"))
        _check_path(own, name, top, rest)
    for name in own:
        if name not in read | elsewhere:
            raise InputError(_unknown(name, name, read | options))


def check_complete(config: Mapping[str, Any], configs: Path) -> None:
    """Refuse a configuration that runs what another file of the bundle defines.

    Args:
        config: the whole configuration, overrides included.
        configs: the bundle's folder of configurations.

    Raises:
        InputError: naming what is missing and the files that have it.
    """
    missing = _read(config, _STRUCTURE) - _STRUCTURE - config.keys()
    found = {path.name: missing & _keys_in(path) for path in sorted(configs.glob("*.yaml"))}
    most = max(map(len, found.values()), default=0)
    if most:
        names = [name for name, keys in found.items() if len(keys) == most]
        what = min(found[names[0]])
        raise InputError(
            f"no configuration has {what}: name {' or '.join(names)} too", option="config_file"
        )


def _read(config: Mapping[str, Any], parts: set[str]) -> set[str]:
    """The keys that some parts of a configuration read, by way of others too; those included."""
    read, look = set(parts), list(parts)
    while look:
        texts = _texts(config.get(look.pop()))
        more = {name for text in texts for name in _REFERENCE.findall(text)} - read
        read |= more
        look += more
    return read


def command_options() -> list[str]:
    """Names of the options of a bundle command, as Fire reads them; none in another program."""
    if not _is_command():
        return []
    words = [word[2:].split("=", 1)[0] for word in sys.argv[1:] if word.startswith("--")]
    return [word.replace("-", "_") for word in words if word]


def _check_path(config: Mapping[str, Any], name: str, top: str, rest: list[str]) -> None:
    """Check `part#argument`: the part has to take such an argument."""
    part: Any = config.get(top)
    for depth, key in enumerate(rest):
        if not isinstance(part, Mapping):
            return
        target = part.get("_target_")
        accepted = _arguments(target) if isinstance(target, str) else None
        if accepted is not None and key not in accepted and not key.startswith("_"):
            before = "#".join([top, *rest[:depth]])
            raise InputError(_unknown(f"--{name}", key, accepted, f"--{before}#"))
        part = part.get(key)


def _arguments(target: str) -> set[str] | None:
    """Names that a component may be given; None where any will do."""
    found = pydoc.locate(target)
    if not callable(found):
        return None
    parameters = inspect.signature(found).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters}


def _unknown(what: str, name: str, known: Iterable[str], prefix: str = "") -> str:
    near = get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    hint = f"did you mean {prefix}{near[0]}?" if near else "they stand in its configuration"
    return f"{shown(what)[1:-1]} is no option of this bundle command: {hint}"


def _keys_of(configs: Path) -> set[str]:
    """Keys at the top of all of a bundle's configurations."""
    files = [path for kind in ("*.yaml", "*.yml", "*.json") for path in configs.rglob(kind)]
    return {key for path in files for key in _keys_in(path)}


def _keys_in(path: Path) -> set[str]:
    """Keys at the top of one configuration, those included that it merges (`+key`)."""
    return {str(key).removeprefix("+") for key in ConfigParser.load_config_file(path)}


def _is_content(value: Any) -> bool:
    """Whether it is a part or something to run, and so no option."""
    if isinstance(value, Mapping):
        return "_target_" in value
    return isinstance(value, list) and all(isinstance(v, str) and v.startswith("$") for v in value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)


def _is_command() -> bool:
    return Path(sys.argv[0]).parts[-3:] == ("monai", "bundle", "__main__.py")


def _running() -> ConfigWorkflow | None:
    """The workflow that evaluates the caller: MONAI gives a configuration no way to see itself."""
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigWorkflow):
            return owner
        frame = frame.f_back
    return None


def _plainly(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """`sys.excepthook`: an error that a user can mend is one line; others keep their traceback."""
    cause: BaseException | None = error
    while cause is not None:  # MONAI raises errors of its own from those of an expression
        if isinstance(cause, XR2MRIError):
            print(f"error: {with_option(cause)}", file=sys.stderr)
            return
        cause = cause.__cause__
    sys.__excepthook__(kind, error, traceback)
