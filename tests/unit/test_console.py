from __future__ import annotations

import io
import json
import threading
import time

import pytest

from ingot.console import (
    Console,
    NullProgress,
    duration,
    json_text,
    printable,
    printable_lines,
    roughly,
    size,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "10 s"), (96, "2 min"), (3500, "58 min"), (4200, "1 h 10 min"), (7000, "2 h")],
)
def test_an_estimate_is_no_more_exact_than_it_is(seconds: float, text: str) -> None:
    assert roughly(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 bytes"), (1000, "1.0 kB"), (13_700_000, "13.7 MB"), (999_960_000, "1.0 GB")],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


def test_without_a_terminal_a_short_step_is_one_plain_line() -> None:
    out = io.StringIO()
    with Console(out).step("Reading") as step:
        step.update(1, 2)
    assert out.getvalue() == "Reading\n"


def test_without_a_terminal_a_long_step_speaks_now_and_then() -> None:
    out = io.StringIO()
    with Console(out, plain_seconds=0.05).step("Compiling") as step:
        step.update(3, 12, "3/12 a.cpp")
        time.sleep(0.3)
    lines = out.getvalue().splitlines()
    assert lines[0] == "Compiling"
    assert lines[1] == "Compiling: 25 %, 0 s elapsed, 3/12 a.cpp"
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_a_live_line_and_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    with Console(out).step("Compiling"):
        pass
    assert "Compiling: 0 s elapsed" in out.getvalue()
    assert out.getvalue().endswith("\x1b[32mdone\x1b[0m Compiling (0 s)\n")


def test_no_color_keeps_the_live_line_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    with Console(out).step("Compiling"):
        pass
    assert "\x1b[32m" not in out.getvalue()
    assert out.getvalue().endswith("done Compiling (0 s)\n")


def test_two_steps_at_once_have_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    console = Console(out)
    with console.step("One"):
        inside = threading.Thread(target=lambda: _step(console, "Two"))
        inside.start()
        inside.join()
    assert "One: 0 s elapsed\n\\ Two".replace("\\ ", "") in _without_spinner(out.getvalue())
    assert out.getvalue().count("done") == 2


def _step(console: Console, title: str) -> None:
    with console.step(title) as step:
        step.update(1, 2)


def _without_spinner(text: str) -> str:
    for mark in "|/-\\":
        text = text.replace(f"\n{mark} ", "\n")
    return text


def test_remaining_time_is_estimated_from_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with Console(out, plain_seconds=3600).step("Compiling") as step:
        step.update(0, None, "configuring")
        now[0] += 50  # the configure must not count
        step.update(0, 100)
        now[0] += 10
        step.update(25, 100, "x")
        detail = step.detail(now[0])  # type: ignore[attr-defined]
        assert detail == "25 %, 1 min 00 s elapsed, about 30 s left, x"
        now[0] += 20  # nothing was reported meanwhile
        assert ", about 10 s left, x" in step.detail(now[0])  # type: ignore[attr-defined]
        now[0] += 20
        assert "left" not in step.detail(now[0])  # type: ignore[attr-defined]


def test_a_failed_step_is_said_to_have_failed() -> None:
    out = io.StringIO()
    with pytest.raises(KeyError), Console(out).step("Compiling"):
        raise KeyError
    assert out.getvalue() == "Compiling\nfailed Compiling (0 s)\n"


def test_a_closed_stream_does_not_end_the_work() -> None:
    with Console(Closed()).step("Compiling") as step:
        step.update(1)


def test_say_is_a_line_of_its_own() -> None:
    out = io.StringIO()
    console = Console(out)
    with console.step("One"):
        console.say("note")
    assert out.getvalue() == "One\nnote\n"


def test_null_progress_accepts_everything() -> None:
    with NullProgress().step("x") as step:
        step.update(1, None, "y")


# Control characters of both sets, what turns text round, line separators, a name's odd byte.
ODD = "a\x1b[31m\x07\x9b\x7f\u202e\u2066\u2028\n\udce9é"
SHOWN = "a\\x1b[31m\\x07\\x9b\\x7f\\u202e\\u2066\\u2028{}\\xe9é"


def test_what_a_terminal_would_obey_is_shown_as_escapes() -> None:
    assert printable(ODD) == SHOWN.format("\\n")
    assert printable_lines(f"{ODD}\t") == SHOWN.format("\n") + "\t"


def test_json_means_the_same_and_moves_no_cursor() -> None:
    document = {ODD: [ODD, 1]}
    text = json_text(document)
    assert json.loads(text) == document
    assert all(c.isprintable() or c == "\n" for c in text) and "é" in text


def test_progress_shows_names_as_escapes() -> None:
    stream = Terminal()
    console = Console(stream, live=False)
    with console.step(ODD) as step:
        step.update(1, 2, ODD)
    console.say(ODD)
    for harmful in "\x1b\x9b\u202e\udce9":
        assert harmful not in stream.getvalue()
