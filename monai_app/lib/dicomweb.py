"""A PACS as the studies of the server: radiographs come by DICOMweb, results go back the same way.

monailabel start_server --app monai_app --studies http://pacs:8042/dicom-web
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset
from requests.auth import HTTPBasicAuth

from lib.studies import ReadOnlyStudies
from xr2mri_core.errors import InputError, XR2MRIError, shown

log = logging.getLogger("xr2mri")

MODALITIES = ("CR", "DX", "RG")
_MOST_SERIES = 1000
_TIMEOUT = (5.0, 60.0)  # seconds to connect, and between two parts of an answer
_SOP, _SERIES, _STUDY = "00080018", "0020000E", "0020000D"
_VIEW, _LATERALITY, _MODALITY = "00185101", "00200062", "00080060"


class Unreachable(XR2MRIError):
    """The PACS does not answer, or refuses."""


class DicomWebStudies(ReadOnlyStudies):
    """Radiographs of a DICOMweb server: QIDO-RS to find, WADO-RS to fetch, STOW-RS to store.

    Args:
        url: of the DICOMweb service.
        username, password: for HTTP Basic, or empty.
    """

    def __init__(self, url: str, username: str = "", password: str = "") -> None:
        session = _Session()
        if username:
            session.auth = HTTPBasicAuth(username, password)
        self._client = DICOMwebClient(url, session=session)
        self._client.set_http_retry_params(max_attempts=2, wait_exponential_multiplier=250)  # ms

    def description(self) -> str:
        return "radiographs of a PACS, read by DICOMweb"

    def list_images(self) -> list[str]:
        """Series of radiographs, by SeriesInstanceUID."""
        found: list[str] = []
        for modality in MODALITIES:
            with _answering():
                series = self._client.search_for_series(
                    search_filters={"Modality": modality}, limit=_MOST_SERIES
                )
            found += [_value(entry, _SERIES) for entry in series]
        return found

    def radiograph(self, image_id: str, instance: str | None, view: str | None) -> bytes | None:
        """The DICOM file of one radiograph.

        Args:
            image_id: UID of a series, an image or a study.
            instance: SOPInstanceUID of the image that is meant.
            view: ViewPosition of the image that is meant, such as PA.

        Returns:
            The file's content; None where nothing of that UID is a radiograph.

        Raises:
            InputError: several images fit; the message lists them.
            Unreachable: the PACS does not answer.
        """
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
            listed = "; ".join(map(_told, images[:8]))
            reason = "none fits" if not chosen else f"{len(chosen)} fit"
            raise InputError(
                f"{len(images)} images, {reason}: choose one with sop_instance_uid or "
                f"view_position among {listed}"
            )
        study, series, sop = (_value(chosen[0], tag) for tag in (_STUDY, _SERIES, _SOP))
        with _answering():
            dataset = self._client.retrieve_instance(study, series, sop)
        buffer = io.BytesIO()
        dataset.save_as(buffer, write_like_original=False)
        return buffer.getvalue()

    def store(self, series: Sequence[Dataset]) -> dict[str, str]:
        """Store a series, or say that this can be done; returns its study and series UID.

        Raises:
            Unreachable: the PACS does not answer, or did not take all of it.
        """
        if not series:
            return {}
        with _answering():
            reply = self._client.store_instances(series)
        failed = reply.get("FailedSOPSequence")
        if failed:
            raise Unreachable(f"the PACS refused {len(failed)} of {len(series)} images")
        return {"study": series[0].StudyInstanceUID, "series": series[0].SeriesInstanceUID}

    def _images(self, uid: str) -> list[dict[str, Any]]:
        """Radiographs that a UID of a series, an image or a study names."""
        for level in ("SeriesInstanceUID", "SOPInstanceUID", "StudyInstanceUID"):
            with _answering():
                found = self._client.search_for_instances(
                    search_filters={level: uid}, fields=[_VIEW, _LATERALITY, _MODALITY]
                )
            if found:
                return [image for image in found if _value(image, _MODALITY) in ("", *MODALITIES)]
        return []


class _Session(requests.Session):
    """A session that never waits for ever."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or _TIMEOUT
        return super().request(*args, **options)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise Unreachable(f"the PACS answered with {status}") from error
    except (requests.RequestException, ValueError) as error:
        log.warning("DICOMweb: %s", error)
        raise Unreachable("the PACS does not answer as DICOMweb does; try again later") from error


def _value(entry: dict[str, Any], tag: str) -> str:
    """The first value of an attribute in DICOM JSON, as text; "" where it has none."""
    values = entry.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _told(image: dict[str, Any]) -> str:
    view, side = _value(image, _VIEW) or "no view", _value(image, _LATERALITY) or "no side"
    return f"{view}, {side}: {shown(_value(image, _SOP))}"
