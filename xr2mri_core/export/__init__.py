"""Files for volumes, each of which says that its content is synthetic.

- `files`: one file each: NIfTI, NRRD, JSON, PNG.
- `pictures`: a contact sheet.
- `dicom`, with `dicom_header` and `dicom_patient`: a DICOM MR series.
- `writing`: all files of a generated volume, whole or not at all.
"""

from xr2mri_core.export.dicom import dicom_series, write_dicom_series
from xr2mri_core.export.dicom_patient import patient_and_study
from xr2mri_core.export.files import (
    nifti_pieces,
    npy_pieces,
    nrrd_bytes,
    nrrd_pieces,
    write_json,
    write_nifti,
    write_nrrd,
    write_png,
)
from xr2mri_core.export.pictures import montage
from xr2mri_core.export.writing import SUFFIXES, VolumeFormat, write_generated

__all__ = [
    "SUFFIXES",
    "VolumeFormat",
    "dicom_series",
    "montage",
    "nifti_pieces",
    "npy_pieces",
    "nrrd_bytes",
    "nrrd_pieces",
    "patient_and_study",
    "write_dicom_series",
    "write_generated",
    "write_json",
    "write_nifti",
    "write_nrrd",
    "write_png",
]
