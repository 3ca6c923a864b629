"""The oracle: is your sampler, your gradient, your log Z right - and if not, what is wrong?

Nothing in this folder imports anything of ours but the errors: the judge is not the judged.
Checks load when they are first used, so that the pytest plugin costs a test session nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ebm_ref.oracle import adapters, cases, vectors, zoo
    from ebm_ref.oracle.annealing import check_annealing
    from ebm_ref.oracle.checks import (
        check_acceptance,
        check_chains,
        check_device,
        check_invariance,
        check_kernel,
        check_persistent,
        check_reversibility,
        check_samples,
    )
    from ebm_ref.oracle.checks_formulas import check_conditionals, check_energy, check_gradient
    from ebm_ref.oracle.checks_learning import check_update
    from ebm_ref.oracle.checks_log_z import check_log_partition
    from ebm_ref.oracle.checks_matrix import check_free_energy, check_transition_matrix
    from ebm_ref.oracle.checks_pseudo import check_pseudo_likelihood
    from ebm_ref.oracle.checks_training import check_fixed_point, check_training
    from ebm_ref.oracle.checks_uniforms import check_given_uniforms, check_streams
    from ebm_ref.oracle.continuous.ula import check_ula
    from ebm_ref.oracle.deep import rules
    from ebm_ref.oracle.deep.rules import check_rule
    from ebm_ref.oracle.results import Diagnosis, Report, Result

_MODULES = {"adapters": "adapters", "cases": "cases", "rules": "deep.rules", "vectors": "vectors", "zoo": "zoo"}
_HOMES = {
    "check_kernel": "checks",
    "check_invariance": "checks",
    "check_reversibility": "checks",
    "check_samples": "checks",
    "check_acceptance": "checks",
    "check_chains": "checks",
    "check_device": "checks",
    "check_persistent": "checks",
    "check_training": "checks_training",
    "check_fixed_point": "checks_training",
    "check_transition_matrix": "checks_matrix",
    "check_free_energy": "checks_matrix",
    "check_pseudo_likelihood": "checks_pseudo",
    "check_given_uniforms": "checks_uniforms",
    "check_streams": "checks_uniforms",
    "check_energy": "checks_formulas",
    "check_conditionals": "checks_formulas",
    "check_gradient": "checks_formulas",
    "check_log_partition": "checks_log_z",
    "check_update": "checks_learning",
    "check_annealing": "annealing",
    "check_ula": "continuous.ula",
    "check_rule": "deep.rules",
    "Diagnosis": "results",
    "Report": "results",
    "Result": "results",
}

__all__ = [
    "Diagnosis",
    "Report",
    "Result",
    "adapters",
    "cases",
    "check_acceptance",
    "check_annealing",
    "check_chains",
    "check_conditionals",
    "check_device",
    "check_energy",
    "check_fixed_point",
    "check_free_energy",
    "check_given_uniforms",
    "check_gradient",
    "check_invariance",
    "check_kernel",
    "check_log_partition",
    "check_persistent",
    "check_pseudo_likelihood",
    "check_reversibility",
    "check_rule",
    "check_samples",
    "check_streams",
    "check_training",
    "check_transition_matrix",
    "check_ula",
    "check_update",
    "rules",
    "vectors",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"ebm_ref.oracle.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"ebm_ref.oracle.{_MODULES[name]}")
    else:
        raise AttributeError(f"module 'ebm_ref.oracle' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
