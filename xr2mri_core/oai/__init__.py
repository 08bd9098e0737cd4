"""A release of the Osteoarthritis Initiative (OAI) becomes a datalist of radiograph-MRI pairs.

    release = read_release(["00m"], ["tables"])      # either form of distribution
    selection = select_knees(release, "COR_T1_3D_FLASH")
    index_release(...)                               # both, and the files: `xr2mri oai index`

The modules, in the order of the work: :mod:`values` (cells of a table), :mod:`tables` (text and
SAS), :mod:`sequences` (what an image is), :mod:`places`, :mod:`dicom_files` and :mod:`headers`
(where images lie, and what their files tell), :mod:`release` (which images there are),
:mod:`readings` and :mod:`people` (what is known of them), :mod:`selection` (which knees can be
used, and why the others cannot), :mod:`volumes` and :mod:`pictures` (DICOM to NIfTI and PNG, with
checks), :mod:`convert` (that for all knees), :mod:`splits`, :mod:`reports` and :mod:`index`.

OAI's data are given to researchers by the NIMH Data Archive under a data use certification; nothing
of them is in this package.
"""
