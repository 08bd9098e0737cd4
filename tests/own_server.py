"""The command that starts the server of this checkout, as `own_server.OwnServer` takes it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def command(bundle: Path, folder: Path) -> list[str]:
    """The words before the options of `xr2mri serve`: with another bundle than the one that ships,
    by this checkout's code, whatever the variables of the process say."""
    app = folder / "app"
    if not app.exists():
        (app / "model").mkdir(parents=True)
        (app / "main.py").symlink_to(ROOT / "monai_app" / "main.py")
        (app / "model" / "knee_xr2mri").symlink_to(bundle)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from xr2mri_core.cli import main"
    return [sys.executable, "-c", f"{code}; sys.exit(main())", "serve", "--app", str(app)]
