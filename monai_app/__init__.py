"""The MONAI Label app of XR2MRI with its bundle: a folder for `monailabel start_server --app`.

`main.py` is what MONAI Label loads, `lib` what it is made of, `model/knee_xr2mri` the MONAI bundle.
"""
