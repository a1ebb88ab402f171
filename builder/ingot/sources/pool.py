"""Several downloads at once, ended together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from ingot.sources.retry import Cancelled

GRACE_SECONDS = 2.0
LOOK_SECONDS = 0.2
T = TypeVar("T")


def run_all(tasks: Sequence[Callable[[threading.Event], T]], workers: int) -> list[T]:
    """Run ``tasks`` in at most ``workers`` threads; give their results in the order of the tasks.

    Each task gets an event that tells it to give up (by raising Cancelled). When one fails, or
    this thread is interrupted, the others are told so and the first exception is raised. A thread
    that waits for a silent server is not waited for longer than GRACE_SECONDS: threads are
    daemons, and what they write can be left at any moment.
    """
    cancelled = threading.Event()
    if len(tasks) <= 1 or workers <= 1:
        return [task(cancelled) for task in tasks]
    waiting = list(enumerate(tasks))[::-1]
    done: queue.SimpleQueue[tuple[int, T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while not cancelled.is_set():
            try:
                number, task = waiting.pop()
            except IndexError:
                return
            try:
                done.put((number, task(cancelled), None))
            except BaseException as error:  # noqa: BLE001 # raised again by the thread that waits
                done.put((number, None, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(tasks)))]
    results: dict[int, T] = {}
    try:
        for thread in threads:
            thread.start()
        while len(results) < len(tasks):
            try:  # Now and then, because a signal may have been given to another thread.
                number, result, error = done.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            if error is not None and not isinstance(error, Cancelled):
                raise error
            results[number] = result  # type: ignore[assignment] # there is no error
    except BaseException:
        cancelled.set()
        for thread in threads:
            thread.join(GRACE_SECONDS / len(threads))
        raise
    return [results[number] for number in range(len(tasks))]
