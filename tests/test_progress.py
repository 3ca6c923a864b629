"""Long work says how far it is, also where no terminal is; short or quiet work says nothing."""

import time

import pytest

from ebm_ref import progress

PATIENCE = 30.0  # seconds for a thread of a loaded machine


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets itself."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_says_what_is_done_and_what_is_left(clock):
    log = progress.Log(40, "auditing")
    clock[0] += 20.0
    assert log.line() == "auditing: 20 s"
    log.advance(15)
    log.advance(5, "judging")
    assert log.line() == "judging: 20 s, 50 % done, about 20 s left"
    log = progress.Log(None, "waiting")
    clock[0] += 25.0
    log.advance(1)
    assert log.line() == "waiting: 25 s"


@pytest.mark.parametrize("total", [4, None])
def test_a_log_is_told_of_work_that_says_nothing(total, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PERIOD", 0.01)
    said, began = "", time.monotonic()
    with progress.track(total, "compiling"):
        while said.count("\n") < 2 and time.monotonic() < began + PATIENCE:
            time.sleep(0.01)
            said += capsys.readouterr().err
    lines = said.splitlines()
    assert len(lines) >= 2
    assert set(lines) <= {f"compiling: {s} s" for s in range(30)}
    time.sleep(0.05)
    capsys.readouterr()
    time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_short_and_quiet_work_is_silent(monkeypatch, capsys):
    with progress.track(4, "sampling") as bar:
        bar(4)
    monkeypatch.setattr(progress, "PERIOD", 0.01)
    with progress.track(4, "sampling", enabled=False) as bar:
        time.sleep(0.05)
        bar(4)
    assert capsys.readouterr().err == ""
