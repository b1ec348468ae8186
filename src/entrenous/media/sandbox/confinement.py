"""Confine a decoder process before it reads untrusted bytes.

The process sets up its pipes and its allocator, and imports modules that cannot be imported later.
Then it gives up all rights that decoding does not need: by resource limits, by Landlock, and by a
seccomp filter that allows only some system calls.
"""

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
from dataclasses import dataclass
from enum import IntFlag
from functools import cache
from importlib import import_module
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_LANDLOCK_CREATE_RULESET: Final = 444  # the same number on every architecture
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_ASK_VERSION: Final = 1
# linux/landlock.h: number of file rights in versions 1, 2, ...; version 4 adds network rights,
# version 6 adds scopes
_LANDLOCK_FILE_RIGHTS: Final = (13, 14, 15, 15, 16)
_LANDLOCK_NETWORK: Final = 0b11
_LANDLOCK_SCOPES: Final = 0b11


class Confinement(IntFlag):
    """The restrictions in force for a child."""

    # limited memory and processor time; no new file descriptors, no writing to files, no core dump
    LIMITS = 1
    NO_NEW_PRIVILEGES = 2
    # no file can be opened by its path; newer kernels also forbid network ports and signals
    LANDLOCK = 4
    SYSTEM_CALLS = 8  # seccomp: only the system calls that decoding needs


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for decoding one file: memory, seconds of processor time, seconds of real time.

    The default values are for a picture.
    """

    memory_bytes: int = 2 << 30
    cpu_s: int = 20
    wall_s: float = 30.0

    def __post_init__(self) -> None:
        if self.memory_bytes < 1 or self.cpu_s < 1 or not self.wall_s > 0:
            raise ValueError("a child needs some memory and some time")


def confine_process(*, memory_bytes: int, cpu_s: int, threads: bool) -> Confinement:
    """Confine this process permanently, and return the restrictions in force.

    ``threads`` must be true for decoders that start threads. Import everything before this call.
    """
    confinement = Confinement(0)
    _set_resource_limits(memory_bytes, cpu_s, threads=threads)
    if platform.system() == "Linux":
        confinement |= _confine_on_linux()
    # This comes after Landlock, which needs a file descriptor for its ruleset. From here on, no
    # descriptor can be opened.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    confinement |= Confinement.LIMITS
    if Confinement.NO_NEW_PRIVILEGES in confinement and forbid_system_calls(threads=threads):
        confinement |= Confinement.SYSTEM_CALLS
    return confinement


def _set_resource_limits(memory_bytes: int, cpu_s: int, *, threads: bool) -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_AS: memory_bytes
        + (1 << 30),  # address space for libraries, and for stacks that are reserved but not used
    }
    if not threads:
        wanted[resource.RLIMIT_NPROC] = 0
    for which, limit in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # macOS defines RLIMIT_AS but refuses it
            resource.setrlimit(which, (limit, limit))


def _confine_on_linux() -> Confinement:
    libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Confinement(0)
    landlock = Confinement.LANDLOCK if _forbid_files_and_network() else Confinement(0)
    return Confinement.NO_NEW_PRIVILEGES | landlock


def _forbid_files_and_network() -> bool:
    """Apply a Landlock ruleset that covers all rights and grants none.

    See Linux, Documentation/userspace-api/landlock.rst.
    """
    syscall = libc().syscall
    syscall.restype = ctypes.c_long
    version = syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_ASK_VERSION)
    if version < 1:
        return False
    rights = _LANDLOCK_FILE_RIGHTS[min(version, len(_LANDLOCK_FILE_RIGHTS)) - 1]
    handled = [(1 << rights) - 1]
    if version >= 4:
        handled.append(_LANDLOCK_NETWORK)
    if version >= 6:
        handled.append(_LANDLOCK_SCOPES)
    attributes = (ctypes.c_uint64 * len(handled))(*handled)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset < 0:
        return False
    stands = syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(stands)


# System call numbers on x86_64 (Linux, syscall_64.tbl) and on aarch64 (asm-generic/unistd.h).
_ALLOWED_CALLS: Final = {
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
_MMAP_CALL_NUMBERS: Final = (9, 222)
_MPROTECT_CALL_NUMBERS: Final = (10, 226)
_CLONE_CALL_NUMBERS: Final = (56, 220)
_CLONE3_CALL_NUMBERS: Final = (435, 435)
# for each machine: the column of the tables above, and AUDIT_ARCH_* of linux/audit.h
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_PROT_EXEC: Final = 0x4
_CLONE_THREAD: Final = 0x10000
_SECCOMP_ALLOW: Final = 0x7FFF0000
_SECCOMP_KILL_PROCESS: Final = 0x80000000
_SECCOMP_RETURN_ERRNO: Final = 0x00050000
_BPF_LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_BPF_JUMP_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_BPF_JUMP_IF_BITS_SET: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_BPF_RETURN: Final = 0x06  # BPF_RET | BPF_K
# offsets in struct seccomp_data: nr, arch, instruction pointer, six arguments
_CALL_NUMBER_OFFSET: Final = 0
_ARCHITECTURE_OFFSET: Final = 4
_ARGUMENTS_OFFSET: Final = 16
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2


class _SeccompProgram(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def forbid_system_calls(*, threads: bool) -> bool:
    """Install the seccomp filter permanently; return False if the kernel does not support it.

    ``threads`` lets a decoder start threads. PR_SET_NO_NEW_PRIVS must be set before.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None or platform.system() != "Linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    code = seccomp_program(*machine, threads=threads)
    filter_program = _SeccompProgram(len(code) // 8, code)
    wanted = ctypes.byref(filter_program)
    return bool(libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, wanted, 0, 0) == 0)


def prepare_seccomp(*, threads: bool) -> None:
    """Do everything in advance that :func:`forbid_system_calls` needs."""
    libc()
    machine = _MACHINES.get(platform.machine())
    if machine is not None:
        seccomp_program(*machine, threads=threads)


@cache
def libc() -> ctypes.CDLL:
    """Return the C library, which is opened once, so that forked children inherit it."""
    return ctypes.CDLL(None, use_errno=True)


@cache
def seccomp_program(column: int, architecture: int, *, threads: bool) -> bytes:
    """Return the filter as ``struct sock_filter`` instructions, 8 bytes each."""
    code = [
        _bpf_instruction(_BPF_LOAD_WORD, _ARCHITECTURE_OFFSET),
        _bpf_instruction(_BPF_JUMP_IF_EQUAL, architecture, yes=1),
        _bpf_instruction(_BPF_RETURN, _SECCOMP_KILL_PROCESS),
        _bpf_instruction(_BPF_LOAD_WORD, _CALL_NUMBER_OFFSET),
    ]
    for numbers in _ALLOWED_CALLS.values():
        code += [
            _bpf_instruction(_BPF_JUMP_IF_EQUAL, numbers[column], no=1),
            _bpf_instruction(_BPF_RETURN, _SECCOMP_ALLOW),
        ]
    for numbers in (_MMAP_CALL_NUMBERS, _MPROTECT_CALL_NUMBERS):
        code += _argument_bits_filter(
            numbers[column],
            2,
            _PROT_EXEC,
            action_if_set=_refusal_code(),
            action_if_clear=_SECCOMP_ALLOW,
        )
    if threads:
        code += _argument_bits_filter(
            _CLONE_CALL_NUMBERS[column],
            0,
            _CLONE_THREAD,
            action_if_set=_SECCOMP_ALLOW,
            action_if_clear=_refusal_code(),
        )
        # A filter cannot read the flags of clone3, which are in memory. On ENOSYS, libc uses clone
        # instead.
        code += [
            _bpf_instruction(_BPF_JUMP_IF_EQUAL, _CLONE3_CALL_NUMBERS[column], no=1),
            _bpf_instruction(_BPF_RETURN, _SECCOMP_RETURN_ERRNO | errno.ENOSYS),
        ]
    return b"".join([*code, _bpf_instruction(_BPF_RETURN, _refusal_code())])


def _argument_bits_filter(
    call_number: int, argument: int, bits: int, *, action_if_set: int, action_if_clear: int
) -> list[bytes]:
    """Return instructions that allow or refuse a call by bits of one argument.

    The bits are in the argument's low half, which comes first because both machines are
    little-endian.
    """
    return [
        _bpf_instruction(_BPF_JUMP_IF_EQUAL, call_number, no=4),
        _bpf_instruction(_BPF_LOAD_WORD, _ARGUMENTS_OFFSET + 8 * argument),
        _bpf_instruction(_BPF_JUMP_IF_BITS_SET, bits, no=1),
        _bpf_instruction(_BPF_RETURN, action_if_set),
        _bpf_instruction(_BPF_RETURN, action_if_clear),
    ]


def _refusal_code() -> int:
    return _SECCOMP_RETURN_ERRNO | errno.EPERM


def _bpf_instruction(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


REQUEST_FD: Final = 0
_READ_BYTES_MAX: Final = 1 << 20


def reserve_answer_fd() -> int:
    """Return a descriptor for answers that is separate from what libraries print."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def read_from(descriptor: int, size: int) -> bytes:
    """Return ``size`` bytes, or fewer at the end of input."""
    data = bytearray()
    while len(data) < size and (
        part := os.read(descriptor, min(_READ_BYTES_MAX, size - len(data)))
    ):
        data += part
    return bytes(data)


def write_to(descriptor: int, data: bytes) -> None:
    """Write all bytes, in as many pieces as the pipe takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


# PyAV imports these modules with the first file, the first text track and the first decoded text.
# In the sandbox no file can be opened, so a sound with subtitles would count as broken.
_LATE_IMPORTS: Final = ("av.subtitles.stream", "av.subtitles.codeccontext", "av.subtitles.subtitle")


def import_late_pyav_modules() -> None:
    """Import what PyAV would otherwise import too late."""
    for module in _LATE_IMPORTS:
        import_module(module)


# from malloc.h of glibc; once the first two are set, they are no longer adjusted dynamically
_MALLOPT_TRIM_THRESHOLD: Final = -1
_MALLOPT_MMAP_THRESHOLD: Final = -3
_MALLOPT_ARENA_MAX: Final = -8
_KEPT_FREE_BYTES: Final = 64 << 20
_MMAPPED_BLOCK_BYTES_MIN: Final = 32 << 20  # the most that glibc before 2.35 accepts
_ARENAS_MAX: Final = 2


def keep_freed_memory(kept_bytes: int = _KEPT_FREE_BYTES, arenas: int = _ARENAS_MAX) -> bool:
    """Keep freed memory in this process, to reuse it without asking the system for it again.

    Threads allocate from up to ``arenas`` regions (glibc calls them arenas). Each keeps up to
    ``kept_bytes`` of free memory. A block larger than half of that goes back to the system as soon
    as it is freed.

    Returns: False if the C library does not support this (musl, macOS).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = (
        (_MALLOPT_TRIM_THRESHOLD, kept_bytes),
        (_MALLOPT_MMAP_THRESHOLD, _MMAPPED_BLOCK_BYTES_MIN),
        (_MALLOPT_ARENA_MAX, arenas),
    )
    is_kept = all(mallopt(which, value) == 1 for which, value in wanted)
    # glibc before 2.35 refuses a value above 32 MiB, and keeps the one that was set above
    mallopt(_MALLOPT_MMAP_THRESHOLD, kept_bytes // 2)
    return is_kept
