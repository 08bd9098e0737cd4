"""Settings of this process: its cores, threads and memory, and how it ends."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys


def cores() -> int:
    """Processor cores that this process may use (all of them where the system does not say)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait; to be called before torch is imported.

    They spin otherwise, which saves microseconds on an idle machine and costs whole cores on one
    that does other work too. A policy that the environment states is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def same_products() -> None:
    """Let rows of a matrix product not depend on one another; to be called before torch is there.

    MKL's code for CPUs without AVX-512 differs in the last bit by where in the matrix a row stands:
    a knee would depend on which others share its passes. A choice of the environment is kept.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next tensor; other C libraries are left as they are.

    Networks free and ask for the same tens of megabytes in every layer, and the system hands them
    out anew each time, page by page and zeroed: a tenth of a volume's time. The process is no
    larger for it at its largest, but stays so: for commands, not for servers.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for trim_or_mmap_threshold in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        mallopt(trim_or_mmap_threshold, 2**30)


def leave_no_core() -> None:
    """See to it that a crash leaves no image of this process, nor of those that it starts, on the
    disk: it would hold whatever they had in memory."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class LeaveAtOnce:
    """Ends this process, when all else is done, before Python takes itself away.

    Threads of a server that load weights or generate are inside of C++, and taking Python away from
    under them is an abort. To be made before the libraries are imported whose own work at the exit
    has to come first.

    Attributes:
        status: exit status of the process.
    """

    def __init__(self) -> None:
        self.status = 0
        atexit.register(self._leave)

    def _leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(self.status)
