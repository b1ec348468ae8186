"""A list of the system calls that decoding needs; the kernel answers EPERM to every other one.

No file can be opened, no socket made, no program run, no process forked, no memory made executable.
The list is a classic BPF program (Linux, Documentation/userspace-api/seccomp_filter.rst). It says
no instead of killing, so that a library that merely tries something (to name its own thread, say)
goes on.
"""

import ctypes
import errno
import platform
import struct
from functools import cache
from typing import Final

# Numbers on x86_64 (Linux, syscall_64.tbl) and on aarch64 (asm-generic/unistd.h).
_NEEDED: Final = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "getpid": (39, 172),
    "exit": (60, 93),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "rseq": (334, 293),
}
_MMAP: Final = (9, 222)
_MPROTECT: Final = (10, 226)
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
# machine name: (column of the tables above, AUDIT_ARCH_* of linux/audit.h)
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_PROT_EXEC: Final = 0x4
_CLONE_THREAD: Final = 0x10000
_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_BITS: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_NUMBER_AT: Final = 0  # struct seccomp_data: nr, arch, instruction pointer, six arguments
_ARCH_AT: Final = 4
_ARGUMENTS_AT: Final = 16

_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2


class _Program(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def forbid_system_calls(*, threads: bool) -> bool:
    """Put the list into force for this process, for good; False where the kernel cannot.

    ``threads`` lets a decoder start threads of its own. PR_SET_NO_NEW_PRIVS must be set before.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None or platform.system() != "Linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    code = program(*machine, threads=threads)
    filter_program = _Program(len(code) // 8, code)
    wanted = ctypes.byref(filter_program)
    return bool(libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, wanted, 0, 0) == 0)


def prepare(*, threads: bool) -> None:
    """What :func:`forbid_system_calls` needs and can be made before."""
    libc()
    machine = _MACHINES.get(platform.machine())
    if machine is not None:
        program(*machine, threads=threads)


@cache
def libc() -> ctypes.CDLL:
    """Opened once: whoever forks has its children find it open."""
    return ctypes.CDLL(None, use_errno=True)


@cache
def program(column: int, architecture: int, *, threads: bool) -> bytes:
    """The list as instructions of ``struct sock_filter``, 8 bytes each."""
    code = [
        _step(_LOAD, _ARCH_AT),
        _step(_IF_EQUAL, architecture, yes=1),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER_AT),
    ]
    for numbers in _NEEDED.values():
        code += [_step(_IF_EQUAL, numbers[column], no=1), _step(_RETURN, _ALLOW)]
    for numbers in (_MMAP, _MPROTECT):
        code += _unless(numbers[column], 2, _PROT_EXEC, bits_set=_refuse(), bits_clear=_ALLOW)
    if threads:
        code += _unless(_CLONE[column], 0, _CLONE_THREAD, bits_set=_ALLOW, bits_clear=_refuse())
        # Its flags lie in memory, where a filter cannot look; "no such call" makes libc use clone.
        code += [
            _step(_IF_EQUAL, _CLONE3[column], no=1),
            _step(_RETURN, _ERRNO | errno.ENOSYS),
        ]
    return b"".join([*code, _step(_RETURN, _refuse())])


def _unless(
    number: int, argument: int, bits: int, *, bits_set: int, bits_clear: int
) -> list[bytes]:
    """A call judged by bits of one argument (its low half: both machines are little-endian)."""
    return [
        _step(_IF_EQUAL, number, no=4),
        _step(_LOAD, _ARGUMENTS_AT + 8 * argument),
        _step(_IF_BITS, bits, no=1),
        _step(_RETURN, bits_set),
        _step(_RETURN, bits_clear),
    ]


def _refuse() -> int:
    return _ERRNO | errno.EPERM


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)
