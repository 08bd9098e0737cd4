"""The MONAI Label app of XR2MRI: what stands between HTTP and `xr2mri_core`."""
