"""Many knees: which ones, and their volumes with a manifest, resumable."""

from xr2mri_core.cohort.knees import CohortKnee, knees_of_datalist, knees_of_folder
from xr2mri_core.cohort.run import Counts, generate_cohort

__all__ = ["CohortKnee", "Counts", "generate_cohort", "knees_of_datalist", "knees_of_folder"]
