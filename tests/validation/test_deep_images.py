"""The validation of deep images at a tiny size: the commands' files become numbers, a table and a figure."""

import json

import numpy as np
import pytest

from validation import deep_images as di


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A setting of 4 x 4 images, its folders, and a classifier that passes pixels on."""
    grey = np.random.default_rng(0).random((40, 16))
    setting = di.Setting("noise 4 x 4", 4, ("--model", "mlp", "--hidden", "3", "--epochs", "1", "--quiet"), "top")
    monkeypatch.setattr(di, "SETTINGS", {"noise": setting})
    monkeypatch.setattr(di, "images_of", lambda name: (grey[:30], grey[30:]))
    monkeypatch.setattr(di, "judge_of", lambda name: di.Judge(lambda x: x, grey[30:], 1.0))
    monkeypatch.setattr(di, "grbm_of_the_five_samplers", lambda side: 2.0)
    for name, value in (("SCRATCH", tmp_path), ("FIGURES", tmp_path), ("DRAWN", 20), ("COMPLETED", 4)):
        monkeypatch.setattr(di, name, value)
    monkeypatch.setattr(di, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(di, "NUMBERS", tmp_path / "numbers.json")
    di.PAGE.write_text("before\n<!-- table: written by the script -->\nold\n<!-- end of table -->\nafter\n")
    return tmp_path


def test_a_setting_from_data_to_the_page(tiny):
    found = {"noise": di.measured("noise")}
    assert di.measured("noise") == found["noise"]  # not repeated
    di.write(found)
    page = di.PAGE.read_text()
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert f"| noise 4 x 4 | **{found['noise']['frechet']:.2f}** | 2.00 |" in page
    assert json.loads(di.NUMBERS.read_text()) == found
    assert (tiny / "deep_noise.png").stat().st_size > 1000


def test_the_grbm_beside_it_is_the_best_of_the_five_samplers():
    assert di.grbm_of_the_five_samplers(14) == pytest.approx(18.77, abs=0.01)
