"""A PACS as the studies of the server: radiographs come by DICOMweb, results go back the same way.

monailabel start_server --app monai_app --studies http://pacs:8042/dicom-web
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset
from requests.auth import HTTPBasicAuth

from monai_app.lib.bounds import Bounds
from monai_app.lib.pacs_session import PacsSession
from monai_app.lib.quotas import Quota
from monai_app.lib.studies import Fetched, ReadOnlyStudies
from xr2mri_core.errors import Cancelled, InputError, XR2MRIError, shown
from xr2mri_core.transforms.dicom_statements import MODALITIES

log = logging.getLogger("xr2mri")

_MOST_SERIES = 1000
"""Series of a modality that are listed."""
_DICOM = "application/dicom"
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_SOP, _SERIES, _STUDY = "00080018", "0020000E", "0020000D"
_VIEW, _LATERALITY, _MODALITY = "00185101", "00200062", "00080060"


class Unreachable(XR2MRIError):
    """The PACS does not answer, or refuses."""


def checked_address(url: str) -> str:
    """The address of a PACS as it is, without a login in it.

    Raises:
        InputError: it is no address, or names a login, which whoever lists the machine's processes
            would read.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"studies {shown(url.rpartition('@')[2])}: not the address of a PACS")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            "studies: the address of a PACS names a login, which everybody on this machine could "
            "read; leave it out and set MONAI_LABEL_DICOMWEB_USERNAME and "
            "MONAI_LABEL_DICOMWEB_PASSWORD in the environment"
        )
    return url


class DicomWebStudies(ReadOnlyStudies):
    """Radiographs of a DICOMweb server: QIDO-RS to find, WADO-RS to fetch, STOW-RS to store.

    Args:
        url: address of the DICOMweb service.
        username, password: credentials for HTTP Basic, or empty.
        bounds: limits of requests, seconds and bytes; an image may have those of an upload.
        held: quota of the images that are read.

    Raises:
        InputError: the address is none, or names a login.
    """

    def __init__(
        self,
        url: str,
        username: str = "",
        password: str = "",
        bounds: Bounds | None = None,
        held: Quota | None = None,
    ) -> None:
        self._session, self.bounds = PacsSession(), bounds or Bounds()
        self._held = held or Quota("images of the PACS", self.bounds.pacs_mb << 20)
        self.at_once = self.bounds.pacs_requests
        self.most_bytes = self.bounds.max_upload_mb << 20
        if username:
            self._session.auth = HTTPBasicAuth(username, password)
        self._url = checked_address(url).rstrip("/")
        self._client = DICOMwebClient(url, session=self._session)
        self._client.set_http_retry_params(max_attempts=2, wait_exponential_multiplier=250)  # ms

    def description(self) -> str:
        return "radiographs of a PACS, read by DICOMweb"

    def list_images(self) -> list[str]:
        """Series of radiographs, by SeriesInstanceUID."""
        return self._series()[0]

    def json(self) -> dict[str, Any]:
        """See `ReadOnlyStudies`; `complete` is false where the PACS has more than are listed."""
        images, complete = self._series()
        return {**self._as_list(images), "complete": complete}

    def _series(self) -> tuple[list[str], bool]:
        """Their UIDs, at most `_MOST_SERIES` of a modality; whether these are all."""
        found: list[str] = []
        complete = True
        with self._answering():
            for modality in MODALITIES:
                series = _entries(
                    self._client.search_for_series(
                        search_filters={"Modality": modality}, limit=_MOST_SERIES + 1
                    )
                )
                if len(series) > _MOST_SERIES:
                    complete = False
                    log.warning(
                        "the PACS has more than %d series of %s: the list of images ends there; "
                        "others are found by their UID",
                        _MOST_SERIES,
                        modality,
                    )
                found += [
                    _value(entry, _SERIES)
                    for entry in series[:_MOST_SERIES]
                    if _value(entry, _MODALITY).upper() in ("", modality)
                ]
        return [uid for uid in dict.fromkeys(found) if _UID.fullmatch(uid)], complete

    def radiograph(self, image_id: str, instance: str | None, view: str | None) -> Fetched | None:
        """The DICOM file of one radiograph.

        Args:
            image_id: UID of a series, an image or a study.
            instance: SOPInstanceUID of the image that is meant.
            view: ViewPosition of the image that is meant, such as PA.

        Returns:
            The file as it came; None where nothing of that UID is a radiograph.

        Raises:
            InputError: several images fit; the message lists them.
            Unreachable: the PACS does not answer, or not as DICOMweb does.
            TooMuch: the image is larger than an upload may be.
        """
        with self._answering():
            images = self._images(image_id)
        chosen = [
            image
            for image in images
            if instance in (None, _value(image, _SOP))
            and (view is None or view.upper() == _value(image, _VIEW).upper())
        ]
        if not images:
            return None
        if len(chosen) != 1:
            listed = "; ".join(map(_described, images[:8]))
            reason = "none fits" if not chosen else f"{len(chosen)} fit"
            raise InputError(
                f"{len(images)} images, {reason}: choose one with sop_instance_uid or "
                f"view_position among {listed}"
            )
        with self._answering(self.most_bytes), self._session.counting():
            study, series, sop = (_uid(chosen[0], tag) for tag in (_STUDY, _SERIES, _SOP))
            return Fetched(self._instance(study, series, sop), sop)

    @contextmanager
    def asked_by(self, account: str, gone: Callable[[], bool]) -> Iterator[None]:
        """See `ReadOnlyStudies`."""
        claim = self._held.claim(account)
        try:
            with self._session.asked_by(claim, gone):
                yield
        finally:
            claim.give_back()

    def store(
        self, series: Sequence[Dataset], cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, str]:
        """Store a series, or say that this can be done; returns its study and series UID.

        Raises:
            Unreachable: the PACS does not answer, or did not take all of it.
            Cancelled: it was asked to stop.
        """
        if not series:
            return {}
        with (
            self._session.asked_by(None, cancelled),
            self._answering(seconds=self.bounds.pacs_store_seconds),
        ):
            reply = self._client.store_instances(series)
            failed = len(reply.get("FailedSOPSequence") or ())
        if failed:
            raise Unreachable(f"the PACS refused {failed} of {len(series)} images")
        return {"study": series[0].StudyInstanceUID, "series": series[0].SeriesInstanceUID}

    def _instance(self, study: str, series: str, sop: str) -> bytes:
        """The file of an image as it comes, in whatever transfer syntax.

        DICOMwebClient would parse it here; files are parsed in the reading box.
        """
        address = f"{self._url}/studies/{study}/series/{series}/instances/{sop}"
        accept = f'multipart/related; type="{_DICOM}"; transfer-syntax=*'
        response = self._session.get(address, headers={"Accept": accept})
        response.raise_for_status()
        kind = response.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip() == _DICOM:
            return response.content
        return _only_part(response.content, kind)

    def _images(self, uid: str) -> list[dict[str, Any]]:
        """Radiographs that a UID of a series, an image or a study names.

        A PACS that does not know a filter may ignore it, and answers with other patients' images.
        """
        levels = {"SeriesInstanceUID": _SERIES, "SOPInstanceUID": _SOP, "StudyInstanceUID": _STUDY}
        for level, tag in levels.items():
            answer = self._client.search_for_instances(
                search_filters={level: uid}, fields=[_VIEW, _LATERALITY, _MODALITY]
            )
            if found := [entry for entry in _entries(answer) if _uid(entry, tag) == uid]:
                accepted = ("", *MODALITIES)
                return [im for im in found if _value(im, _MODALITY).upper() in accepted]
        return []

    @contextmanager
    def _answering(
        self, most_bytes: int | None = None, seconds: float | None = None
    ) -> Iterator[None]:
        """Bounds what is asked of the PACS within, and turns whatever goes wrong into one error.

        What comes from there goes through parsers of several libraries; the ways in which they
        fail on what is no DICOM are not documented.
        """
        try:
            seconds = seconds or self.bounds.pacs_find_seconds
            with self._session.bounded(seconds, most_bytes or self.bounds.pacs_list_mb << 20):
                yield
        except XR2MRIError:
            raise
        except Exception as error:
            if self._session.stopped():
                raise Cancelled from error
            raise _unreachable(error) from error


def _unreachable(error: Exception) -> Unreachable:
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code if error.response is not None else "an error"
        return Unreachable(f"the PACS answered with {status}")
    log.warning("DICOMweb: %s", shown(error))
    return Unreachable("the PACS does not answer as DICOMweb does; try again later")


def _only_part(content: bytes, kind: str) -> bytes:
    """The one part of a multipart answer, copied once; a ValueError where there is not one."""
    message = Message()
    message["Content-Type"] = kind
    fence = b"--" + str(message.get_param("boundary", "")).encode()
    head = content.find(b"\r\n\r\n", content.find(fence) + len(fence))
    end = content.find(b"\r\n" + fence, head)
    last = end + 2 + len(fence)
    if len(fence) == 2 or not 0 <= head < end or content[last : last + 2] != b"--":
        raise ValueError("an answer that is not one part")
    return content[head + 4 : end]


def _entries(answer: object) -> list[dict[str, Any]]:
    """The objects of a QIDO-RS answer; a ValueError if it is none."""
    if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
        raise ValueError(f"an answer of the form {shown(answer)}")
    return answer


def _uid(entry: dict[str, Any], tag: str) -> str:
    """The UID of an attribute; a ValueError if it is none: it becomes part of an address."""
    uid = _value(entry, tag)
    if not _UID.fullmatch(uid):
        raise ValueError(f"no UID in {tag}: {shown(uid)}")
    return uid


def _value(entry: dict[str, Any], tag: str) -> str:
    """The first value of an attribute in DICOM JSON, as text; "" where it has none."""
    attribute = entry.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    value = values[0] if isinstance(values, list) and values else ""
    return str(value) if isinstance(value, str | int | float) else ""


def _described(image: dict[str, Any]) -> str:
    view, side = _value(image, _VIEW) or "no view", _value(image, _LATERALITY) or "no side"
    return f"{view}, {side}: {shown(_value(image, _SOP))}"
