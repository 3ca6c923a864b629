"""A correct sampler: one block Gibbs step for the oracle's case rbm_3x3, in plain NumPy.

    ebm-ref verify --target examples/my_sampler.py:step --case rbm_3x3
    ebm-ref verify --target examples/my_sampler.py:make_step --case all

Break it and run it again: drop a bias, transpose W, use the old h, ignore the seed.
"""

import numpy as np

from ebm_ref.oracle import cases


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def block_gibbs(states, W, a, b, seed):
    """h' ~ p(.|x), then x' ~ p(.|h'); rows [x, h], one independent chain each."""
    rng = np.random.default_rng(seed)
    x = states[:, : len(a)]
    h = (rng.random((len(x), len(b))) < sigmoid(b + x @ W)).astype(float)
    x = (rng.random(x.shape) < sigmoid(a + h @ W.T)).astype(float)
    return np.hstack([x, h])


def step(states, seed):
    """What the oracle judges: one step of every row of the case rbm_3x3."""
    case = cases.named("rbm_3x3")
    return block_gibbs(states, case.W, case.a, case.b, seed)


def make_step(case):
    """The step for any case; NotImplemented where this sampler has no business."""
    if case.kernel != "block_gibbs" or case.clamp:
        return NotImplemented
    return lambda states, seed: block_gibbs(states, case.W, case.a, case.b, seed)


if __name__ == "__main__":
    from ebm_ref import oracle

    print(oracle.check_kernel(step, cases.named("rbm_3x3")))
