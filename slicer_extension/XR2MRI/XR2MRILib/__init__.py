"""What the module XR2MRI is made of, each layer knowing only those above it in this list:

- `xr2mri_client`, a package of its own beside this one, speaks HTTP with the server.
- `form`, `patient`, `request` and `metrics`: neither Qt nor MRML.
- `scene`: nodes, views, attributes.
- `logic` with its activities `connection`, `location`, `generation`, `compare`, `dicom_export`:
  what the module can do, for scripts and for the panel.
- `panel`: a section of the panel a file.

Runs on Python 3.9 to 3.12 with numpy, SciPy and requests, which Slicer bundles.
"""
