"""The pytest plugin, in sessions of its own.  Checks run at profile smoke and fail correct code with chance <= 1e-6."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from ebm_ref.oracle import cases, plugin
from ebm_ref.oracle.statistics.sequential import PROFILES

pytest_plugins = ["pytester"]

SAMPLERS = """
    import numpy as np
    import pytest
    from ebm_ref.oracle import zoo
    from ebm_ref.oracle.plugin import conformance_tests

    def wrong(case):
        return zoo.bug("hidden_bias_omitted").step(case)
"""


@pytest.fixture
def session(pytester):
    """run(test code, options): a session in which warnings are errors."""

    def run(source, *options):
        pytester.makepyfile(test_mine=SAMPLERS + source)
        return pytester.runpytest_inprocess("-W", "error", "--ebm-profile=smoke", "-p", "no:cacheprovider", *options)

    return run


def test_profiles_are_those_of_the_checks():
    assert tuple(PROFILES) == plugin.PROFILES


def test_loading_it_is_free():
    code = (
        "import sys, ebm_ref.oracle.plugin;"
        " print(*sorted({'numba', 'scipy', 'numpy', 'matplotlib', 'rich', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_decorator_adds_tests_over_the_cases(session):
    result = session(
        """
    @conformance_tests(cases=["rbm_1x1", "ising_degenerate"])
    class TestMine:
        def step(self, case):
            return NotImplemented if case.units == "spin" else zoo.reference_step(case)
        def energy(self, case):
            return lambda rows: -(rows @ case.J * rows).sum(1) / 2 - rows @ case.c
        def log_partition(self, case):
            return lambda: case.moments.log_z + 1.0 * (case.units == "spin")
        def update(self, case):
            from ebm_ref.oracle.update_recipe import make_update, reference
            return NotImplemented if case.W is None else make_update(reference(case, self.update_k))
        update_k = 2

    @conformance_tests(cases=["rbm_1x1"])
    class TestOneModel:
        def step(self, states, seed):
            from ebm_ref.oracle import cases
            return wrong(cases.named("rbm_1x1"))(states, seed)
    """,
        "-v",
        "-rs",
    )
    result.assert_outcomes(passed=5, failed=2, skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            "*TestMine::test_transition_law?rbm_1x1? PASSED*",
            "*TestMine::test_energy?ising_degenerate? PASSED*",
            "*TestMine::test_log_partition?ising_degenerate? FAILED*",
            "*TestMine::test_update?rbm_1x1? PASSED*",
            "*step: not implemented for ising_degenerate",
            "FAIL  test_mine.TestOneModel.step on rbm_1x1*",
            "Looks like: hidden bias omitted*",
            "Again: pytest 'test_mine.py::TestOneModel::test_transition_law?rbm_1x1?' --ebm-profile=smoke --ebm-seed=0",
        ]
    )


def test_decorator_takes_cases_and_refuses_other_classes():
    case = cases.rbm([[0.5, -1.0]], [0.1], [0.2, 0.3], name="mine")

    @plugin.conformance_tests(cases=[case])
    class Mine:
        def energy(self, case): ...

    assert Mine.test_energy.pytestmark[0].kwargs["ids"] == ["mine"]
    assert not hasattr(Mine, "test_transition_law")
    import unittest

    with pytest.raises(TypeError, match="use a plain class"):
        plugin.conformance_tests()(type("T", (unittest.TestCase,), {}))
    with pytest.raises(TypeError, match="none of the methods step, energy"):
        plugin.conformance_tests()(type("T", (), {}))


def test_fixtures(session):
    result = session(
        """
    seen = []

    def test_every_case(ebm_case):
        seen.append(ebm_case.name)

    def test_seen():
        from ebm_ref.oracle.cases import NAMES
        assert tuple(seen) == NAMES

    @pytest.mark.parametrize("ebm_case", ["rbm_1x1"], indirect=True)
    def test_right(assert_transition_law, ebm_case, request):
        assert assert_transition_law(zoo.reference_step(ebm_case), ebm_case).passed
        assert "S1 smallest_detectable_effect" in dict(request.node.user_properties)

    @pytest.mark.parametrize(("n", "ebm_case_name"), [(1, "rbm_1x1")])
    def test_wrong(assert_transition_law, ebm_case, n):
        assert_transition_law(wrong(ebm_case), ebm_case)

    def test_raises(assert_transition_law, ebm_case_name):
        if ebm_case_name == "rbm_1x1":
            from ebm_ref.oracle import cases
            assert_transition_law(lambda states, seed: 1 / 0, cases.named(ebm_case_name))
    """
    )
    n = len(cases.NAMES)
    result.assert_outcomes(passed=2 * n + 1, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "ebm_ref: profile smoke, seed 0 (repeat with --ebm-profile=smoke --ebm-seed=0)",
            "*step raised ZeroDivisionError*",
            "ebm_ref: 3 checks, profile smoke, seed 0; chance of any false alarm at most *",
        ]
    )


def test_skips_and_xfails(session, pytester):
    pytester.makefile(".txt", skips="# known\ntest_a  # takes too long\nTestMine::test_b\n\nnobody  # gone\n")
    pytester.makefile(".txt", xfails="test_c[*1]  # one is wrong\ntest_mine.py::test_d\n")
    result = session(
        """
    def test_a(): assert False
    class TestMine:
        def test_b(self): assert False
    @pytest.mark.parametrize("n", [1, 2])
    def test_c(n): assert n == 2
    def test_d(): assert False
    def test_aa(): pass
    """,
        "--ebm-skips-file=skips.txt",
        "--ebm-xfails-file=xfails.txt",
        "-rsx",
    )
    result.assert_outcomes(skipped=2, xfailed=2, passed=2)
    result.stdout.fnmatch_lines_random(
        ["*takes too long", "*listed in skips.txt", "*one is wrong", "ebm_ref: no test matches nobody (skips.txt)"]
    )


def test_seeds(session):
    source = """
    def test_seed(request):
        from ebm_ref.oracle.plugin import SETTINGS
        print("seed", request.config.stash[SETTINGS][1])
    """
    session(source, "--ebm-seed=5", "-s").stdout.fnmatch_lines(["*seed 5 (repeat with*", "*seed 5"])
    first, second = (session(source, "--ebm-seed=fresh").stdout.str() for _ in range(2))
    line = next(line for line in first.splitlines() if line.startswith("ebm_ref: profile smoke, seed "))
    assert line not in second
    for wrong in ("-1", "tomorrow"):
        result = session(source, f"--ebm-seed={wrong}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [f"*--ebm-seed: expected an integer of at least 0 or the word fresh, got '{wrong}'"]
        )


def test_a_fresh_seed_is_shared_by_the_workers():
    options = {"--ebm-profile": "ci", "--ebm-seed": "fresh"}
    controller = SimpleNamespace(stash=pytest.Stash(), getoption=options.get)
    plugin.pytest_configure(controller)
    worker = SimpleNamespace(config=controller, workerinput={}, stash=pytest.Stash(), getoption=options.get)
    plugin.pytest_configure_node(worker)
    plugin.pytest_configure(worker)
    assert worker.stash[plugin.SETTINGS] == controller.stash[plugin.SETTINGS]


def test_a_missing_file_is_wrong_use(session):
    result = session("    def test_a(): pass\n", "--ebm-skips-file=nowhere.txt")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*nowhere.txt: cannot be read*"])


def test_nobody_notices_it_unasked(pytester):
    pytester.makepyfile(test_plain="def test_plain(): pass\n")
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=1)
    assert "ebm_ref" not in result.stdout.str()
