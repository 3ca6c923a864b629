"""The figures show what they were given, are labelled, fit on their page, and come out the same byte for byte."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy import stats

from ebm_ref import plots
from ebm_ref.cli import zoo_matrix
from ebm_ref.errors import DomainError, ShapeError

P = np.array([0.4, 0.3, 0.2, 0.1 - 1e-5, 1e-5])
ROTATION = np.roll(np.eye(5), 1, axis=1) * 0.9 + 0.02


def curves():
    x = np.arange(0, 1001, 50)
    runs = {"exact gradient": 0.0, "CD-1": 3.0, "CD-10": 1.0, "PCD": 0.5}
    figure_data = {name: (x, -20 - offset - 20 * np.exp(-x / 200)) for name, offset in runs.items()}
    return plots.learning_curves(figure_data, reference=("best", -7.49), title="digits")


def zoo_picture():
    sign = {"kind": "deep", "id": "sign", "killed_by": ["D1"], "passed": ["D3", "D7"], "named": True}
    noise = {"kind": "deep", "id": "noise", "killed_by": ["D3 weights"], "passed": ["D3"], "named": False}
    return zoo_matrix.picture([sign, noise], "ci", 0)


FIGURES = {
    "learning_curves": curves,
    "samples": lambda: plots.image_grid(np.eye(12).repeat(3, axis=0), (3, 4), titles=list("abc") * 12, title="rows"),
    "filters": lambda: plots.image_grid(np.linspace(-2, 1, 64).reshape(4, 16), (4, 4), symmetric=True, title="W"),
    "frequencies": lambda: plots.frequencies(P, [0.39, 0.32, 0.19, 0.1, 0.0], 1000),
    "real_spectrum": lambda: plots.spectrum([1, 0.6, -0.3, 0.1], title="Gibbs"),
    "complex_spectrum": lambda: plots.spectrum(np.linalg.eigvals(ROTATION), title="Gibbs"),
    "kill_matrix": zoo_picture,
}


@pytest.fixture(params=FIGURES)
def make(request):
    return FIGURES[request.param]


def test_same_bytes_every_time(make):
    figure, again = make(), make()
    png, svg = plots.to_png_bytes(figure), plots.to_svg(figure)
    assert png.startswith(b"\x89PNG\r\n")
    assert png == plots.to_png_bytes(figure) == plots.to_png_bytes(again)
    assert svg == plots.to_svg(figure) == plots.to_svg(again)


def test_svg_is_one_element_without_dates(make):
    svg = plots.to_svg(make())
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "<dc:date>" not in svg


def test_everything_fits_on_the_page(make):
    figure = make()
    figure.draw_without_rendering()
    box, page = figure.get_tightbbox(), figure.bbox_inches
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= page.width
    assert box.y1 <= page.height


def test_no_global_state():
    program = (
        "import sys, ebm_ref.plots as p; p.to_png_bytes(p.spectrum([1, .5])); print('matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_learning_curves_are_labelled_and_ranked():
    figure = curves()
    (axes,) = figure.axes
    assert axes.get_xlabel() == "updates"
    assert axes.get_ylabel() == "log-likelihood (nats per row)"
    assert axes.get_title(loc="left") == "digits"
    assert legend_texts(figure) == ["best (-7.49)", "exact gradient", "PCD", "CD-10", "CD-1"]
    assert len({line.get_color() for line in axes.lines}) == 5
    assert len({line.get_linestyle() for line in axes.lines[:4]}) == 4


def test_learning_curves_keep_the_data_and_its_gaps():
    y = np.array([-4.0, np.nan, -2.0])
    line = plots.learning_curves({"run": ([0, 10, 20], y)}).axes[0].lines[0]
    assert np.array_equal(line.get_xdata(), [0, 10, 20])
    assert np.array_equal(line.get_ydata(), y, equal_nan=True)


def test_learning_curves_check_their_input():
    with pytest.raises(DomainError, match="at least one"):
        plots.learning_curves({})
    with pytest.raises(ShapeError, match=r"curves\['a'\] y: expected shape \(2,\), got \(3,\)"):
        plots.learning_curves({"a": ([0, 1], [0, 1, 2])})
    with pytest.raises(DomainError, match=r"curves\['a'\] y: expected a finite value"):
        plots.learning_curves({"a": ([0, 1], [np.nan, np.nan])})


def test_image_grid_shows_each_row_in_its_place():
    rows = np.random.default_rng(0).random((5, 6))
    figure = plots.image_grid(rows, (2, 3), columns=2, titles=list("abcde"))
    images = figure.axes[0].images
    assert all(np.array_equal(image.get_array(), row.reshape(2, 3)) for image, row in zip(images, rows, strict=True))
    assert all(image.get_clim() == (0, 1) for image in images)
    lefts, tops = zip(*((image.get_extent()[0], image.get_extent()[3]) for image in images), strict=True)
    assert lefts[0] == lefts[2] == lefts[4] < lefts[1] == lefts[3]
    assert tops[0] == tops[1] < tops[2] == tops[3] < tops[4]
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text()] == list("abcde")


def test_image_grid_pixels_are_whole_screen_pixels():
    for image in plots.image_grid(np.eye(8), (2, 4)).axes[0].images:
        left, right, bottom, top = image.get_extent()
        assert (right - left) % 4 == 0
        assert (bottom - top) % 2 == 0


def test_image_grid_scales():
    filters = np.array([[-3.0, 1.0], [0.5, 2.0]])
    figure = plots.image_grid(filters, (1, 2), symmetric=True, colour_label="weight W")
    assert [image.get_clim() for image in figure.axes[0].images] == [(-3, 3)] * 2
    assert figure.axes[1].get_ylabel() == "weight W"
    assert plots.image_grid(np.zeros((1, 4)), (2, 2), symmetric=True).axes[0].images[0].get_clim() == (-1, 1)
    assert plots.image_grid(filters, (1, 2)).axes[0].images[0].get_clim() == (-3, 2)


def test_image_grid_checks_its_input():
    with pytest.raises(ShapeError, match=r"rows: expected shape \(any, 4\), got \(2, 5\)"):
        plots.image_grid(np.zeros((2, 5)), (2, 2))
    with pytest.raises(ShapeError, match="titles: expected one for each of 2 images, got 1"):
        plots.image_grid(np.zeros((2, 4)), (2, 2), titles=["a"])
    with pytest.raises(DomainError, match="at least one image"):
        plots.image_grid(np.zeros((0, 4)), (2, 2))
    with pytest.raises(DomainError, match="finite"):
        plots.image_grid([[0.0, np.inf]], (1, 2))
    with pytest.raises(DomainError, match="columns"):
        plots.image_grid(np.zeros((2, 4)), (2, 2), columns=0)


def test_frequencies_count_the_states_outside_the_band():
    n, level = 1000, 0.99
    high = stats.binom.ppf((1 + level) / 2, n, 0.3)
    just_inside, just_outside = high / n, (high + 1) / n
    figure = plots.frequencies([0.3, 0.3, 0.4, 1e-6], [just_inside, just_outside, 0.4, 0.0], n, level=level)
    texts = legend_texts(figure)
    assert "99 % binomial band" in texts
    assert "2 inside" in texts
    assert "1 inside, never seen" in texts
    assert "1 outside (expected: at most 0.04)" in texts
    assert figure.axes[1].get_xlabel() == "exact probability"


@pytest.mark.parametrize(("p", "f", "outside"), [(0.0, 0.0, 0), (0.0, 0.001, 1), (1.0, 1.0, 0), (1.0, 0.999, 1)])
def test_frequencies_of_certain_states(p, f, outside):
    assert f"{outside} outside (expected: at most 0.01)" in legend_texts(plots.frequencies([p], [f], 1000))


def test_frequencies_standardise_the_residuals_of_common_states():
    n = 400
    figure = plots.frequencies([0.5, 0.49, 0.01], [0.55, 0.44, 0.01], n)
    points = np.concatenate([np.asarray(group.get_offsets()) for group in figure.axes[1].collections])
    shown = dict(points[np.isin(points[:, 0], [0.5, 0.49, 0.01])])
    assert shown == pytest.approx({0.5: 0.05 / np.sqrt(0.25 / n), 0.49: -0.05 / np.sqrt(0.49 * 0.51 / n)})


def test_frequencies_check_their_input():
    with pytest.raises(ShapeError, match="empirical: expected shape"):
        plots.frequencies([0.5, 0.5], [1.0], 10)
    with pytest.raises(DomainError, match=r"empirical: expected values in \[0, 1\], got 5.0"):
        plots.frequencies([0.5, 0.5], [5, 5], 10)
    with pytest.raises(DomainError, match="n_samples"):
        plots.frequencies([0.5, 0.5], [0.5, 0.5], 0)
    with pytest.raises(DomainError, match="level"):
        plots.frequencies([0.5, 0.5], [0.5, 0.5], 10, level=1)
    with pytest.raises(DomainError, match="at least one state"):
        plots.frequencies([], [], 10)


@pytest.mark.parametrize(
    ("eigenvalues", "title"),
    [
        ([0.5, 1.0, -0.75], "gap 0.25, relaxation time 4 steps"),
        ([1.0], "gap 1, relaxation time 1 steps"),
        ([1.0, 1.0, 0.2], "gap 0, relaxation time infinite"),
        ([1.0, -1.0], "gap 0, relaxation time infinite"),
        ([1.0, 0.3 + 0.4j, 0.3 - 0.4j], "gap 0.5, relaxation time 2 steps"),
    ],
)
def test_spectrum_marks_the_absolute_gap(eigenvalues, title):
    axes = plots.spectrum(eigenvalues).axes[0]
    assert axes.get_title(loc="left") == title
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def test_spectrum_of_a_real_chain_is_sorted_by_magnitude():
    groups = plots.spectrum([0.1, -0.3, 1.0, 0.6]).axes[0].collections
    points = {tuple(point) for group in groups for point in np.asarray(group.get_offsets()).round(12)}
    assert {(1, 1), (2, 0.6), (3, 0.3), (4, 0.1)} <= points


@pytest.mark.parametrize("wrong", [[], [0.5], [1.0, 1.1], [1.0, 0.8 + 0.7j], [1.0, np.nan]])
def test_spectrum_checks_its_input(wrong):
    with pytest.raises(DomainError, match="eigenvalues"):
        plots.spectrum(wrong)


def test_kill_matrix_says_what_killed_and_what_was_not_named():
    axes = zoo_picture().axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0.5, 0.5): "x", (2.5, 1.5): "x"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sign", "noise (not named)"]
