"""The greeting that the server prints once it answers: its address, and what to do with it."""

from __future__ import annotations

import sys
from urllib.parse import quote

import uvicorn

from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.studies import ReadOnlyStudies, Studies
from xr2mri_core.volume import NOTICE

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_MAYBE_VOLUMES = (".nii", ".nii.gz")


def greet_when_ready(
    config: uvicorn.Config | None, security: SecuritySettings, studies: ReadOnlyStudies, model: str
) -> None:
    """Print the greeting as soon as the port of the server that is starting is open.

    Args:
        config: configuration of the server, if it is known.
        security: settings that say who may come in.
        studies: the studies that it serves.
        model: name of the model that the example asks.
    """
    if config is None or not config.port:
        return
    text = greeting(address(config), security, studies, model)

    async def tell() -> None:
        config.callback_notify = None  # once
        print(text, flush=True)

    config.callback_notify = tell  # uvicorn calls it as soon as it serves, and then now and again


def address(config: uvicorn.Config) -> str:
    """Where the server answers on this machine, e.g. `http://127.0.0.1:8000`."""
    host = _EVERYWHERE.get(config.host, config.host)
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if config.is_ssl else 'http'}://{host}:{config.port}"


def greeting(url: str, security: SecuritySettings, studies: ReadOnlyStudies, model: str) -> str:
    """The text: address, next steps, how to end it.

    Args:
        url: address at which the server answers.
        security, studies, model: see `greet_when_ready`.
    """
    whom = "those who log in" if security.login_needed else "this machine only"
    if security.allow_anonymous_remote:
        whom = "everybody who reaches it, without a login"
    outside = security.public_host and f", and by its proxy at https://{security.public_host}"
    login = "-u NAME " if security.login_needed else ""
    image = _example(studies)
    query = f"image={quote(image)}&output=image" if image else "output=image"
    file = "" if image else "-F file=@knee.dcm "
    fields = """-F 'params={"features": {"V00XRKL": 2}}'"""
    return f"""
XR2MRI answers at {url}{outside}, for {whom}.
Every volume that it makes is {NOTICE}.

  3D Slicer   module Image Synthesis, XR2MRI: type {url} as server, then Connect
  curl        curl {login}{fields} {file}'{url}/infer/{model}?{query}' -o volume.nii
  end         Ctrl-C
"""


def _example(studies: ReadOnlyStudies) -> str | None:
    """An image of the folder that is likely a radiograph; None of a PACS, which is not asked, and
    where it is not read at a terminal: logs keep no names of files, which may be patients'."""
    if not (isinstance(studies, Studies) and sys.stdout.isatty()):
        return None
    for image in studies.list_images():
        path = studies.radiograph(image)
        if path is not None and not path.name.lower().endswith(_MAYBE_VOLUMES):
            return image
    return None
