"""NIfTI, NRRD and MetaImage from bytes, by parsers that have no way to open a file.

A header may name other files, and a header from a stranger could name any file of this machine.
ITK's readers follow such names, and check the header with rules of their own; here the parser gets
an open stream and nothing else. Pixels beside their header are found by
`stored.beside`, on request only.
"""

from xr2mri_core.transforms.formats.detect import format_of, head_of, open_stored
from xr2mri_core.transforms.formats.stored import FormatError, StoredImage, open_regular

__all__ = [
    "FormatError",
    "StoredImage",
    "format_of",
    "head_of",
    "open_regular",
    "open_stored",
]
