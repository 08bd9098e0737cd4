"""How the knee detector of `xr2mri_core.localization` is taught and measured.

Material (`films`, laid out from `legs`; `crops`; `strangers`), what is done to it (`augment`), the
network with its loss (`network`), the stage that MONAI's engines run (`stage`), and `score`.
"""
