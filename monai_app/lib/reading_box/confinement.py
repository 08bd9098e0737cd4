"""What a process gives up before it parses a file from a stranger.

Three layers, each of them enough to keep files and secrets from it:

- limits of the system on memory, processor time, files that it writes, and open files;
- Landlock (Linux 5.13, `landlock` on PyPI): it can read Python's own folders, and write nothing;
- seccomp: it can do what a decoder does, and nothing else: no socket, no other program, no other
  process. Where there is no Landlock it cannot open any file either; what the readers need has been
  loaded before.

A process that cannot be confined as far as this machine can do it, does not read.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import xr2mri_core
from monai_app.lib.bounds import Bounds

NICE = 5
"""Niceness of the process, so that what answers requests goes first, as with generations."""
_USUAL_MB = 320  # that a picture of 16 million values takes, with some to spare
_MORE_FILES = 16  # beside those that are open: modules that are loaded late
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_GET_SECCOMP = 1, 38, 22, 21
_SIGKILL = 9


@dataclass(frozen=True)
class Limits:
    """What preparing one file may take.

    Attributes:
        seconds: longest time from the beginning to the answer.
        cpu_seconds: most processor time.
        memory_mb: most memory, besides what readers and detector themselves take.
    """

    seconds: float = Bounds.read_seconds
    cpu_seconds: int = Bounds.read_cpu_seconds
    memory_mb: int = Bounds.read_memory_mb

    @property
    def usual_mb(self) -> int:
        """Of that, what a picture may take that is not large (`give_room`)."""
        return max(self.memory_mb * 3 // 8, min(self.memory_mb, _USUAL_MB))


def layers() -> list[str]:
    """The layers that this machine has beside the limits: `Landlock`, `seccomp`."""
    found = []
    if _has_landlock():
        found.append("Landlock")
    if platform.machine() in _MACHINES and _libc().prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0:
        found.append("seccomp")
    return found


def confine(limits: Limits) -> None:
    """Confine this process, which has one thread, for good.

    Raises:
        OSError, ValueError, LandlockError: it cannot be confined.
    """
    have = layers()
    _call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # ends with the process that forked it
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.nice(NICE)
    _limit(limits)
    if "Landlock" in have:
        _only_python_can_be_read()
    if "seccomp" in have:
        _only_decoding(may_open="Landlock" in have)


def _limit(limits: Limits) -> None:
    import resource  # which Windows lacks, where the server imports this module, too

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    opened = len(os.listdir("/proc/self/fd"))
    for what, most in (
        (resource.RLIMIT_AS, taken + (limits.memory_mb << 20)),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, opened + _MORE_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        usual = min(most, taken + (limits.usual_mb << 20)) if what == resource.RLIMIT_AS else most
        resource.setrlimit(what, (usual, most))


def give_room(process: int) -> None:
    """Let a confined process have all the memory that its limits allow, which it cannot itself."""
    import resource

    _, most = resource.prlimit(process, resource.RLIMIT_AS)
    resource.prlimit(process, resource.RLIMIT_AS, (most, most))


# --- Landlock -------------------------------------------------------------------------------------


def _has_landlock() -> bool:
    try:
        import landlock
    except ImportError:  # another system than Linux
        return False
    ctypes.set_errno(0)
    try:
        return bool(landlock.landlock_abi_version() >= 1)
    except (landlock.LandlockError, OSError):
        return False


def _only_python_can_be_read() -> None:
    from landlock import FSAccess, Ruleset

    ctypes.set_errno(0)  # which the package takes for an error of its own calls
    rules = Ruleset()
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.add(str(Path(xr2mri_core.__file__).parent))
    rules.allow(
        *(folder for folder in sorted(folders) if Path(folder).is_dir()),
        rules=FSAccess.READ_FILE | FSAccess.READ_DIR,
    )
    rules.apply()


# --- seccomp --------------------------------------------------------------------------------------

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # as the kernel numbers them
_OPEN = (257, 56)  # openat
_DECODING = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66), "access": (21, None),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23),
    "nanosleep": (35, 101), "getpid": (39, 172), "sendto": (44, 206), "recvfrom": (45, 207),
    "recvmsg": (47, 212), "exit": (60, 93), "uname": (63, 160),
    "ftruncate": (77, 46), "getdents": (78, None), "getcwd": (79, 17), "readlink": (89, None),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "sigaltstack": (131, 132),
    "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "getdents64": (217, 61), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48),
    "set_robust_list": (273, 99), "getrandom": (318, 278), "membarrier": (324, 283),
    "statx": (332, 291), "rseq": (334, 293), "faccessat2": (439, 439), "ppoll": (None, 73),
}  # fmt: skip
"""The system calls that a decoder makes, with their numbers on each of the machines."""
_FCNTL = (72, 25)
_OF_FCNTL = (0, 1, 2, 3, 4, 1030)
"""What it may have done to an open file: copied, its flags read and set. Not F_SETOWN and F_SETSIG:
with these it could have a signal of its choice sent to the server."""

_LOAD, _EQUALS, _RETURN = 0x20, 0x15, 0x06  # of the Berkeley packet filter
_NUMBER, _ARCHITECTURE, _SECOND = 0, 4, 24  # where they, and an argument, stand in what it is shown
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # refuse: EPERM


def _only_decoding(may_open: bool) -> None:
    """Refuse every system call that is not on the list; one of another machine's kills."""
    machine = platform.machine()
    calls = [*_DECODING.values(), *([_OPEN] if may_open else [])]
    column = list(_MACHINES).index(machine)
    numbers = [number for call in calls if (number := call[column]) is not None]
    this = _MACHINES[machine]
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUALS, 1, 0, this), (_RETURN, 0, 0, _KILL)]
    steps.append((_LOAD, 0, 0, _NUMBER))
    steps += _allowed(numbers)
    commands = [(_LOAD, 0, 0, _SECOND), *_allowed(_OF_FCNTL)]
    steps += [(_EQUALS, 0, len(commands), _FCNTL[column]), *commands, (_RETURN, 0, 0, _REFUSE)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    program = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program))
    _call("prctl", _PR_SET_SECCOMP, 2, ctypes.create_string_buffer(filter_, len(filter_)), 0, 0)


def _allowed(values: Iterable[int]) -> list[tuple[int, int, int, int]]:
    """The steps that let through what has one of these values."""
    return [step for value in values for step in ((_EQUALS, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc(), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
