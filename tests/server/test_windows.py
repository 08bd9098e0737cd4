"""What the server imports and calls is there on Windows, too."""

from __future__ import annotations

import subprocess
import sys

LIKE_WINDOWS = """
import multiprocessing, os, signal, sys
import monai, monailabel.interfaces.utils.app, prometheus_client, psutil, torch  # they can
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
del signal.SIGKILL
import monai_app.main
from monai_app.lib import device_worker
ours, theirs = multiprocessing.Pipe()
ours.close()
device_worker._serve(theirs, 1, os.getppid())
"""


def test_the_app_is_imported_and_a_device_worker_begins_without_what_windows_lacks():
    words = [sys.executable, "-c", LIKE_WINDOWS]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
