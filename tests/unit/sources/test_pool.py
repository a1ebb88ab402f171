from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from ingot.errors import NetworkError
from ingot.sources.pool import run_all
from ingot.sources.retry import Cancelled


def waits(cancelled: threading.Event) -> int:
    assert cancelled.wait(20)
    raise Cancelled


def fails(_cancelled: threading.Event) -> int:
    raise NetworkError("no")


def numbers(count: int, running: set[int], most: list[int]) -> list[Callable[..., int]]:
    def task(number: int) -> Callable[[threading.Event], int]:
        def run(_cancelled: threading.Event) -> int:
            running.add(number)
            most.append(len(running))
            time.sleep(0.01)
            running.discard(number)
            return number

        return run

    return [task(number) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    most: list[int] = []
    assert run_all(numbers(10, set(), most), workers) == list(range(10))
    assert max(most) <= workers


def test_nothing_to_do() -> None:
    assert run_all([], 4) == []


def test_one_failure_stops_the_others_and_is_the_one_reported() -> None:
    with pytest.raises(NetworkError):
        run_all([waits, fails, waits, waits], 3)


def test_an_interruption_stops_all() -> None:
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_all([waits, waits], 2)
    assert time.monotonic() - started < 5


def test_a_thread_that_does_not_listen_is_not_waited_for_long() -> None:
    deaf = threading.Event()
    started = time.monotonic()
    with pytest.raises(NetworkError):
        run_all([lambda _cancelled: int(deaf.wait(20)), fails], 2)
    assert time.monotonic() - started < 5
    deaf.set()
