"""The line before a device: in order, bounded, cancellable, and honest about the time left."""

import threading
import time

import pytest

from monai_app.lib.device_queue import DeviceQueue, QueueFull, State
from xr2mri_core.errors import Cancelled, InputError


@pytest.fixture
def queue():
    queue = DeviceQueue("test", max_waiting=3)
    yield queue
    queue.close()


class Gate:
    """Work that runs until it is let go or cancelled."""

    def __init__(self, order=None, name=""):
        self.started, self.free = threading.Event(), threading.Event()
        self.order, self.name = order, name

    def __call__(self, job):
        self.started.set()
        while not self.free.wait(0.005):
            if job.is_cancelled():
                raise Cancelled
        if self.order is not None:
            self.order.append(self.name)
        job.advance(job.total)
        return self.name


def test_work_is_done_one_at_a_time_in_order(queue):
    order = []
    gates = [Gate(order, name) for name in "abc"]
    jobs = [queue.submit(gate, 1) for gate in gates]
    assert gates[0].started.wait(2) and not gates[1].started.wait(0.05)
    assert [queue.position(job) for job in jobs] == [0, 1, 2]
    for gate in reversed(gates):
        gate.free.set()
    assert all(job.wait(2) for job in jobs)
    assert order == list("abc") and [job.result for job in jobs] == list("abc")


def test_a_full_line_refuses_and_says_when_to_come_back(queue):
    gate = Gate()
    queue.submit(gate, 10)
    assert gate.started.wait(2)
    for _ in range(3):
        queue.submit(Gate(), 10)
    with pytest.raises(QueueFull) as refused:
        queue.submit(Gate(), 10)
    assert refused.value.retry_after > 0


def test_one_owner_holds_only_a_part_of_the_line():
    queue = DeviceQueue("test", max_waiting=4, most_of_one=2)
    gates = [Gate() for _ in range(3)]
    try:
        queue.submit(gates[0], 10, "ann")  # runs, and takes no place
        assert gates[0].started.wait(2)
        mine = [queue.submit(gate, 10, "ann") for gate in gates[1:]]
        with pytest.raises(QueueFull, match="2 generations of yours wait") as refused:
            queue.submit(Gate(), 10, "ann")
        assert refused.value.retry_after == pytest.approx(2.0)  # until the first one starts
        queue.submit(Gate(), 10, "bob")
        queue.cancel(mine[0])
        queue.submit(Gate(), 10, "ann")
        queue.submit(Gate(), 10)  # the server's own
        with pytest.raises(QueueFull, match="4 generations wait"):
            queue.submit(Gate(), 10, "bob")
    finally:
        queue.close()


@pytest.mark.parametrize(("places", "share"), [(8, 4), (3, 2), (1, 1)])
def test_users_share_the_line_by_halves(tiny_bundle, places, share):
    from monai_app.lib.service import GenerationService

    for shared, expected in ((True, share), (False, None)):
        service = GenerationService({"m": tiny_bundle}, "cpu", max_queue=places, shared=shared)
        assert service.queue.most_of_one == expected
        service.close()


def test_a_waiting_job_is_cancelled_at_once_and_never_starts(queue):
    first, second = Gate(), Gate()
    queue.submit(first, 1)
    waiting = queue.submit(second, 1)
    queue.cancel(waiting)
    assert waiting.state is State.CANCELLED
    first.free.set()
    assert not second.started.wait(0.1)


def test_a_running_job_is_cancelled_at_its_next_question(queue):
    gate = Gate()
    job = queue.submit(gate, 1)
    assert gate.started.wait(2)
    queue.cancel(job)
    assert job.wait(2) and job.state is State.CANCELLED and job.result is None


def test_cancelling_what_has_ended_changes_nothing(queue):
    job = queue.submit(lambda job: 7, 1)
    assert job.wait(2)
    queue.cancel(job)
    assert job.state is State.DONE and job.result == 7


@pytest.mark.parametrize("error", [InputError("grade 9"), ZeroDivisionError()])
def test_a_failure_is_kept_and_the_line_goes_on(queue, error):
    def fail(job):
        raise error

    failed, good = queue.submit(fail, 1), queue.submit(lambda job: "well", 1)
    assert failed.wait(2) and failed.state is State.FAILED and failed.error is error
    assert failed.error.__traceback__ is None
    assert good.wait(2) and good.result == "well"


def test_the_time_left_is_learnt_from_the_last_job(queue):
    def slow(job):
        time.sleep(0.2)
        job.advance(job.total)

    first = queue.submit(slow, 10)
    assert first.wait(2) and queue.remaining(first) is None
    gate = Gate()
    running, waiting = queue.submit(gate, 10), queue.submit(Gate(), 20)
    assert gate.started.wait(2)
    assert queue.remaining(running) == pytest.approx(0.2, rel=0.5)
    assert queue.remaining(waiting) == pytest.approx(0.6, rel=0.5)


def test_the_time_left_goes_by_what_jobs_cost_and_not_by_their_units(queue):
    """Two slices take as many passes as a whole window: eighty a slice, and eight of fifty."""

    def slow(job):
        time.sleep(0.4)

    assert queue.submit(slow, 2, cost=160).wait(2)
    gate = Gate()
    running = queue.submit(gate, 50, cost=400)
    assert gate.started.wait(2)
    assert queue.remaining(running) == pytest.approx(1.0, rel=0.3)
    running.advance(25)
    assert queue.remaining(running) == pytest.approx(0.5, rel=0.3)


def test_closing_ends_everything():
    queue = DeviceQueue("test")
    gate = Gate()
    running, waiting = queue.submit(gate, 1), queue.submit(Gate(), 1)
    assert gate.started.wait(2)
    queue.close()
    assert running.state is State.CANCELLED and waiting.state is State.CANCELLED
    with pytest.raises(QueueFull):
        queue.submit(Gate(), 1)
