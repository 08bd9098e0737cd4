"""Several devices behind one line: a process for each, whose end costs no job and no server."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest
import torch
from samples import draw_knee

from monai_app.lib.device_queue import DeviceLost, DeviceQueue, State
from monai_app.lib.info import api_info
from monai_app.lib.parameters import GenerationParameters
from monai_app.lib.service import GenerationService
from xr2mri_core.devices import devices_named
from xr2mri_core.errors import InputError


@pytest.fixture
def queue():
    queue = DeviceQueue(("first", "second"), max_waiting=8)
    yield queue
    queue.close()


class Held:
    """Work that says where it runs and goes on when it is let go; it is lost on some devices."""

    def __init__(self, lost_on=()):
        self.lost_on, self.places = lost_on, []
        self.free, self.started = threading.Event(), threading.Event()

    def __call__(self, job):
        self.places.append(job.device)
        self.started.set()
        assert self.free.wait(10)
        if job.device in self.lost_on:
            raise DeviceLost("the process ended")
        return job.device


def test_each_device_has_a_job_and_the_line_is_one(queue):
    works = [Held() for _ in range(4)]
    jobs = [queue.submit(work, 10, owner) for work, owner in zip(works, "abab", strict=True)]
    assert all(work.started.wait(5) for work in works[:2]) and not works[2].started.is_set()
    assert {job.device for job in jobs[:2]} == {0, 1}
    assert [queue.position(job) for job in jobs] == [0, 0, 2, 3]
    assert [queue.remaining(job) for job in jobs] == pytest.approx([2, 2, 4, 4])
    works[1].free.set()
    assert works[2].started.wait(5) and jobs[2].device == jobs[1].device
    for work in works:
        work.free.set()
    assert all(job.wait(5) and job.state is State.DONE for job in jobs)
    assert queue.ended[State.DONE] == 4 and queue.running == [None, None]


def test_a_lost_job_goes_to_another_device_before_those_that_came_later(queue):
    lost, other, later = Held(lost_on=(0, 1)), Held(), Held()
    lost.lost_on = (0,)
    first = queue.submit(lost, 1)
    assert lost.started.wait(5)
    lost.lost_on = (first.device,)
    second, third = queue.submit(other, 1), queue.submit(later, 1)
    assert other.started.wait(5)
    lost.free.set()
    assert later.started.wait(5), "the device that lost it takes what comes next"
    assert first.state is State.QUEUED and lost.places == [first.device]
    other.free.set()
    assert first.wait(5) and first.state is State.DONE
    assert lost.places == [third.device, second.device]
    assert queue.lost[third.device] == 1 and queue.lost[second.device] == 0
    later.free.set()


@pytest.mark.parametrize("devices", ["one", ("first", "second")])
def test_a_job_that_is_lost_twice_has_failed(devices):
    queue = DeviceQueue(devices)
    try:
        work = Held(lost_on=(0, 1))
        work.free.set()
        job = queue.submit(work, 1)
        assert job.wait(5) and job.state is State.FAILED and "ended" in str(job.error)
        assert len(work.places) == 2 and len(set(work.places)) == len(queue.devices)
    finally:
        queue.close()


def test_a_line_that_drains_ends_what_is_there_and_takes_nothing_more(queue):
    from monai_app.lib.device_queue import QueueFull

    works = [Held() for _ in range(3)]
    jobs = [queue.submit(work, 1) for work in works]
    drained = threading.Thread(target=queue.drain, args=(10,))
    drained.start()
    time.sleep(0.05)
    with pytest.raises(QueueFull):
        queue.submit(Held(), 1)
    for work in works:
        work.free.set()
    drained.join(5)
    assert not drained.is_alive() and {job.state for job in jobs} == {State.DONE}


def test_names_of_devices(monkeypatch):
    assert devices_named("cpu, cpu") == ("cpu", "cpu")
    for names in ("gpu", "cpu,", "cpu,cuda:x"):
        with pytest.raises(InputError, match="accepted are cpu, cuda, cuda:1"):
            devices_named(names)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match="device 'cuda': this machine has 0 GPUs; try cpu"):
        devices_named("cuda")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert devices_named("cuda") == ("cuda",)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices_named("cuda") == ("cuda:0", "cuda:1")
    assert devices_named("cuda:1,cuda:0") == ("cuda:1", "cuda:0")
    with pytest.raises(InputError, match="device 'cuda:2': this machine has 2 GPUs"):
        devices_named("cuda:0,cuda:2")


def test_a_crash_costs_a_retry_on_another_device(tiny_bundle):
    """Two CPU "devices": the same bytes as here, progress, cancelling, a crash, and the end."""
    service = GenerationService({"m": tiny_bundle}, "cpu,cpu")
    try:
        generator = service.generator("m")
        radiograph = generator.read(draw_knee())
        small = GenerationParameters.from_json({"num_slices": 4, "seed": 3})[0]
        large = GenerationParameters.from_json({"num_slices": 300, "steps": 100})[0]
        jobs = [service.prepare("m", radiograph, small).lined_up(service.queue) for _ in range(2)]
        assert all(job.wait(300) for job in jobs)
        assert {job.device for job in jobs} == {0, 1}
        torch.set_num_threads(service.workers[0].threads)
        own = generator.generate(radiograph, num_slices=4, seed=3).volume
        assert all(np.array_equal(job.result.volume, own) for job in jobs)

        work = service.prepare("m", radiograph, large)
        victim = work.lined_up(service.queue)
        waited_for(lambda: victim.done > 0)
        assert work.partial() is not None
        place, pid = victim.device, service.workers[victim.device].pid
        os.kill(pid, signal.SIGKILL)
        waited_for(lambda: victim.device == 1 - place and victim.done > 0)
        assert victim.state is State.RUNNING
        devices = api_info(service, 1)["devices"]
        assert devices[place] == {"name": "cpu", "busy": False, "lost": 1}
        assert devices[1 - place] == {"name": "cpu", "busy": True, "lost": 0}
        service.queue.cancel(victim)
        assert victim.wait(20) and victim.state is State.CANCELLED
    finally:
        service.close()
    assert not [child for child in psutil.Process().children() if child.pid == pid]
    assert [worker.pid for worker in service.workers] == [None, None]


def waited_for(happened) -> None:
    limit = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.01)
