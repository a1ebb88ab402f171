from __future__ import annotations

import signal

import pytest

from ingot import frozen


def test_a_signal_that_comes_twice_at_once_is_heard_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    now = 0.05  # as soon after the machine's start
    monkeypatch.setattr("time.monotonic", lambda: now)
    handler = frozen.once(lambda number, frame: heard.append(number))
    handler(signal.SIGINT, None)
    now += 0.001
    handler(signal.SIGINT, None)
    assert heard == [signal.SIGINT]
    now += 1.0
    handler(signal.SIGTERM, None)
    assert heard == [signal.SIGINT, signal.SIGTERM]


def test_python_itself_is_not_frozen() -> None:
    assert not frozen.is_frozen()
