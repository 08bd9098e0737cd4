"""What `/info/` tells beyond MONAI Label's own: enough for a client to build its form."""

from __future__ import annotations

from functools import cache
from typing import Any

from monai_app.lib.service import GenerationService
from xr2mri_core import __version__
from xr2mri_core.bundle import versions
from xr2mri_core.features import form_schema
from xr2mri_core.volume import NOTICE

API_VERSION = 1
"""Raised when a client of the version before would fail."""


def api_info(service: GenerationService, most_bytes: int) -> dict[str, Any]:
    """What is not of one model: the form of the features, versions, limits, and the notice.

    Args:
        service: the service that generates.
        most_bytes: largest size of an upload.
    """
    return {
        "api_version": API_VERSION,
        "notice": NOTICE,
        "form": _form(),
        "software": {"xr2mri": __version__, **_versions()},
        "max_upload_bytes": most_bytes,
        "max_seconds": service.max_seconds,
        "pace": service.pace.describe(),
        "queue": {"max": service.queue.max_waiting, "waiting": service.queue.waiting},
        "devices": service.devices(),
    }


@cache
def _form() -> dict[str, Any]:
    return form_schema()


@cache
def _versions() -> dict[str, str]:
    return versions()
