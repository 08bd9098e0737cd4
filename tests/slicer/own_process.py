"""Tests marked `gui` run in a process of their own, one for all of them (of xdist, where it
distributes them by file; otherwise one for each).

VTK, Qt and torch do not get along in one process, and if the one that draws dies, the other tests
go on. Every test is reported as if it had run here, while it runs. `XR2MRI_GUI=here` runs them in
this process, for a debugger.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

VARIABLE = "XR2MRI_GUI"
_child: dict[str, Any] = {}


def is_own_process() -> bool:
    return bool(os.environ.get(VARIABLE))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Have a `gui` test run elsewhere, and report what came of it."""
    if is_own_process() or item.get_closest_marker("gui") is None:
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    item.session._setupstate.teardown_exact(nextitem)  # what tests before it have left for it
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the other process: hand a report over."""
    if _child.get("out"):
        config = _child["config"]
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        _tell({"nodeid": report.nodeid, "report": data})
        _child["again"] = _child.get("again") or report.outcome == "rerun"


def pytest_runtest_logfinish(nodeid: str) -> None:
    if _child.get("out") and not _child.pop("again", False):  # a rerun of it follows
        _tell({"nodeid": nodeid, "report": None})


def pytest_configure(config: pytest.Config) -> None:
    channel = os.environ.get(VARIABLE, "")
    if channel.isdigit():
        _child.update(config=config, out=os.fdopen(int(channel), "w"))


def pytest_unconfigure() -> None:
    """End the other process, if something ended this one before it was through."""
    process = _child.pop("process", None)
    if process is not None:
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()


def _tell(line: dict[str, Any]) -> None:
    _child["out"].write(json.dumps(line) + "\n")
    _child["out"].flush()


def _reports(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """The reports of one test, as they come."""
    worker = getattr(item.config, "workerinput", None)
    if worker is not None and not worker["by_file"]:  # who gets the next one is not known
        pytest_unconfigure()
        _start([item])
    elif "process" not in _child:
        every = item.session.items
        following = every[every.index(item) :]
        _start([other for other in following if other.get_closest_marker("gui")])
    for line in _child["lines"]:
        line_report = json.loads(line)
        if line_report["report"] is None:
            return
        hook = item.config.hook
        yield hook.pytest_report_from_serializable(config=item.config, data=line_report["report"])
    yield _died(item)


def _start(items: list[pytest.Item]) -> None:
    read, write = os.pipe()
    _child["log"] = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as the process)
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [item.nodeid for item in items]
    _child["process"] = subprocess.Popen(
        command,
        cwd=items[0].config.rootpath,
        env={**os.environ, VARIABLE: str(write)},
        pass_fds=(write,),
        stdout=_child["log"],
        stderr=subprocess.STDOUT,
    )
    os.close(write)
    _child["lines"] = iter(os.fdopen(read))


def _died(item: pytest.Item) -> pytest.TestReport:
    status = _child["process"].wait()
    message = f"the process of the gui tests ended with status {status} before or in this test"
    _child["log"].seek(0)
    message += f":\n{_child['log'].read()[-6000:]}"
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", message, "call")
