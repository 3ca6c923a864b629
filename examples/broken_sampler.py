"""A sampler with one line wrong, to see what the oracle says about it.  (Which line?  It will tell you.)

ebm-ref verify --target examples/broken_sampler.py:step --case rbm_3x3
"""

import numpy as np

from ebm_ref.oracle import cases


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def step(states, seed):
    """One block Gibbs step of every row [x, h] of the case rbm_3x3 - almost."""
    case = cases.named("rbm_3x3")
    rng = np.random.default_rng(seed)
    x = states[:, :3]
    h = (rng.random((len(x), 3)) < sigmoid(x @ case.W)).astype(float)
    x = (rng.random((len(x), 3)) < sigmoid(case.a + h @ case.W.T)).astype(float)
    return np.hstack([x, h])


if __name__ == "__main__":
    from ebm_ref import oracle

    print(oracle.check_kernel(step, cases.named("rbm_3x3")))
