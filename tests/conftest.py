"""Seeds and Hypothesis profiles.

Every run repeats the same experiment: Hypothesis is derandomised and a statistical test derives its seed from its own
name, so a run that passes keeps passing.  ``--fresh-seeds`` draws new ones (their root is printed in the header;
``--seed ROOT`` repeats such a run).  Thresholds are made for any seed; seeds are never chosen by hand.
"""

import hashlib
import os
import secrets

import pytest
from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fixed", derandomize=True, max_examples=40, **COMMON)
settings.register_profile("fresh", derandomize=False, print_blob=True, max_examples=40, **COMMON)


def pytest_addoption(parser):
    parser.addoption("--fresh-seeds", action="store_true", help="new random seeds (not in CI)")
    parser.addoption("--seed", type=int, default=None, metavar="ROOT", help="root of the seeds; repeats a fresh run")


def pytest_configure(config):
    fresh = config.getoption("--fresh-seeds") and not os.environ.get("CI")
    root = getattr(config, "workerinput", {}).get("seed_root", config.getoption("--seed"))
    config.seed_root = root if root is not None else secrets.randbits(48) if fresh else 0
    settings.load_profile("fresh" if fresh else "fixed")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """The processes of ``pytest -n`` share the root."""
    node.workerinput["seed_root"] = node.config.seed_root


def pytest_report_header(config):
    return f"seeds: derived from {config.seed_root} (repeat with --seed {config.seed_root})"


@pytest.fixture
def seed(request):
    """A seed below 2^63 of this test's own, derived from the root and the test's name."""
    name = f"{request.config.seed_root} {request.node.nodeid}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """run(*words) -> (exit status, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def call(*words):
        from ebm_ref.cli import main

        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return leaving.value.code, said.out, said.err

    return call
