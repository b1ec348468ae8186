"""Tests of the seccomp filters for x86_64 and aarch64, run in a small BPF interpreter."""

import errno
import struct

import pytest

from entrenous.media.sandbox.confinement import seccomp_program

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE_EPERM = 0x00050000 | errno.EPERM
REFUSE_ENOSYS = 0x00050000 | errno.ENOSYS
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
# These numbers are from the kernel's tables, not from our source.
CALL_NUMBERS = {
    "x86_64": {
        "read": 0,
        "write": 1,
        "open": 2,
        "mmap": 9,
        "mprotect": 10,
        "mremap": 25,
        "socket": 41,
        "connect": 42,
        "clone": 56,
        "fork": 57,
        "vfork": 58,
        "execve": 59,
        "kill": 62,
        "ptrace": 101,
        "unlinkat": 263,
        "openat": 257,
        "exit_group": 231,
        "execveat": 322,
        "memfd_create": 319,
        "pkey_mprotect": 329,
        "io_uring_setup": 425,
        "clone3": 435,
        "openat2": 437,
    },
    "aarch64": {
        "read": 63,
        "write": 64,
        "mmap": 222,
        "mprotect": 226,
        "mremap": 216,
        "socket": 198,
        "connect": 203,
        "clone": 220,
        "execve": 221,
        "kill": 129,
        "ptrace": 117,
        "unlinkat": 35,
        "openat": 56,
        "exit_group": 94,
        "execveat": 281,
        "memfd_create": 279,
        "pkey_mprotect": 288,
        "io_uring_setup": 425,
        "clone3": 435,
        "openat2": 437,
    },
}
FORBIDDEN_CALLS = (
    "open",
    "openat",
    "openat2",
    "socket",
    "connect",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "kill",
    "ptrace",
    "unlinkat",
    "memfd_create",
    "pkey_mprotect",
    "io_uring_setup",
)


def filter_verdict(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Run the classic BPF code on one ``struct seccomp_data``, and return its result."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", number, architecture, 0, *padded)
    accumulator, at = 0, 0
    while True:
        operation, yes, no, value = struct.unpack_from("<HBBI", code, at * 8)
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x15:
            at += yes if accumulator == value else no
        elif operation == 0x45:
            at += yes if accumulator & value else no
        else:
            assert operation == 0x06
            return int(value)


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("threads", [False, True])
def test_at_most_30_calls_are_allowed_and_forbidden_ones_are_refused(
    machine: str, *, threads: bool
) -> None:
    column, architecture = ARCHITECTURES[machine]
    code = seccomp_program(column, architecture, threads=threads)
    calls = CALL_NUMBERS[machine]
    for name in ("read", "write", "mremap", "exit_group"):
        assert filter_verdict(code, architecture, calls[name]) == ALLOW
    for name in FORBIDDEN_CALLS:
        if name in calls:
            assert filter_verdict(code, architecture, calls[name]) == REFUSE_EPERM
    allowed = [n for n in range(1024) if filter_verdict(code, architecture, n) == ALLOW]
    assert len(allowed) <= 30


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_memory_never_becomes_executable(machine: str) -> None:
    column, architecture = ARCHITECTURES[machine]
    code = seccomp_program(column, architecture, threads=True)
    for name in ("mmap", "mprotect"):
        number = CALL_NUMBERS[machine][name]
        assert filter_verdict(code, architecture, number, 0, 4096, 3) == ALLOW
        assert filter_verdict(code, architecture, number, 0, 4096, 5) == REFUSE_EPERM
        assert filter_verdict(code, architecture, number, 0, 4096, 7 | 1 << 40) == REFUSE_EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_new_threads_are_allowed_only_on_request_and_new_processes_never(machine: str) -> None:
    column, architecture = ARCHITECTURES[machine]
    with_threads = seccomp_program(column, architecture, threads=True)
    without = seccomp_program(column, architecture, threads=False)
    number, thread, process = CALL_NUMBERS[machine]["clone"], 0x3D0F00, 17
    assert filter_verdict(with_threads, architecture, number, thread) == ALLOW
    assert filter_verdict(with_threads, architecture, number, process) == REFUSE_EPERM
    assert filter_verdict(without, architecture, number, thread) == REFUSE_EPERM
    assert (
        filter_verdict(with_threads, architecture, CALL_NUMBERS[machine]["clone3"]) == REFUSE_ENOSYS
    )
    assert filter_verdict(without, architecture, CALL_NUMBERS[machine]["clone3"]) == REFUSE_EPERM


def test_calls_of_another_architecture_kill_the_process() -> None:
    """On another architecture the same numbers mean other calls (on i386, 5 means ``open``)."""
    code = seccomp_program(*ARCHITECTURES["x86_64"], threads=False)
    assert filter_verdict(code, 0x40000003, 5) == KILL
    # The bit that marks x32 calls.
    assert filter_verdict(code, ARCHITECTURES["x86_64"][1], 0x40000000) == REFUSE_EPERM
