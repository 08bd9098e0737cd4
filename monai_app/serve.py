"""Starts the server: MONAI Label's application with our app in it, on a uvicorn of our own.

`monailabel start_server --app monai_app` does the same by MONAI Label's program, with its logs in
the app's folder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path

import uvicorn
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

from monai_app.lib.dicomweb import checked_address
from monai_app.lib.security.binding import check_exposure, hand_over
from monai_app.lib.security.certificate import check_certificate
from monai_app.lib.security.protect import check_parts
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.settings import Settings
from xr2mri_core.errors import InputError, XR2MRIError, shown
from xr2mri_core.local_server import is_taken
from xr2mri_core.shipped import app_folder


class NotStarted(XR2MRIError):
    """The server could not start; its log says why."""


def serve(
    studies: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    conf: Mapping[str, str] | None = None,
    app: Path | None = None,
    ssl_certfile: Path | None = None,
    ssl_keyfile: Path | None = None,
    root_path: str = "",
) -> None:
    """Serve until the process is asked to end.

    Args:
        studies: folder of radiographs, or the DICOMweb address of a PACS.
        host, port: address and port to listen on.
        conf: names and values of `lib.settings.Settings` and `lib.security.settings`.
        app: folder of an app with another `model`; None is the one that is installed.
        ssl_certfile, ssl_keyfile: PEM, for TLS without a proxy.
        root_path: path under which a proxy serves it.

    Raises:
        InputError: an option cannot be used, or the port is taken.
        NotStarted: it did not start; the log says why.
    """
    conf, app = dict(conf or {}), (app or app_folder()).resolve()
    _check(studies, host, port, conf, app)
    check_certificate(ssl_certfile, ssl_keyfile)
    if not studies.startswith(("http://", "https://")):
        studies = str(Path(studies).resolve())
    settings.MONAI_LABEL_SERVER_PORT = port
    settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_STUDIES = str(app), studies
    settings.MONAI_LABEL_APP_CONF = conf
    security = app_instance().security  # what cannot be used is said before a port opens
    check_exposure(security, host)
    check_parts(security)

    from monailabel.app import app as application  # reads the settings above

    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        workers=1,  # whatever the variable WEB_CONCURRENCY says
        root_path=root_path,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
        log_config=None,  # the process's own logging
        access_log=False,
    )
    hand_over(application, config)
    server = uvicorn.Server(config)
    try:
        server.run()
    except KeyboardInterrupt:  # uvicorn gives the signal on when it has ended
        if not server.started:
            raise
    except SystemExit:  # and ends the process where it cannot start
        if server.started:
            raise
    if not server.started:
        raise NotStarted("the server has not started; the log above says why")


def _check(studies: str, host: str, port: int, conf: Mapping[str, str], app: Path) -> None:
    """Refuse what can be seen to be wrong at once."""
    if studies.startswith(("http://", "https://")):
        checked_address(studies)
    elif not os.path.isdir(studies):
        raise InputError(f"studies {shown(studies)}: accepted is a folder, or the URL of a PACS")
    if not (app / "main.py").is_file():
        raise InputError(f"app '{app}': accepted is a folder with a main.py and a folder model")
    known = {*(field.name for field in fields(Settings)), "models", *SecuritySettings.names()}
    known -= {"bundles"}
    for name in conf:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1)
            accepted = ", ".join(sorted(known))
            hint = f"did you mean {near[0]}?" if near else f"accepted are {accepted}"
            raise InputError(f"conf {shown(name)}: no such setting; {hint}")
    if is_taken(host, port):
        raise InputError(
            f"port {port} of {host} is taken: does a server run there already? End it, or choose "
            "another port"
        )


def log_to_stderr() -> None:
    """Write the server's own lines, and uvicorn's, to standard error with their time."""
    logging.basicConfig(
        level=logging.INFO,
        format="[%(asctime)s] [%(levelname)s] (%(name)s) %(message)s",
        force=True,
    )
