"""How the knee detector of :mod:`xr2mri_core.localization` is taught and measured.

Material (:mod:`.films`, laid out from :mod:`.legs`; :mod:`.crops`; :mod:`.strangers`), what is done
to it (:mod:`.augment`), the stage that MONAI's engines run (:mod:`.stage`), and :mod:`.score`.
"""
