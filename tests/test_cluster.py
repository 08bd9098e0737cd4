"""Work on a Dask cluster: the same bytes, whoever dies in the middle."""

from __future__ import annotations

import csv
import json
import os
import pickle
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from samples import draw_knee
from test_processes import shot, squared

from xr2mri_core.cli import main
from xr2mri_core.devices import device_of_worker
from xr2mri_core.errors import InputError, OutputError, WeightsError
from xr2mri_core.generation import loaded
from xr2mri_core.parents import WORKER
from xr2mri_core.processes import _Piece, each_done

DOCS = Path(__file__).resolve().parents[1] / "docs"
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    """Two workers, processes of their own that are started again when they die."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options, host="127.0.0.1") as two:
        yield two


@pytest.fixture
def knees(tmp_path) -> Path:
    """Six radiographs."""
    folder = tmp_path / "knees"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(draw_knee(seed=index)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def generate(tiny_bundle, knees) -> Callable[..., int]:
    """The command for these radiographs."""

    def command(out: Path, *more: object) -> int:
        words = ["generate", "--folder", knees, "--bundle", tiny_bundle, "--device", "cpu"]
        return main([str(word) for word in (*words, "--slices", 2, "--out", out, *more)])

    return command


def at_the_first_row(out: Path, act: Callable[[], object]) -> threading.Thread:
    """Does something as soon as one knee is in the journal."""

    def watch() -> None:
        while not (out / "manifest.jsonl").is_file():
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def volumes(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.nii.gz"))}


def test_every_item_is_done_once_with_one_thread(cluster):
    done = list(each_done(squared, range(12), 1, "squares", scheduler=cluster.scheduler_address))
    assert sorted(number for number, _, _ in done) == [n**2 for n in range(12)]
    assert {threads for _, threads, _ in done} == {1}
    with pytest.raises(TypeError):  # an error of the work is the caller's
        list(each_done(squared, ["word"], 1, "squares", scheduler=cluster.scheduler_address))


def test_a_worker_killed_in_the_middle_costs_nothing(cluster, generate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the workers stand elsewhere
    pids = [worker.pid for worker in cluster.workers.values()]
    kill = at_the_first_row(tmp_path / "two", lambda: os.kill(pids[0], signal.SIGKILL))
    assert generate(Path("two"), "--scheduler", cluster.scheduler_address) == 0
    kill.join()
    journal = (tmp_path / "two" / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["name"] for line in journal) == [str(n) for n in range(6)]
    assert generate(tmp_path / "one", "--jobs", 1) == 0
    assert len(volumes(tmp_path / "one")) == 6
    assert volumes(tmp_path / "two") == volumes(tmp_path / "one")
    with (tmp_path / "two" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["generated"] * 6
    assert generate(tmp_path / "one", "--scheduler", cluster.scheduler_address) == 0
    listed = json.loads((tmp_path / "one" / "manifest.json").read_text())["knees"]
    assert {row["status"] for row in listed} == {"kept"}, "whoever did it"


def test_a_piece_that_kills_its_workers_is_told(cluster):
    usual, cluster.scheduler.allowed_failures = cluster.scheduler.allowed_failures, 0
    try:
        with pytest.raises(OutputError, match=r"what shoots has killed 1 worker.*is kept"):
            list(each_done(shot, range(3, 4), 1, "shoots", scheduler=cluster.scheduler_address))
        told = each_done(
            shot, range(3, 4), 1, "shoots", scheduler=cluster.scheduler_address,
            lost=lambda item, why: (item, why[:26]),
        )  # fmt: skip
        assert list(told) == [(3, "a process that shoots was ")]
    finally:
        cluster.scheduler.allowed_failures = usual


SCHEDULER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    one = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, host="127.0.0.1",
                       protocol="tcp://", dashboard_address=None)
    print(one.scheduler_address, flush=True)
    time.sleep(600)
"""


def test_a_lost_scheduler_is_told_and_the_next_run_goes_on(generate, tmp_path, capsys):
    process = subprocess.Popen([sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        kill = at_the_first_row(tmp_path / "out", process.kill)
        assert generate(tmp_path / "out", "--scheduler", address) == 1
        kill.join()
    finally:
        process.kill()
    said = capsys.readouterr().err
    assert f"the scheduler {address} was lost: run the same command again" in said
    assert len(said.splitlines()) == 1, said
    done = (tmp_path / "out" / "manifest.jsonl").read_text().count("\n")
    assert generate(tmp_path / "out", "--jobs", 1) == 0
    assert capsys.readouterr().out.startswith(f"{6 - done} generated, {done} kept, 0 failed")


def test_no_scheduler_is_told(monkeypatch):
    monkeypatch.setattr("xr2mri_core.processes._CONNECT_SECONDS", 0.5)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        list(each_done(squared, [1], 1, "squares", scheduler="tcp://127.0.0.1:1"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="its extra 'cluster'"):
        list(each_done(squared, [1], 1, "squares", scheduler="tcp://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--scheduler", "host"], "is not tcp://HOST:PORT"),
        (["--scheduler", "http://host:8786"], "is not tcp://HOST:PORT"),
        (["--scheduler", "tcp://host:8786", "--jobs", 2], "--jobs is for processes of this"),
    ],
)
def test_a_scheduler_is_checked(more, says, generate, tmp_path, capsys):
    assert generate(tmp_path / "out", *more) == 2
    assert says in capsys.readouterr().err


def test_another_version_is_refused():
    with pytest.raises(InputError, match="install one version everywhere"):
        _Piece(squared, "0.0.1")(3)


def test_a_generator_travels_as_its_recipe_and_is_loaded_once(generator, tiny_bundle, tmp_path):
    sent = pickle.dumps(generator)
    assert len(sent) < 2000
    there, again = pickle.loads(sent), pickle.loads(sent)
    assert there is again and there.describe() == generator.describe()
    recipe = generator.recipe
    changed = {**recipe.__dict__, "sha256": "0" * 64}
    with pytest.raises(WeightsError, match="are others here"):
        loaded(type(recipe)(**changed))


def test_gpus_take_turns_among_processes(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert device_of_worker("cuda") == "cuda"
    monkeypatch.setenv(WORKER, "3")
    assert device_of_worker("cuda") == "cuda:1"
    assert (device_of_worker("cpu"), device_of_worker("cuda:0")) == ("cpu", "cuda:0")


def test_the_example_for_slurm_asks_for_one_gpu_and_one_knee_at_a_time(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.chdir(tmp_path)
    with runpy.run_path(str(DOCS / "slurm_cluster.py"))["slurm"]() as cluster:
        script = cluster.job_script()
    assert "#SBATCH --gres=gpu:1" in script and "#SBATCH -t 04:00:00" in script
    assert f"{sys.executable} -m distributed.cli.dask_worker tcp://" in script
    assert "--nthreads 1 " in script and "--nworkers" not in script


@pytest.mark.slow
def test_the_commands_of_the_page_literally(tmp_path):
    """With the shipped model, in a folder that holds nothing but the page's ``.venv``."""
    block = (DOCS / "cluster.md").read_text().split("```sh\n")[1:3]
    text = "\n".join(part.split("```")[0] for part in block)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    here: dict = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(DOCS.parent)}}
    running, said = [], []
    try:
        for line in text.splitlines():
            if line.endswith("&"):
                running.append(subprocess.Popen(["bash", "-c", f"exec {line[:-1]}"], **here))
            elif "pip install" not in line:
                words = ["bash", "-c", line]
                ran = subprocess.run(words, **here, capture_output=True, text=True)
                assert ran.returncode == 0, (line, ran.stderr)
                said += [printed for printed in ran.stdout.splitlines() if "generated, " in printed]
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(60)
    assert said == ["2 generated, 0 kept, 0 failed", "0 generated, 2 kept, 0 failed"]
    assert len(volumes(tmp_path / "data" / "volumes")) == 2
