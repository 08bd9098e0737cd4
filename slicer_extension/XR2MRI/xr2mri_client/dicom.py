"""The DICOM series that the server sends, as files in a folder."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path

from .errors import BadReply, NotSaved
from .texts import tr as _
from .volume import MOST_BYTES

MOST_FILES = 3 * 2000
"""Volume, mean and standard deviation, one file a slice."""
_NAME = re.compile(r"[0-9.]{1,64}\.dcm")


def unpack(content: bytes | bytearray, folder: Path) -> list[Path]:
    """Write the files of a ZIP of DICOM files into an existing folder.

    Raises:
        BadReply: it is damaged, too large, or holds anything but DICOM files named by their UID.
        NotSaved: the folder takes no files.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if not members or len(members) > MOST_FILES:
                raise BadReply(_("The DICOM series has {n} files.").format(n=len(members)))
            if sum(member.file_size for member in members) > MOST_BYTES:
                raise BadReply(_("The DICOM series is too large."))
            written = []
            for member in members:
                if not _NAME.fullmatch(member.filename):
                    raise BadReply(_("The DICOM series has a file with a strange name."))
                data = archive.read(member)
                if data[128:132] != b"DICM":
                    raise BadReply(_("The DICOM series has a file that is not DICOM."))
                path = Path(folder) / member.filename
                path.write_bytes(data)
                written.append(path)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
        raise BadReply(_("The DICOM series is damaged.")) from None
    except OSError as error:
        message = _("The DICOM series cannot be written to {folder}: {why}.")
        raise NotSaved(message.format(folder=folder, why=error.strerror or error)) from None
    return written
