"""The oracle: is your sampler, your gradient, your log Z right - and if not, what is wrong?

Nothing in this folder imports anything of ours but the errors: the judge is not the judged.
"""

from ebm_ref.oracle import cases, zoo
from ebm_ref.oracle.checks import check_invariance, check_kernel, check_reversibility, check_samples
from ebm_ref.oracle.results import Diagnosis, Report, Result

__all__ = [
    "Diagnosis",
    "Report",
    "Result",
    "cases",
    "check_invariance",
    "check_kernel",
    "check_reversibility",
    "check_samples",
    "zoo",
]
