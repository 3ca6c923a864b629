"""The oracle's examples do what their first lines say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("script", "words"),
    [("my_sampler.py", "PASS  __main__.step on rbm_3x3"), ("broken_sampler.py", "Looks like: hidden bias omitted")],
)
def test_example(script, words, capsys):
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    assert words in capsys.readouterr().out


def test_they_name_their_command():
    for script in ("my_sampler.py", "broken_sampler.py", "sampler_program.py"):
        head = (EXAMPLES / script).read_text().split('"""')[1]
        assert f"ebm-ref verify --{'program' if 'program' in script else 'target'}" in head
        assert "--case rbm_3x3" in head
