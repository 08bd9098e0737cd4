"""The studies folder as a datastore that is only ever read.

The stock `LocalDatastore` writes an index and label folders into the studies and takes what clients
send. Here the folder stays as it is; ids are made from file names, and no id is ever a path.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from monailabel.interfaces.datastore import Datastore
from pydicom import Dataset

from monai_app.lib.folder_tree import FolderTree
from monai_app.lib.json_text import Json
from monai_app.lib.threads import SharedThreads
from xr2mri_client.radiograph_folder import ENDINGS
from xr2mri_core.errors import InputError, OutputError

log = logging.getLogger("xr2mri")

SUFFIXES = (*ENDINGS, "")
_NO_PICTURES = ("dicomdir", "lockfile", "version", "readme", "license", "autorun")
"""Names, without suffix, of files that lie beside the pictures of a DICOM disc."""


@dataclass(frozen=True)
class Fetched:
    """A file that came from elsewhere, and the SOPInstanceUID under which it was asked for."""

    content: bytes
    sop_instance_uid: str


class ReadOnlyStudies(Datastore):
    """Images that clients may name, and nothing that they may change: no labels, no uploads."""

    at_once = 40
    """Threads that ask for images; files that are sent have threads of their own."""

    @cached_property
    def threads(self) -> SharedThreads:
        """What asks for images, or reads one, is done there: slow studies hold up these alone."""
        return SharedThreads(self.at_once)

    def radiograph(
        self, image_id: str, instance: str | None, view: str | None
    ) -> Path | Fetched | None:
        """Where an image is.

        Args:
            image_id: one of `list_images`.
            instance, view: SOPInstanceUID and ViewPosition, where an id names several images.

        Returns:
            The path of a file, or the file; None when there is no such image.
        """
        raise NotImplementedError

    def asked_by(self, account: str, gone: Callable[[], bool]) -> AbstractContextManager[None]:
        """For whom this thread asks for images, and reads them, within.

        Args:
            account: user who is counted for what is held.
            gone: tells whether that client has hung up.
        """
        return nullcontext()

    def store(
        self, series: Sequence[Dataset], cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, str]:
        """Store a DICOM series beside the images; returns its study and series UID.

        Args:
            series: the datasets to store; an empty list only asks whether storing is possible.
            cancelled: tells whether to stop.

        Raises:
            InputError: these studies take nothing.
            Cancelled: they were asked to stop.
        """
        raise InputError("store: only a PACS takes results; the studies here are a folder")

    def name(self) -> str:
        return "studies"

    def description(self) -> str:
        return "radiographs of this server, read only"

    def datalist(self) -> list[dict[str, Any]]:
        return []

    def get_unlabeled_images(self, label_tag: Any = None, labels: Any = None) -> list[str]:
        return self.list_images()

    def get_labeled_images(self, label_tag: Any = None, labels: Any = None) -> list[str]:
        return []

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        return {}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        return ""

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> None:
        return None

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        return ""

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        return {}

    def listed(self) -> bytes:
        """What `json` says, as text: with very many images it takes a while to write."""
        return bytes(Json(self.json()).body)

    def json(self) -> dict[str, Any]:
        return self._as_list(self.list_images())

    def _as_list(self, images: Iterable[str]) -> dict[str, Any]:
        return {"name": self.name(), "objects": {image: {} for image in images}}

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        return _refuse()

    def set_name(self, name: str) -> None:
        _refuse()

    def set_description(self, description: str) -> None:
        _refuse()

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        return _refuse()

    def remove_image(self, image_id: str) -> None:
        _refuse()

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        return _refuse()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        _refuse()

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        _refuse()

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        _refuse()

    def get_image_uri(self, image_id: str) -> str:
        return ""

    def get_image(self, image_id: str, params: Any = None) -> io.BytesIO | None:
        return None

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return {}

    def refresh(self) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {"total": None, "completed": 0, "label_tags": {}, "train": []}


class Studies(ReadOnlyStudies):
    """Files below a folder, by ids such as `case-7.radiograph` for `case-7/radiograph.dcm`.

    Files that would have the same id, such as `a.png` and `a.dcm`, get a digest of their names
    appended, so that an id never means another file than before.

    Args:
        folder: folder of the studies; made if it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._paths: dict[str, str] = {}
        self._passed_over: set[Path] = set()
        self._listed: tuple[dict[str, str], bytes] = {}, b""
        self._tree = FolderTree(self.folder, self._named, self._pass_over)
        self._refreshing = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder again, if anything has come or gone."""
        with self._refreshing:
            if self._tree.changed():
                self._paths = self._found()

    def _named(self, inner: str) -> str | None:
        """The id of a file, if it is one to offer."""
        name = _id_of(Path(inner))
        return name if name and self._readable(self.folder / inner) else None

    def _found(self) -> dict[str, str]:
        files: dict[str, list[str]] = {}
        for inner, name in self._tree.files():
            files.setdefault(name, []).append(inner)
        paths = {}
        for name, same in files.items():
            for inner in same:
                digest = ""
                if len(same) > 1:
                    digest = f"-{hashlib.sha256(os.fsencode(inner)).hexdigest()[:8]}"
                paths[name + digest] = inner
        return paths

    def listed(self) -> bytes:
        """See `ReadOnlyStudies`; written anew when a file has come or gone."""
        self.refresh()
        with self._refreshing:
            if self._listed[0] is not self._paths:
                text = bytes(Json(self._as_list(self._paths)).body)
                self._listed = self._paths, text
            return self._listed[1]

    def radiograph(
        self, image_id: str, instance: str | None = None, view: str | None = None
    ) -> Path | None:
        """Path of an image, looked for once more when it is not known."""
        if instance or view:
            raise InputError("sop_instance_uid and view_position choose among images of a PACS")
        image_id = composed(image_id)
        if image_id not in self._paths:
            self.refresh()
        inner = self._paths.get(image_id)
        path = None if inner is None else self.folder / inner
        return path if path is not None and self._readable(path) else None

    def _readable(self, path: Path) -> bool:
        """Whether it is a file, and no link out of the folder; what can't be looked at is none."""
        try:
            return path.is_file() and path.resolve().is_relative_to(self.folder)
        except OSError as error:
            self._pass_over(error, path)
            return False

    def _pass_over(self, error: OSError, path: Path | None = None) -> None:
        """Tell the log of a folder that cannot be searched, or whose drive fails: once."""
        folder = Path(str(error.filename)) if path is None else path.parent
        if folder not in self._passed_over:
            self._passed_over.add(folder)
            log.warning(
                "studies: what lies in %s cannot be read (%s): passed over", folder, error.strerror
            )

    def list_images(self) -> list[str]:
        self.refresh()
        return list(self._paths)

    def get_image_uri(self, image_id: str) -> str:
        return str(self.radiograph(image_id) or "")

    def status(self) -> dict[str, Any]:
        return {"total": len(self._paths), "completed": 0, "label_tags": {}, "train": []}


def suffix_of(name: str) -> str:
    """Which of `SUFFIXES` a file name has; DICOM files are often named by a UID, without one."""
    return next(suffix for suffix in SUFFIXES if name.lower().endswith(suffix))


def _id_of(inner: Path) -> str | None:
    """The id of a file in the folder; None for what is hidden or cannot be a radiograph.

    Letters and digits of any script stay as they are, composed (NFC): a name in Greek is an id in
    Greek. Everything else becomes a dash.
    """
    suffix = suffix_of(inner.name)
    stem = str(inner)[: len(str(inner)) - len(suffix)]
    unknown = not suffix and inner.suffix and not inner.suffix[1:].isdigit()
    if unknown or any(part.startswith(".") for part in inner.parts):
        return None
    if Path(stem).name.lower() in _NO_PICTURES and suffix in ("", ".dcm"):
        return None
    name = composed(stem.replace("/", ".").replace("\\", "."))
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^\w.-]+", "-", name))
    return name.strip("._-")[:100].rstrip("._-") or "image"


def composed(name: str) -> str:
    """A name in the one form (NFC) in which ids are compared; macOS stores another."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())


def _refuse() -> NoReturn:
    raise OutputError("the studies of this server are read only")
