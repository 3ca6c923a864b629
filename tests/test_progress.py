"""Long work says how far it is, also where no terminal is; short or quiet work says nothing."""

import pytest

from ebm_ref import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets itself."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then(clock, capsys):
    with progress.track(40, "auditing") as bar:
        for done in range(1, 31):
            clock[0] += 1.0
            bar(1, "judging" if done > 25 else "")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["auditing: 20 s, 50 % done, about 20 s left"]


def test_nothing_done_yet_is_said_too(clock, capsys):
    with progress.track(40, "auditing") as bar:
        clock[0] += 30.0
        bar(0, "compiling")
    with progress.track(None, "waiting") as bar:
        clock[0] += 25.0
        bar(1)
    assert capsys.readouterr().err.splitlines() == ["compiling: 30 s", "waiting: 25 s"]


def test_short_and_quiet_work_is_silent(clock, capsys):
    with progress.track(4, "sampling") as bar:
        clock[0] += 15.0
        bar(4)
    with progress.track(4, "sampling", enabled=False) as bar:
        clock[0] += 1000.0
        bar(4)
    assert capsys.readouterr().err == ""
