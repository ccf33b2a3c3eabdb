"""Progress: a line that moves on a terminal, plain lines by a clock anywhere else."""

from __future__ import annotations

import io
import sys
from threading import Condition

import pytest
from ssdreg_runtime.system.progress import LINE_INTERVAL, Bar, Clock, Lines, Work, progress, waiting

PATIENCE = 60


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Hands(Clock):
    """A clock that stands still until somebody moves its hands."""

    def __init__(self):
        self._time, self._waits, self._ended, self._moved = 0.0, 0, False, Condition()

    def now(self):
        return self._time

    def wait(self, seconds):
        with self._moved:
            until = self._time + seconds
            self._waits += 1
            self._moved.notify_all()
            assert self._moved.wait_for(lambda: self._ended or self._time >= until, PATIENCE)
            return self._ended

    def end(self):
        with self._moved:
            self._ended = True
            self._moved.notify_all()

    def move(self, seconds):
        """Let time pass, and whoever waited for that do what it waited to do."""
        with self._moved:
            assert self._moved.wait_for(lambda: self._waits, PATIENCE)
            self._time += seconds
            self._waits = 0
            self._moved.notify_all()
            if self._time % LINE_INTERVAL == 0:
                assert self._moved.wait_for(lambda: self._waits, PATIENCE)
            else:
                self._waits = 1


@pytest.fixture
def log(capsys):
    """Return what gives all that has been written to standard error, which is no terminal."""
    written = []

    def read():
        written.append(capsys.readouterr().err)
        return "".join(written)

    return read


def test_a_line_every_half_minute(log):
    clock = Hands()
    with Lines(Work("packing train", "images", 3000), clock) as lines:
        lines.advance(100)
        clock.move(29)
        assert log() == ""
        clock.move(1)
        lines.advance(500)
        clock.move(30)
        lines.work.note = "cls 1.5"
        lines.advance(900)
        clock.move(30)
    assert log().splitlines() == [
        "packing train: 100 of 3,000 images (3%), 3.33 images/s, 14:30 left",
        "packing train: 600 of 3,000 images (20%), 10 images/s, 04:00 left",
        "packing train: 1,500 of 3,000 images (50%), 16.7 images/s, 01:30 left, cls 1.5"]
    assert LINE_INTERVAL == 30


def test_a_step_that_takes_long_is_told_of_meanwhile(log):
    clock = Hands()
    with Lines(Work("", ""), clock) as lines:
        lines.begin("starting openvino int8", 0, 20)
        clock.move(30)
        lines.begin("measuring", 0, 20)
        clock.move(30)
        lines.begin("quantising")
        clock.move(30)
    assert log().splitlines() == [
        "starting openvino int8: 0 of 20 (0%), 00:30 so far",
        "measuring: 0 of 20 (0%), 00:30 so far", "quantising: 00:30 so far"]


def test_a_speed_that_is_measured_without_pauses_is_the_one_told(log):
    clock = Hands()
    with Lines(Work("training", "images", 400), clock) as lines:
        lines.work.rate = 4.0  # half of the time it was validated
        lines.advance(60)
        clock.move(30)
    assert log() == "training: 60 of 400 images (15%), 4 images/s, 02:50 left\n"


def test_a_beginning_in_the_middle_does_not_count_for_the_speed(log):
    clock = Hands()
    with Lines(Work("training", "images", 400, 300), clock) as lines:
        lines.advance(30)
        clock.move(30)
    assert log() == "training: 330 of 400 images (82%), 1 images/s, 01:10 left\n"


@pytest.mark.parametrize(("total", "line"), [
    (46_800_000, "fetching: 10.4MB of 46.8MB (22%), 347kB/s, 01:45 left\n"),
    (None, "fetching: 10.4MB, 347kB/s, 00:30 so far\n")])
def test_bytes(log, total, line):
    clock = Hands()
    with Lines(Work("fetching", "bytes", total), clock) as lines:
        lines.advance(10_400_000)
        clock.move(30)
    assert log() == line


def test_what_is_done_at_once_is_not_told_of(capsys):
    items = list(progress(Work("packing", "images", 3)).over("abc"))
    assert items == ["a", "b", "c"]
    with progress(Work("packing", "images", 3)) as lines:
        lines.write("a line that stays", sys.stdout)
    assert capsys.readouterr() == ("a line that stays\n", "")


def test_its_thread_ends_with_it():
    with progress(Work("packing", "images", 3)) as lines:
        assert isinstance(lines, Lines)
        assert lines._thread.is_alive()
    assert not lines._thread.is_alive()


def test_a_reader_who_went_away_is_no_trouble(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    clock = Clock()
    waits = iter((False, True))
    monkeypatch.setattr(clock, "wait", lambda seconds: next(waits))
    with Lines(Work("packing", "images", 3), clock) as lines:
        lines._thread.join(PATIENCE)
    assert next(waits)  # it did not wait again


def test_a_terminal_has_a_line_that_moves(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(Work("packing train", "images", 4)) as bar:
        assert isinstance(bar, Bar)
        bar.advance(3)
        bar._bar.refresh()
    assert "packing train:  75%" in terminal.getvalue()
    assert "3/4 [" in terminal.getvalue()
    assert "\r" in terminal.getvalue()
    with waiting("quantising") as nothing:
        assert nothing is None
