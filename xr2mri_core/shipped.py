"""Where the MONAI Label app and the bundle are that come with the project."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from xr2mri_core.errors import InputError


def app_folder() -> Path:
    """The folder of the package `monai_app`: what `monailabel start_server --app` takes.

    Raises:
        InputError: this package is installed without it.
    """
    spec = find_spec("monai_app")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the package monai_app is not installed beside xr2mri_core; install xr2mri again"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def bundle_folder() -> Path:
    """The folder of the MONAI bundle `knee_xr2mri` with its weights."""
    return app_folder() / "model" / "knee_xr2mri"
