"""The checks of the oracle: candidates go in, Reports come out."""

from ebm_ref.oracle.checks.kernel import check_invariance, check_kernel, check_reversibility

__all__ = ["check_invariance", "check_kernel", "check_reversibility"]
