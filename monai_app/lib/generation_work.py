"""One generation as the work of a job: runs on a device's thread, and holds what has arrived."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from monai_app.lib.device_queue import DeviceLost, DeviceQueue, Job
from monai_app.lib.device_worker import DeviceWorker
from monai_app.lib.pace import Pace
from xr2mri_core.condition import Condition
from xr2mri_core.devices import is_out_of_memory
from xr2mri_core.errors import Cancelled, InputError, OutputError, XR2MRIError
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.progress import Callbacks
from xr2mri_core.reading import PreparedRadiograph
from xr2mri_core.request import GenerationRequest
from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

_RECORD = 256 << 10  # bytes of a record, and of what is kept of a header

Deliver = Callable[[GeneratedVolume, Callable[[], bool]], dict[str, str]]
"""Takes a result elsewhere, unless it is cancelled; what it returns, or the error that it raises,
goes into the record as `stored`."""


class Generation:
    """A volume under construction: the work of one job.

    Attributes:
        request: what was asked for, with the model's own where that left it open.
        output_format: form of the result, where none is named when it is fetched.
        affine: affine of the volume.
        units: slices of all samples.
        cost: passes through the networks that they take.
        size: bytes that its result will take.
        slices: how many have arrived of the first sample, from the posterior end on.
        warnings: about the radiograph, and that the result could not be taken elsewhere.
        not_delivered: why it could not.
    """

    def __init__(
        self,
        generator: KneeMRIGenerator,
        radiograph: PreparedRadiograph,
        condition: Condition,
        request: GenerationRequest,
        output_format: str,
        deliver: Deliver | None = None,
        workers: Sequence[DeviceWorker] = (),
        pace: Pace | None = None,
        most_seconds: float = math.inf,
    ) -> None:
        condition.check_for(generator.uses_demographics)
        self.request, self.output_format = request, output_format
        self._workers, self._deliver = workers, deliver
        self.affine = generator.affine(request.positions)
        self.units = request.count * request.samples
        self.cost = generator.plan(request).passes
        volumes = 1 if request.samples == 1 else 3  # beside the volume mean and deviation
        voxels = (volumes * request.count + 1) * generator.image_size**2  # 1: the radiograph
        self.size = voxels * np.dtype(np.float32).itemsize + _RECORD
        self.slices = 0
        self.not_delivered: XR2MRIError | None = None
        self.warnings = [str(warning) for warning in radiograph.info.get("warnings", ())]
        self._generator: KneeMRIGenerator | None = generator
        self._radiograph: PreparedRadiograph | None = radiograph
        self._condition = condition
        self._partial: NDArray[np.float32] | None = None
        self._pace, self._most_seconds = pace, most_seconds

    def __call__(self, job: Job) -> GeneratedVolume:
        """Run on the device's thread."""
        generator, radiograph = self._generator, self._radiograph
        assert generator is not None and radiograph is not None
        asked = self._condition, self.request
        side = generator.image_size

        def is_over() -> bool:
            return job.is_cancelled() or job.seconds > self._most_seconds

        callbacks = Callbacks(
            progress=lambda done, total, stage: job.advance(done),
            arrived=self._arrived,
            cancelled=is_over,
        )
        again = False
        try:
            with _memory():
                self._partial = np.zeros((side, self.request.count, side), np.float32)
                if self._workers:
                    assert job.device is not None and generator.recipe is not None
                    worker = self._workers[job.device]
                    generated = worker.generate(generator.recipe, radiograph, *asked, callbacks)
                else:
                    generated = generator.generate(radiograph, *asked, callbacks)
            if self._pace is not None:
                self._pace.timed(self.cost, generated.record["seconds"]["generate"])
            return generated
        except DeviceLost:
            again = True
            raise
        except Cancelled:
            if job.is_cancelled():
                raise
            raise InputError(
                f"this generation has run for {job.seconds:.0f} s, twice what one may: lower "
                "num_slices (or give fewer depths), samples or steps"
            ) from None
        finally:  # whatever comes of it, the job holds no more than its result
            self._partial, self.slices = (None, 0) if again else (None, self.slices)
            if not again:
                self._generator = self._radiograph = None

    def lined_up(self, line: DeviceQueue, owner: str | None = None) -> Job:
        """Its job, which waits in a line from now on.

        Raises:
            QueueFull: too many wait, or too many of this owner.
        """
        afterwards = None if self._deliver is None else self._take_elsewhere
        return line.submit(self, self.units, owner, afterwards, self.cost)

    def _take_elsewhere(self, job: Job, generated: GeneratedVolume) -> GeneratedVolume:
        """Deliver it. Whoever waits for it gets it whether or not that fails, and is told."""
        assert self._deliver is not None
        deliver, self._deliver = self._deliver, None
        record = generated.record
        try:
            record["stored"] = stored = deliver(generated, job.is_cancelled)
            log.info(
                "the result of job %s is stored: series %s of study %s",
                job.id,
                stored.get("series"),
                stored.get("study"),
            )
        except Cancelled:
            raise
        except XR2MRIError as error:
            self.not_delivered = error.with_traceback(None)
            record["stored"], note = {"error": str(error)}, f"not stored: {error}"
            record["warnings"].append(note)
            self.warnings.append(note)
            log.warning("the result of job %s was not stored: %s", job.id, error)
        return generated

    def _arrived(self, index: int, volume: NDArray[np.float32]) -> None:
        assert self._partial is not None
        self._partial[:, index : index + volume.shape[1]] = volume
        self.slices = index + volume.shape[1]

    def partial(self) -> NDArray[np.float32] | None:
        """What has arrived so far, not a copy; None before the start and after the end."""
        return self._partial


@contextmanager
def _memory() -> Iterator[None]:
    """Tells apart from other failures that the memory of device or machine does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        log.error("a generation needs more memory than there is: %s", error)
        raise OutputError(
            "the memory of the server does not suffice for this volume: lower num_slices (or give "
            "fewer depths) or samples"
        ) from error.with_traceback(None)  # a traceback keeps the tensors of its frames
