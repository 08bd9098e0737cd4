"""A release of the Osteoarthritis Initiative (OAI) becomes a datalist of radiograph-MRI pairs.

    release = read_release(["00m"], ["tables"])      # either layout of distribution
    selection = select_knees(release, "COR_T1_3D_FLASH")
    index_release(...)                               # both, and the files: `xr2mri oai index`

The modules, in the order of the work: `values` (cells of a table), `tables` (text and
SAS), `sequences` (what an image is), `places`, `dicom_files` and `headers`
(where images lie, and what their files tell), `release` (which images there are),
`readings` and `people` (what is known of them), `selection` (which knees can be
used, and why the others cannot), `volumes` and `pictures` (DICOM to NIfTI and PNG, with
checks), `convert` (that for all knees), `splits`, `reports` and `index`.

OAI's data are given to researchers by the NIMH Data Archive under a data use certification; nothing
of them is in this package.
"""
