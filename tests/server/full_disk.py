"""A disk that is full for one process, on machines where nothing can be mounted."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(process: subprocess.Popen) -> Iterator[None]:
    """No file of a process can grow beyond a few bytes meanwhile."""
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
