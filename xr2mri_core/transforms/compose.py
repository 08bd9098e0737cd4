"""How steps are put together: MONAI's Compose, with errors that speak."""

from __future__ import annotations

from typing import Any

from monai.transforms import Compose

from xr2mri_core.errors import XR2MRIError


class TypedCompose(Compose):
    """A `monai.transforms.Compose` that lets this project's errors through.

    MONAI wraps whatever a transform raises in a RuntimeError "applying transform ..."; here the
    `XR2MRIError` within, which tells the user what to do, is raised instead.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            return super().__call__(*args, **options)
        except RuntimeError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, XR2MRIError):
                cause = cause.__cause__
            if cause is None:
                raise
            raise cause from cause.__cause__
