"""The program of the reading box: it loads the readers, then forks for every file.

It is started by `box` with an empty environment, and talks to the server over its standard input,
a socket: a byte and three open files ask for a fork, its number and its descriptor answer. Nothing
of a client's comes this way. A fork hears of its file over a socket of its own, confines itself,
reads the file, says what it has read, and ends.
"""

from __future__ import annotations

import codecs
import gc
import io
import json
import os
import signal
import socket
import struct
from contextlib import suppress

import numpy as np
import PIL.Image
import pydicom.charset
import pydicom.config

from monai_app.lib.reading_box import answer
from monai_app.lib.reading_box.confinement import Limits, confine, layers
from xr2mri_core.errors import UndecodableError, XR2MRIError
from xr2mri_core.transforms.radiograph_file import read_stream

_LONGEST_REQUEST = 1 << 16
_CONTROL = 0


def main() -> None:
    """Serve until the server is gone."""
    for name in (signal.SIGINT, signal.SIGTERM):  # of a terminal, a group: the server ends this
        signal.signal(name, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(_CONTROL))
    os.dup2(os.open(os.devnull, os.O_RDWR), _CONTROL)
    _warm_up()
    gc.collect()
    gc.freeze()  # what is shared with forks stays shared
    os.dup2(_CONTROL, 2)  # from here on no word of it gets into the log
    control.sendall(json.dumps(layers()).encode() + b"\n")
    while True:
        asked, files, _, _ = socket.recv_fds(control, 1, 3)
        if not asked:
            return
        _reap()
        process = os.fork()
        if process == 0:
            control.close()
            _fork(*files)
        descriptor = os.pidfd_open(process)  # before it is reaped, so that it is this one's
        socket.send_fds(control, [struct.pack("<i", process)], [descriptor])
        for file in (*files, descriptor):
            os.close(file)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _fork(connection: int, file: int, pixels: int) -> None:
    """Read one file; does not return."""
    try:
        with socket.socket(fileno=connection) as server:
            said = json.loads(server.recv(_LONGEST_REQUEST))
            confine(Limits(**said["limits"]))
            server.sendall(_read(file, pixels, said["name"]))
            server.shutdown(socket.SHUT_WR)  # said before the memory is given back, which takes ms
    finally:
        os._exit(0)


def _read(file: int, pixels: int, name: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return answer.told(read_stream(stream, name), pixels)
    except XR2MRIError as error:
        return answer.refused(error)
    except MemoryError:
        return answer.refused(UndecodableError(f"{name}: needs more memory than one file may take"))


def _warm_up() -> None:
    """Load what the readers load late: forks share it, and may have no way to load it."""
    PIL.Image.init()
    for handler in pydicom.config.pixel_data_handlers:
        handler.is_available()
    for name in set(pydicom.charset.python_encoding.values()):
        with suppress(LookupError):
            codecs.lookup(name)
    picture = PIL.Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64))
    for kind in ("PNG", "JPEG", "JPEG2000"):
        with suppress(OSError):  # a Pillow without it
            picture.save(buffer := io.BytesIO(), kind)
            buffer.seek(0)
            PIL.Image.open(buffer).load()


if __name__ == "__main__":
    main()
