"""The program of the reading box: it loads readers and detector, then forks for every file.

It is started by `box` with an empty environment, and talks to the server over its standard input,
a socket: a byte with an open connection asks for a fork, whose number and descriptor answer.
Nothing of a client's comes this way. The fork confines itself, and waits: it hears of one file over
the connection, prepares it, says what it has found, and ends.

While it waits, a fork asks for the memory that a usual radiograph takes: new one, which the system
clears page by page when it is first touched, and the pages of this process (see `pages`).

Torch and the detector's weights are loaded before anything is forked, and have run once. That is
safe for this process has one thread, and never another: torch forks badly where its pool of threads
has been started, and here it has none.
"""

from __future__ import annotations

import codecs
import gc
import io
import json
import mmap
import os
import signal
import socket
import struct
import sys
from contextlib import suppress

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pydicom.charset
import pydicom.config
import torch
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from monai_app.lib.reading_box import answer
from monai_app.lib.reading_box.confinement import Limits, confine, layers
from monai_app.lib.reading_box.pages import Pages
from xr2mri_core.errors import UndecodableError, XR2MRIError
from xr2mri_core.reading import prepare_radiograph
from xr2mri_core.transforms.picture import BEFORE_LARGE
from xr2mri_core.transforms.radiograph_file import read_stream

LONGEST_REQUEST = 1 << 14
_CONTROL = 0
_TOO_MUCH = "needs more memory than one file may take; reduce its size"
_PIECES, _PIECE = 4, 16 << 20
"""Memory that is touched beforehand, in pieces that are kept when they are given back (see
`GLIBC_TUNABLES` in `box`): about what 4 million pixels take."""


def main() -> None:
    """Serve until the server is gone; the limits of a fork are the only argument, as JSON."""
    limits = Limits(**json.loads(sys.argv[1]))
    for name in (signal.SIGINT, signal.SIGTERM):  # of a terminal, a group: the server ends this
        signal.signal(name, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(_CONTROL))
    os.dup2(os.open(os.devnull, os.O_RDWR), _CONTROL)
    _warm_up()
    gc.collect()
    gc.freeze()  # what is shared with forks stays shared
    pages = Pages.of(_read_film)
    os.dup2(_CONTROL, 2)  # from here on no word of it gets into the log
    control.sendall(json.dumps(layers()).encode() + b"\n")
    while True:
        asked, connections, _, _ = socket.recv_fds(control, 1, 1)
        if not asked:
            return
        _reap()
        process = os.fork()
        if process == 0:
            control.close()
            _fork(connections[0], limits, pages)
        descriptor = os.pidfd_open(process)  # before it is reaped, so that it is this one's
        socket.send_fds(control, [struct.pack("<i", process)], [descriptor])
        os.close(connections[0])
        os.close(descriptor)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _fork(connection: int, limits: Limits, pages: Pages) -> None:
    """Prepare one file; does not return."""
    try:
        with socket.socket(fileno=connection) as server:
            confine(limits)
            pages.ask_for()
            _touch_memory()
            request, files, _, _ = socket.recv_fds(server, LONGEST_REQUEST, 1)
            BEFORE_LARGE.set(lambda: _wait_for_room(server))
            if request:
                server.sendall(_prepared(files[0], request))
                server.shutdown(socket.SHUT_WR)
                # until it is killed: giving memory back takes ms, and a client waits
                server.recv(1)
    finally:
        os._exit(0)


def _wait_for_room(server: socket.socket) -> None:
    """Ask to read a large picture; until the answer comes, this may have little memory."""
    server.sendall(answer.ROOM)
    server.recv(1)


def _touch_memory() -> None:
    with suppress(MemoryError):
        pieces = [np.empty(_PIECE, np.uint8) for _ in range(_PIECES)]
        for piece in pieces:
            piece[:: mmap.PAGESIZE] = 0


def _prepared(file: int, request: bytes) -> bytes:
    name = "radiograph"
    try:
        asked: answer.Request = json.loads(request)
        name = asked["name"]
        with open(file, "rb") as stream:
            read = read_stream(stream, name)
        return answer.packed(
            prepare_radiograph(read, asked["size"], asked["laterality"], asked["box"])
        )
    except XR2MRIError as error:
        return answer.refused(error)
    except MemoryError:
        return answer.refused(UndecodableError(f"{name}: {_TOO_MUCH}"))
    except Exception as error:
        if _of_memory(error):
            return answer.refused(UndecodableError(f"{name}: {_TOO_MUCH}"))
        return answer.failed(error)


def _of_memory(error: Exception) -> bool:
    """Whether torch had no memory, which it says in words alone."""
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def _warm_up() -> None:
    """Load what is otherwise loaded late: forks share it, and may have no way to load it."""
    PIL.Image.init()
    for handler in pydicom.config.pixel_data_handlers:
        handler.is_available()
    for name in set(pydicom.charset.python_encoding.values()):
        with suppress(LookupError):
            codecs.lookup(name)
    picture = _picture()
    for kind in ("PNG", "JPEG", "JPEG2000"):
        with suppress(OSError):  # a Pillow without it
            picture.save(buffer := io.BytesIO(), kind)
            buffer.seek(0)
            PIL.Image.open(buffer).load()
    torch.set_num_threads(1)
    for laterality in ("auto", "L"):  # the letter is read, and contradicted
        answer.packed(prepare_radiograph(np.asarray(picture), 256, laterality))


def _picture() -> PIL.Image.Image:
    """Something that is looked at as a knee is, with a letter: they are compared with fonts."""
    rows, columns = np.mgrid[-1:1:256j, -1:1:256j]
    knee = np.exp(-4 * columns**2) * (1 - 0.7 * np.exp(-((rows / 0.03) ** 2)))
    picture = PIL.Image.fromarray((150 * knee).astype(np.uint8))
    draw = PIL.ImageDraw.Draw(picture)
    draw.text((10, 10), "R", 255, PIL.ImageFont.load_default(16))
    return picture


def _read_film() -> None:
    """Prepare what comes most often: a DICOM file of 3.7 million pixels of 12 bits."""
    pixels = np.asarray(_picture().resize((1792, 2048))).astype(np.uint16) << 4
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.is_little_endian, film.is_implicit_VR = True, False
    film.SOPClassUID, film.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    film.Modality, film.PatientName, film.ImageLaterality = "DX", "A^B", "R"
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.Rows, film.Columns = pixels.shape
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.PixelSpacing, film.PatientOrientation = [0.14, 0.14], ["L", "F"]
    film.PixelData = pixels.tobytes()
    dcmwrite(stream := io.BytesIO(), film, write_like_original=False)
    stream.seek(0)
    answer.packed(prepare_radiograph(read_stream(stream, "film"), 256))


if __name__ == "__main__":
    main()
