"""Work in this process or in several: the same results, and a killed process is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from xr2mri_core.errors import OutputError
from xr2mri_core.processes import each_done


def squared(number: int) -> tuple[int, int, str]:
    return number**2, torch.get_num_threads(), os.environ.get("XR2MRI_TEST", "")


def shot(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def telling(number: int) -> int:
    warnings.warn("told by a worker", FutureWarning, stacklevel=1)
    return number


def slow(number: int) -> int:
    time.sleep(0.2)
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_do_not_depend_on_the_number_of_processes(jobs, monkeypatch):
    monkeypatch.setenv("XR2MRI_TEST", "own")
    threads = torch.get_num_threads()
    done = list(each_done(squared, range(5), jobs, "squares"))
    assert sorted(done) == [(n**2, 1, "own") for n in range(5)]
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("action", "told"), [("ignore", False), ("always", True)])
def test_processes_tell_the_warnings_that_this_one_would(action, told, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        assert list(each_done(telling, [1], 2, "tells")) == [1]
    assert ("told by a worker" in capfd.readouterr().err) is told


def shot_once(number: int, marks: Path) -> int:
    """Kills its process with the item 2, the first time."""
    (marks / f"{number}-{time.monotonic_ns()}").touch()
    if number == 2 and len(list(marks.glob("2-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_what_a_killed_process_was_doing_is_done_again(tmp_path, caplog):
    done = list(each_done(partial(shot_once, marks=tmp_path), range(8), 2, "shoots"))
    assert sorted(done) == list(range(8))
    times = [len(list(tmp_path.glob(f"{number}-*"))) for number in range(8)]
    assert times[2] == 2 and sum(times) <= 8 + 2, "what had ended is not done again"
    assert caplog.text.count("a process that shoots was killed: what it was doing is done") == 1


def test_an_item_that_kills_every_process_ends_the_run_with_a_remedy(monkeypatch):
    monkeypatch.setattr("xr2mri_core.processes._MOST_DEATHS", 2)
    with pytest.raises(OutputError, match=r"that shoots was killed 2 times.*fewer processes"):
        list(each_done(shot, range(3, 4), 2, "shoots"))


def test_an_item_that_kills_costs_itself_alone_where_that_has_a_result(monkeypatch):
    """What was under way beside it is not taken for it: suspects are tried one by one."""
    monkeypatch.setattr("xr2mri_core.processes._MOST_DEATHS", 2)
    done = list(each_done(shot, range(2, 5), 2, "shoots", lost=lambda item, why: (item, why)))
    why = "a process that shoots was killed 2 times with it, probably for want of memory"
    assert sorted(done, key=str) == sorted([2, 4, (3, why)], key=str)


def test_the_processes_end_when_the_generator_is_closed():
    started = time.monotonic()
    with closing(each_done(slow, range(1000), 2, "waits")) as done:
        next(done)
    assert time.monotonic() - started < 60  # all thousand would take 100 s


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_end_with_a_killed_parent(how):
    code = "from test_processes import *; list(each_done(slow, range(10**6), 2, 'waits'))"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=os.path.dirname(__file__))
    limit = time.monotonic() + 60
    while len(found := psutil.Process(parent.pid).children(recursive=True)) < 3:  # and the tracker
        assert time.monotonic() < limit and parent.poll() is None, found
        time.sleep(0.1)
    time.sleep(1)  # they have something to do
    parent.send_signal(how)
    parent.wait(30)
    assert psutil.wait_procs(found, timeout=30)[1] == []


def test_an_error_of_the_work_is_the_callers(tmp_path):
    with pytest.raises(TypeError):
        list(each_done(squared, ["not a number"], 2, "squares"))


def test_a_child_ends_when_its_standard_input_does():
    """Whoever holds the other end: also where that process is killed, and another has its pid."""
    code = "import time; from xr2mri_core.parents import end_with_stdin; end_with_stdin()"
    code += "; import sys; print(len(sys.stdin.read()), flush=True); time.sleep(60)"
    starter = "import subprocess, sys, time; words = [sys.executable, '-c', sys.argv[1]]"
    starter += "; p = subprocess.Popen(words, stdin=subprocess.PIPE); print(p.pid, flush=True)"
    starter += "; time.sleep(60)"
    words = [sys.executable, "-c", starter, code]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    try:
        assert parent.stdout.readline() == "0\n", "its standard input is empty"
        parent.kill()
        parent.wait()
        limit = time.monotonic() + 30
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:  # nobody may bury it
            assert time.monotonic() < limit
            time.sleep(0.05)
    finally:
        parent.kill()
        if child.is_running():
            child.kill()
