"""A generated volume as a DICOM series, made by the server, in Slicer's DICOM database."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import slicer

from xr2mri_client.client import XR2MRIClient
from xr2mri_client.dicom import unpack
from xr2mri_client.errors import BadRadiograph, JobLost, NotSaved, Refused
from xr2mri_client.events import Final, Returned
from xr2mri_client.jobs import JobHandle, weights_of
from xr2mri_client.texts import tr as _
from xr2mri_client.worker import GenerationWorker

from .activity import Activity, Steps
from .generation import Result
from .states import State
from .upload import upload_of

FILES_A_STEP = 2
"""Files that enter the database between two looks at the user."""


@dataclass(frozen=True)
class Exported:
    """How many images entered the DICOM database, and of which volume."""

    images: int
    name: str


class DicomWorker(GenerationWorker):
    """Gets the series of a volume: of its job while the server keeps it, else of another one from
    the same seed and weights."""

    def __init__(self, client: XR2MRIClient, made: Result, folder: Path) -> None:
        request = replace(made.request, seed=made.seed)
        parameters = {**request.parameters(), "output_format": "dicom"}
        upload = upload_of(made.radiograph, request.pixels_only)
        weights = weights_of(made.record)
        super().__init__(client, _model(made), upload, parameters, partials=False, weights=weights)
        self._kept = made.job if made.server == client.url else None
        self._folder = folder

    def _work(self) -> Final:
        if self._kept is not None:
            try:
                return self._unpacked(self._kept)
            except JobLost:
                pass
        return super()._work()

    def _fetched(self, job: JobHandle) -> Final:
        self._check_weights(weights_of(self._insisting(lambda: self._client.record(job))))
        unpacked = self._unpacked(job)
        self._client.cancel(job)  # nobody will ask for it again
        return unpacked

    def _unpacked(self, job: JobHandle) -> Final:
        content = self._insisting(lambda: self._client.dicom(job))
        return Returned(unpack(content, self._folder))


class DicomExport(Activity):
    """Exports a result; returns `Exported`.

    Raises:
        Refused: Slicer has no DICOM database. BadRadiograph: the radiograph has gone.
        NotSaved: nothing can be written here.
    """

    state = importing = State.EXPORTING

    def __init__(self, client: XR2MRIClient, made: Result) -> None:
        database = getattr(slicer, "dicomDatabase", None)
        if database is None or not database.isOpen:
            raise Refused(_("Slicer's DICOM database is not open. Open the module DICOM once."), 0)
        if made.radiograph is None:
            raise BadRadiograph(
                _("The radiograph of {name} has gone.").format(name=made.volume.GetName())
            )
        self._database, self._name = database, made.volume.GetName()
        self._folder = _new_folder()
        self.worker = DicomWorker(client, made, self._folder)

    def steps(self, event: Final) -> Steps:
        assert isinstance(event, Returned)
        files: list[Path] = event.value
        known = self._has(files[0])
        self._database.prepareInsert()
        for index, path in enumerate(files):
            self._database.insert(str(path), True, False, True)
            if not self._has(path):  # it raises nothing
                self._take_back(files[0], known)
                message = _("Slicer's DICOM database took {n} of {m} images.")
                raise NotSaved(message.format(n=index, m=len(files)))
            if index % FILES_A_STEP == FILES_A_STEP - 1:
                yield
        self._tidy()
        yield
        self._database.updateDisplayedFields()  # the names and counts that the browser shows
        return Exported(len(files), self._name)

    def _has(self, path: Path) -> bool:
        """Whether the database has a file of the series, which are named by their instance."""
        return bool(self._database.fileForInstance(path.stem))

    def _take_back(self, first: Path, known: bool) -> None:
        """Leave no half of a series, unless it was there before."""
        stored = self._database.fileForInstance(first.stem)
        if stored and not known:
            self._database.removeSeries(self._database.seriesForFile(stored))

    def drop(self) -> None:
        super().drop()
        self._tidy()

    def _tidy(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _new_folder() -> Path:
    """A folder for the files until they are in the database; raises NotSaved."""
    try:
        return Path(tempfile.mkdtemp(prefix="xr2mri-", dir=slicer.app.temporaryPath))
    except OSError as error:
        message = _("Nothing can be written to {folder}: {why}.")
        why = error.strerror or error
        raise NotSaved(message.format(folder=slicer.app.temporaryPath, why=why)) from None


def _model(made: Result) -> str:
    return made.job.model if made.job is not None else made.request.model or "knee_xr2mri"
