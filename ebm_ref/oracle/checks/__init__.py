"""The checks of the oracle: candidates go in, Reports come out."""

from ebm_ref.oracle.checks.acceptance import check_acceptance
from ebm_ref.oracle.checks.device import check_device
from ebm_ref.oracle.checks.kernel import check_invariance, check_kernel, check_reversibility
from ebm_ref.oracle.checks.persistent import check_persistent
from ebm_ref.oracle.checks.runs import check_chains
from ebm_ref.oracle.checks.samples import check_samples

__all__ = [
    "check_acceptance",
    "check_chains",
    "check_device",
    "check_invariance",
    "check_kernel",
    "check_persistent",
    "check_reversibility",
    "check_samples",
]
