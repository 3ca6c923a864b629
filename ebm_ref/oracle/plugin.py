"""The pytest plugin: conformance tests of samplers and formulas inside anybody's test suite.

It is active wherever ebm_ref is installed, and costs nothing until used.

    from ebm_ref.oracle.plugin import conformance_tests

    @conformance_tests(cases=["rbm_3x3", "rbm_4x2"])
    class TestMine:
        def step(self, case):                              # -> step(states, seed) -> states
            return MySampler(case.W, case.a, case.b).step
        def energy(self, case):                            # optional, likewise the others of CONFORMANCE
            return MyModel(case.W, case.a, case.b).energy

    def test_by_hand(assert_transition_law, ebm_case):     # once for each named case
        assert_transition_law(my_step(ebm_case), ebm_case)

Options   --ebm-profile=smoke|ci|nightly|certify   --ebm-seed=N|fresh   --ebm-skips-file=FILE   --ebm-xfails-file=FILE
Files     one test a line, ``path::Class::name[case]``, or its end, or with *; after `` # `` the reason
Fixtures  ``ebm_case_name``, ``ebm_case``, ``assert_transition_law``
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ebm_ref.oracle.cases import Case
    from ebm_ref.oracle.results import Report

PROFILES = ("smoke", "ci", "nightly", "certify")
SEED_BITS = 48
CONFORMANCE = {
    "step": "transition_law",
    "energy": "energy",
    "conditionals": "conditionals",
    "gradient": "gradient",
    "log_partition": "log_partition",
    "free_energy": "free_energy",
    "pseudo_likelihood": "pseudo_likelihood",
    "update": "update",
}
SETTINGS: pytest.StashKey[tuple[str, int]] = pytest.StashKey()
REPORTS: pytest.StashKey[list[Any]] = pytest.StashKey()
UNMATCHED: pytest.StashKey[list[str]] = pytest.StashKey()


def seed_option(text: str) -> int:
    """An integer of at least 0, or a fresh one for ``fresh``."""
    if text == "fresh":
        return secrets.randbits(SEED_BITS)
    if not text.isdecimal():
        raise pytest.UsageError(f"--ebm-seed: expected an integer of at least 0 or the word fresh, got {text!r}")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("ebm_ref", "conformance of energy-based models (ebm_ref)")
    group.addoption("--ebm-profile", choices=PROFILES, default="ci", help="how small effects are seen (default: ci)")
    group.addoption("--ebm-seed", default="0", metavar="N|fresh", help="seed of every check (default: 0)")
    group.addoption("--ebm-skips-file", metavar="FILE", help="tests to skip, one a line, '# reason' after it")
    group.addoption("--ebm-xfails-file", metavar="FILE", help="tests that are known to fail, likewise")


def pytest_configure(config: pytest.Config) -> None:
    """Profile and seed of the session; pytest-xdist's workers get the seed of their controller."""
    shared = getattr(config, "workerinput", {}).get("ebm_seed")
    seed = seed_option(config.getoption("--ebm-seed")) if shared is None else shared
    config.stash[SETTINGS] = (config.getoption("--ebm-profile"), seed)
    config.stash[REPORTS], config.stash[UNMATCHED] = [], []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the seed to a worker of pytest-xdist."""
    node.workerinput["ebm_seed"] = node.config.stash[SETTINGS][1]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Profile and seed, if somebody asked for others than the default."""
    profile, seed = config.stash[SETTINGS]
    if (profile, config.getoption("--ebm-seed")) == ("ci", "0"):
        return None
    return f"ebm_ref: profile {profile}, seed {seed} (repeat with --ebm-profile={profile} --ebm-seed={seed})"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What the checks of this session add up to."""
    reports: list[Report] = config.stash[REPORTS]
    for line in config.stash[UNMATCHED]:
        terminalreporter.write_line(f"ebm_ref: no test matches {line}")
    if reports:
        profile, seed = config.stash[SETTINGS]
        bound = sum(report.false_alarm_bound for report in reports)
        terminalreporter.write_line(
            f"ebm_ref: {len(reports)} checks, profile {profile}, seed {seed};"
            f" chance of any false alarm at most {bound:.2g}"
        )


# skips and expected failures -----------------------------------------------------------------------------------------


def listed(path: str) -> Iterator[tuple[str, str]]:
    """(pattern, reason) of each line of a skips or xfails file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise pytest.UsageError(f"{path}: cannot be read ({error.strerror})") from None
    for line in text.splitlines():
        pattern, _, reason = re.sub(r"^#.*", "", line.strip()).partition(" #")
        if pattern.strip():
            yield pattern.strip(), reason.strip()


def matches(pattern: str, nodeid: str) -> bool:
    """True if the pattern is the id, the end of its path, or a class or function that contains it; * is anything.

    >>> nodeid = "tests/test_a.py::TestMine::test_transition_law[rbm_3x3]"
    >>> [matches(p, nodeid) for p in ("test_transition_law[rbm_3x3]", "TestMine", "test_a.py", "*[rbm_*]", "law")]
    [True, True, True, True, False]
    """
    words = ".*".join(re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(rf"(.*/|.*::)?{words}(\[.*|::.*)?", nodeid) is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that the files name."""
    for option, mark in (("--ebm-skips-file", pytest.mark.skip), ("--ebm-xfails-file", pytest.mark.xfail)):
        path = config.getoption(option)
        for pattern, reason in listed(path) if path else ():
            chosen = [item for item in items if matches(pattern, item.nodeid)]
            for item in chosen:
                item.add_marker(mark(reason=reason or f"listed in {path}"))
            if not chosen:
                config.stash[UNMATCHED].append(f"{pattern} ({path})")


# fixtures ------------------------------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``ebm_case_name`` runs over all named cases unless the test says over which."""
    if "ebm_case_name" not in metafunc.fixturenames:
        return
    named: set[str] = set()
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        named |= set(re.split(r"[,\s]+", names) if isinstance(names, str) else names)
    if not named & {"ebm_case", "ebm_case_name"}:
        from ebm_ref.oracle.cases import NAMES

        metafunc.parametrize("ebm_case_name", NAMES)


@pytest.fixture
def ebm_case_name() -> str:
    """The name of a case: each of ``ebm_ref.oracle.cases.NAMES``, or those of ``parametrize("ebm_case_name", ..)``."""
    return "rbm_3x3"


@cache
def case_of(name: str) -> Case:
    """Each case is enumerated once a session."""
    from ebm_ref.oracle import cases

    return cases.named(name)


@pytest.fixture
def ebm_case(request: pytest.FixtureRequest, ebm_case_name: str) -> Case:
    """An ``ebm_ref.oracle.cases.Case`` for each named case; or those of ``parametrize("ebm_case", .., indirect=True)``,
    names or Cases."""
    wanted = getattr(request, "param", ebm_case_name)
    return case_of(wanted) if isinstance(wanted, str) else wanted


@pytest.fixture
def assert_transition_law(request: pytest.FixtureRequest) -> Callable[[Callable, Case], Report]:
    """``assert_transition_law(step, case)`` -> Report: fails the test unless ``check_kernel`` passes.

    The profile and the seed are those of the options.
    """

    def check(step: Callable, case: Case) -> Report:
        from ebm_ref.oracle.checks import check_kernel

        profile, seed = request.config.stash[SETTINGS]
        return judged(request, check_kernel(step, case, profile=profile, seed=seed))

    return check


def judged(request: pytest.FixtureRequest, report: Report) -> Report:
    """Record a report; fail the test with it if it did not pass."""
    node, (profile, seed) = request.node, request.config.stash[SETTINGS]
    request.config.stash[REPORTS].append(report)
    for result in report.results:
        if result.smallest_detectable_effect is not None:
            value = f"{result.smallest_detectable_effect:.3g}"
            node.user_properties.append((f"{result.test} smallest_detectable_effect", value))
    if not report.passed:
        again = f"pytest '{node.nodeid}' --ebm-profile={profile} --ebm-seed={seed}"
        pytest.fail(f"{report}\nAgain: {again}", pytrace=False)
    return report


# the decorator -------------------------------------------------------------------------------------------------------


def conformance_tests(cases: Sequence[str | Case] = ("rbm_3x3", "rbm_4x2")) -> Callable[[type], type]:
    """Class decorator: adds ``test_transition_law``, ``test_energy``, .. for what the class provides, over the cases.

    The class has one or more of these methods, each called with a Case; NotImplemented or None skips that case.
        step(case) -> step(states, seed) -> states      or, for a single model, step(states, seed) itself
        energy(case) -> f(x, h) or f(rows)              gradient(case), conditionals(case), log_partition(case),
                                                        free_energy(case), pseudo_likelihood(case): what
                                                        check_gradient, .. take
        update(case) -> update(rows, seed)              a CD-k update as ``check_update`` takes it; the class may say
                                                        update_k = 1 and update_variant = "rao_blackwell"
    Raises TypeError for a class with none of them, or a unittest.TestCase, whose tests cannot have parameters.

    >>> @conformance_tests(cases=["rbm_3x3"])
    ... class TestMine:
    ...     def step(self, case): ...
    >>> TestMine.test_transition_law.__name__
    'test_transition_law'
    """
    names = [case if isinstance(case, str) else case.name for case in cases]

    def decorate(cls: type) -> type:
        import unittest

        if issubclass(cls, unittest.TestCase):
            raise TypeError(f"conformance_tests: {cls.__name__} is a unittest.TestCase; use a plain class")
        provided = [name for name in CONFORMANCE if callable(getattr(cls, name, None))]
        if not provided:
            raise TypeError(f"conformance_tests: {cls.__name__} has none of the methods {', '.join(CONFORMANCE)}")
        for name in provided:
            test = pytest.mark.parametrize("ebm_case", list(cases), indirect=True, ids=names)(conformance_test(name))
            test.__qualname__, test.__module__ = f"{cls.__qualname__}.{test.__name__}", cls.__module__
            setattr(cls, test.__name__, test)
        return cls

    return decorate


def conformance_test(name: str) -> Callable[..., None]:
    """One test method, for what the class's method ``name`` provides."""

    def test(self: Any, ebm_case: Case, request: pytest.FixtureRequest) -> None:
        from ebm_ref import oracle
        from ebm_ref.oracle.adapters import step_for

        provided = getattr(self, name)
        candidate = step_for(provided, ebm_case) if name == "step" else provided(ebm_case)
        if candidate is None or candidate is NotImplemented:
            pytest.skip(f"{name}: not implemented for {ebm_case.name}")
        if name == "step":
            profile, seed = request.config.stash[SETTINGS]
            report = oracle.check_kernel(candidate, ebm_case, profile=profile, seed=seed)
        elif name == "update":
            from ebm_ref.oracle.checks_learning import small_batch

            rows, (profile, seed) = small_batch(ebm_case), request.config.stash[SETTINGS]
            k, variant = getattr(self, "update_k", 1), getattr(self, "update_variant", "rao_blackwell")
            report = oracle.check_update(candidate, ebm_case, rows, k, variant=variant, profile=profile, seed=seed)
        else:
            report = getattr(oracle, f"check_{name}")(candidate, ebm_case)
        judged(request, report)

    test.__name__ = f"test_{CONFORMANCE[name]}"
    test.__doc__ = f"What ``{name}`` provides, against the exact answers."
    return test
