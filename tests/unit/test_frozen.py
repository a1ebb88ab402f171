from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ingot import frozen


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts back what the test has set."""
    before = {number: signal.getsignal(number) for number in frozen.ENDING_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_only_the_first_signal_is_heard() -> None:
    for number in frozen.ENDING_SIGNALS:
        signal.signal(number, frozen.interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    for number in frozen.ENDING_SIGNALS:
        os.kill(os.getpid(), number)


def test_python_itself_is_not_frozen() -> None:
    assert not frozen.is_frozen()
