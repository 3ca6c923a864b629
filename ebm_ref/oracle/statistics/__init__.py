"""Statistical tests with known error rates, each with its sample size and its smallest detectable effect.

id   hypothesis                                        level
S1   (x, x') ~ pi(x) P(x, x')                          exact by simulation of the null
S2   x' ~ P(x, .) for every fixed start                exact by simulation
S3   x ~ pi implies x' ~ pi                            exact by simulation
S4   flow symmetry (declared reversible)               exact (binomial)
S5   rank of the start in a two-sided chain            exact by simulation
S6   each unit given each start                        exact (binomial)
S7   likelihood-ratio e-process over known mistakes    anytime valid (Ville)
S8   Dirichlet e-process                               anytime valid (Ville)
S9   state counts along a chain                        exact by simulation
S10  transition counts along a chain                   exact by simulation
S11  draws of an unknown kernel, thinned               approximate
S12  exact moments                                     exact by simulation
S13  rows and calls are independent                    exact by simulation
D8   no two streams share a window                     collision probability
D9   nothing impossible happens                        exact, no budget
"""

from ebm_ref.oracle.statistics.sequential import (
    BUDGET,
    PROFILES,
    holm,
    required_samples,
    sequential_test,
    smallest_detectable_effect,
)

__all__ = [
    "BUDGET",
    "PROFILES",
    "holm",
    "required_samples",
    "sequential_test",
    "smallest_detectable_effect",
]
