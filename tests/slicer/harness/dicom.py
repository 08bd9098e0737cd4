"""Slicer's DICOM database and `DICOMLib.DICOMUtils`, over pydicom.

The database is a folder of files and an index in memory. Its names, and what it answers where it
has nothing (an empty text, an empty list), are ctkDICOMDatabase's; so is that `insert` returns
nothing and raises nothing: what it could not take is in `lastError` alone.
"""

from __future__ import annotations

import shutil
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import qt
import slicer
import vtk
from PySide6.QtCore import Property, Signal

from .own_time import slicers_own


@dataclass(frozen=True)
class _Instance:
    """A file of the database, and where it belongs."""

    uid: str
    series: str
    study: str
    patient: str
    path: Path


class ctkDICOMDatabase(qt.QObject):
    """`slicer.dicomDatabase`; closed until `openDatabase`.

    Attributes:
        room: files that it takes before its disk is full; None for any number.
        displayed: series that the browser shows as it should.
    """

    databaseChanged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._h_folder: Path | None = None
        self._h_instances: dict[str, _Instance] = {}
        self._h_headers: dict[Path, Any] = {}
        self._h_error = ""
        self._h_prepared = False
        self.room: int | None = None
        self.displayed: set[str] = set()

    isOpen = Property(bool, lambda self: self._h_folder is not None)
    lastError = Property(str, lambda self: self._h_error)
    databaseDirectory = Property(str, lambda self: str(self._h_folder or ""))

    def openDatabase(self, file: str, connection: str = "") -> bool:
        self._h_folder = Path(file).parent
        return True

    def closeDatabase(self) -> None:
        """Forget everything: a test opens another."""
        self._h_folder, self._h_prepared, self.room, self.displayed = None, False, None, set()
        self._h_instances, self._h_headers, self._h_error = {}, {}, ""

    # --- taking in ------------------------------------------------------------------------------

    def prepareInsert(self) -> None:
        self._h_prepared = True

    @slicers_own
    def insert(
        self, file: str, store: bool = True, thumbnail: bool = True, hierarchy: bool = True
    ) -> None:
        """Take a file, or note why not."""
        if not self._h_prepared:
            raise AssertionError("ctkDICOMDatabase wants prepareInsert() before the first insert()")
        try:
            data = pydicom.dcmread(file, stop_before_pixels=True)
            found = _Instance(
                str(data.SOPInstanceUID),
                str(data.SeriesInstanceUID),
                str(data.StudyInstanceUID),
                f"{data.get('PatientID', '')} {data.get('PatientName', '')}",
                Path(file),
            )
        except (OSError, AttributeError, pydicom.errors.InvalidDicomError) as error:
            self._h_error = f"Could not parse {file}: {error}"
            return
        if found.uid in self._h_instances:
            return
        if store:
            if self.room is not None and len(self._h_instances) >= self.room:
                self._h_error = f"Could not copy {file}"
                return
            path = self._h_folder / "dicom" / found.series / f"{found.uid}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, path)
            found = _Instance(found.uid, found.series, found.study, found.patient, path)
        self._h_instances[found.uid] = found
        self.databaseChanged.emit()

    def updateDisplayedFields(self) -> None:
        """Work out the names and counts that the browser shows of what has been inserted."""
        self.displayed = set(self._all("series"))

    def removeSeries(self, series: str, clear: bool = False) -> bool:
        gone = [one for one in self._h_instances.values() if one.series == series]
        for one in gone:
            del self._h_instances[one.uid]
            one.path.unlink(missing_ok=True)
        return bool(gone)

    # --- what there is --------------------------------------------------------------------------

    def _all(self, wanted: str, **known: str) -> list[str]:
        """Values of one attribute of the instances that have others."""
        every = self._h_instances.values()
        fitting = (i for i in every if all(getattr(i, k) == v for k, v in known.items()))
        return list(dict.fromkeys(str(getattr(one, wanted)) for one in fitting))

    def patients(self) -> list[str]:
        return self._all("patient")

    def studiesForPatient(self, patient: str) -> list[str]:
        return self._all("study", patient=patient)

    def seriesForStudy(self, study: str) -> list[str]:
        return self._all("series", study=study)

    def instancesForSeries(self, series: str, hits: int = -1) -> list[str]:
        return self._all("uid", series=series)[: None if hits < 0 else hits]

    def filesForSeries(self, series: str, hits: int = -1) -> list[str]:
        return self._all("path", series=series)[: None if hits < 0 else hits]

    def fileForInstance(self, uid: str) -> str:
        return "".join(self._all("path", uid=uid))

    def seriesForFile(self, file: str) -> str:
        return "".join(self._all("series", path=Path(file)))

    def instanceForFile(self, file: str) -> str:
        return "".join(self._all("uid", path=Path(file)))

    def studyForSeries(self, series: str) -> str:
        return "".join(self._all("study", series=series))

    def patientForStudy(self, study: str) -> str:
        return "".join(self._all("patient", study=study))

    def descriptionForSeries(self, series: str) -> str:
        files = self.filesForSeries(series, 1)
        return self.fileValue(files[0], "0008,103E") if files else ""

    def instanceValue(self, uid: str, tag: str) -> str:
        path = self.fileForInstance(uid)
        return self.fileValue(path, tag) if path else ""

    def fileValue(self, file: str, tag: str) -> str:
        """An element such as `0020,0062` as text; empty where there is none."""
        path = Path(file)
        if path not in self._h_headers:
            self._h_headers[path] = pydicom.dcmread(path, stop_before_pixels=True)
        group, number = (int(part, 16) for part in tag.split(","))
        element = self._h_headers[path].get((group, number))
        value = element.value if element is not None else None
        if value is None:
            return ""
        several = isinstance(value, pydicom.multival.MultiValue)
        return "\\".join(map(str, value)) if several else str(value)


class DICOMUtils:
    """What `DICOMLib.DICOMUtils` is used for most."""

    @staticmethod
    def importDicom(folder: str, dicomDatabase: Any = None, copyFiles: bool = False) -> bool:
        database = dicomDatabase or slicer.dicomDatabase
        database.prepareInsert()
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                database.insert(str(path), copyFiles)
        return True

    @staticmethod
    def loadSeriesByUID(series: list[str]) -> list[str]:
        """Load each series as the DICOM browser does; the ids of the nodes."""
        return [_load(uid).GetID() for uid in series]


def _load(series: str) -> Any:
    """The node of a series, below its patient and study in the subject hierarchy."""
    database = slicer.dicomDatabase
    files = sorted(database.filesForSeries(series), key=_position)
    names = vtk.vtkStringArray()
    for file in files:
        names.InsertNextValue(file)
    name = database.descriptionForSeries(series) or "Unnamed Series"
    logic = slicer.modules.volumes.logic()
    node = logic.AddArchetypeScalarVolume(files[0], name, 0, names)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(database.instancesForSeries(series)))
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    study_uid = database.studyForSeries(series)
    study = hierarchy.GetItemByUID("DICOM", study_uid)
    if not study:
        patient = hierarchy.CreateSubjectItem(
            hierarchy.GetSceneItemID(), database.patientForStudy(study_uid)
        )
        study = hierarchy.CreateStudyItem(patient, "Study")
        hierarchy.SetItemUID(study, "DICOM", study_uid)
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), study)
    return node


def _position(file: str) -> float:
    """Of a slice along the normal of its plane; 0 for a radiograph, which says nothing of it."""
    place, axes = (slicer.dicomDatabase.fileValue(file, t) for t in ("0020,0032", "0020,0037"))
    if not place or not axes:
        return 0.0
    numbers = np.array(axes.split("\\"), float)
    return float(np.cross(numbers[:3], numbers[3:]) @ np.array(place.split("\\"), float))


def make() -> types.ModuleType:
    module = types.ModuleType("DICOMLib", __doc__)
    module.DICOMUtils = DICOMUtils
    return module
