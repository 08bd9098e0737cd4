"""``python -m xr2mri_core.cli``."""

import sys

from xr2mri_core.cli import main

sys.exit(main())
