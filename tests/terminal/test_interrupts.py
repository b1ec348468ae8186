"""Tests of the check for dropped interrupts (Ctrl-C), and of the signal handler that it sets."""

import signal
import threading

import pytest

from entrenous.terminal.interrupts import lost_interrupt_check


class _InterruptedFinalizer:
    """An object whose finalizer raises SIGINT."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_dropped_interrupt_is_raised_at_the_next_check() -> None:
    with lost_interrupt_check() as check:
        check()
        _InterruptedFinalizer()  # Python drops exceptions of finalizers.
        with pytest.raises(KeyboardInterrupt):
            check()


def test_interrupt_is_raised_at_once_where_possible() -> None:
    with lost_interrupt_check(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_second_interrupt_does_not_stop_the_cleanup() -> None:
    cleaned_up = []
    with lost_interrupt_check(once=True) as check:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
            cleaned_up.append("finished")
        with pytest.raises(KeyboardInterrupt):
            check()
    assert cleaned_up == ["finished"]


def test_previous_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with lost_interrupt_check():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_do_not_replace_the_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    handlers = []

    def check_in_thread() -> None:
        with lost_interrupt_check() as check:
            check()
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=check_in_thread)
    thread.start()
    thread.join()
    assert handlers == [before]
