"""What is computed on both devices: ``JOBS[name](device)`` gives arrays.  Tiny, because the simulator is slow.

``python twin_jobs.py FILE`` computes all of them on the card (or its simulator) and writes an ``.npz`` file.
"""

import sys
from contextlib import contextmanager

import numpy as np

import ebm_ref as er
from ebm_ref.kernels.noise import uniform_row

RBM_7X5 = er.RBM.random(7, 5, 2.0, seed=1)  # the hidden units' addresses start within a block of four
RBM_2X4 = er.RBM.random(2, 4, 3.0, seed=2)
MACHINE_5 = er.BoltzmannMachine.random(5, seed=3, n_visible=4)
STRONG = er.RBM([[400.0, -300.0], [1.0, 2.0]], [0.0, 3.0], [1.0, 2.0])  # not safe in product form
GRBM_5X3 = er.GRBM.random(5, 3, 0.8, seed=4)
GRBM_4X2 = er.GRBM.random(4, 2, 0.8, seed=6)  # a chain is one thread
STEPS = [0.7, 0.4]
STARTS = np.random.default_rng(0)


def uniforms(seed, step, first_chain, shape):
    """Uniforms at addresses, by the same body on both devices."""

    def job(device):
        stream = er.Stream(seed, "transition", first_chain)
        if device == "cpu":
            return [stream.uniform(step, shape)]
        from ebm_ref.kernels.cuda.driver import over_chains

        out = np.empty(shape)
        over_chains(uniform_row)(shape[0], out, np.uint64(step), stream.address)
        return [out]

    return job


def chains(sampler, n_chains=5, n_steps=6, **options):
    """All states of a run and the acceptance rates."""
    start = STARTS.integers(0, 2, (n_chains, sampler.model.n_visible))

    def job(device):
        chain = er.sample(sampler, start, n_steps, seed=2**40 + 7, device=device, **options)
        return [chain.states, chain.acceptance]

    return job


def gaussian_chains(n_chains=4, n_steps=5, **options):
    """Rows [v, h] of block Gibbs on a GRBM."""
    start = STARTS.normal(size=(n_chains, 5))

    def job(device):
        chain = er.sample(er.block_gibbs(GRBM_5X3), start, n_steps, seed=8, device=device, **options)
        return [chain.visible, chain.hidden]

    return job


def ula(n_chains=4, n_steps=5, **options):
    """Rows of ULA on a GRBM, with a step size for each coordinate."""
    start = STARTS.normal(size=(n_chains, 5))
    sampler = er.ula(GRBM_5X3, [0.1, 0.2, 0.05, 0.1, 0.3], temperature=0.7)

    def job(device):
        chain = er.sample(sampler, start, n_steps, seed=2**33, device=device, **options)
        return [chain.states, chain.acceptance]

    return job


def grbm_rows(sampler, n_chains=3, n_steps=4, **options):
    """States and acceptance rates of a sampler on a GRBM."""
    start = STARTS.normal(size=(n_chains, sampler.model.n_visible))

    def job(device):
        chain = er.sample(sampler, start, n_steps, seed=2**34 + 1, device=device, **options)
        return [chain.states, chain.acceptance]

    return job


def log_z(model, method="auto", small_tiles=False):
    """log Z; with ``small_tiles`` by blocks of 2 x 2 threads over 16 words, so that there are many tiles and shards."""

    def job(device):
        with tiles(small_tiles and device == "cuda"):
            return [np.array(er.exact.log_partition(model, method=method, device=device))]

    return job


@contextmanager
def tiles(small):
    """Blocks of a few threads: the simulator reads the constants as it runs."""
    if not small:
        yield
        return
    from ebm_ref.exact import partition_cuda
    from ebm_ref.kernels.cuda import enumeration

    changes = {
        (enumeration, "SIDE"): 2, (enumeration, "UNITS"): 8, (enumeration, "WORDS"): 8, (enumeration, "THREADS"): 4,
        (partition_cuda, "MAX_LOW_BITS"): 4, (partition_cuda, "MAX_HIGH_BITS"): 4,
    }  # fmt: skip
    before = {place: getattr(*place) for place in changes}
    try:
        for place, value in changes.items():
            setattr(*place, value)
        yield
    finally:
        for place, value in before.items():
            setattr(*place, value)


UNIFORMS = {
    "uniforms": uniforms(5, 3, 0, (3, 9)),
    "uniforms far away": uniforms(2**63 + 12345, 2**40 + 1, 2**32 - 4, (3, 6)),
}
CHAINS = {
    "block": chains(er.block_gibbs(RBM_7X5)),
    "block 2x4": chains(er.block_gibbs(RBM_2X4), n_chains=130, n_steps=1),  # more than one block of threads
    "block, clamped": chains(er.block_gibbs(RBM_7X5), clamp=[1, 8], thin=2, burn_in=1),
    "block, later": chains(er.block_gibbs(RBM_2X4), first_chain=7, first_step=2**33),
    "systematic": chains(er.gibbs(RBM_7X5)),
    "palindromic": chains(er.gibbs(MACHINE_5, "palindromic")),
    "random": chains(er.gibbs(MACHINE_5, "random"), clamp=[2]),
    "metropolis": chains(er.metropolis(MACHINE_5)),
    "no chain": chains(er.block_gibbs(RBM_2X4), n_chains=0),
}
CONTINUOUS = {
    "gaussian block": gaussian_chains(),
    "gaussian block, clamped": gaussian_chains(clamp=[1, 6]),
    "gibbs_langevin": grbm_rows(er.gibbs_langevin(GRBM_5X3, STEPS, relative=True), clamp=[1, 6], first_step=5),
    "gibbs_langevin, collapsed": grbm_rows(er.gibbs_langevin(GRBM_5X3, STEPS, relative=True, collapsed=True)),
    "gibbs_langevin, dsl": grbm_rows(er.gibbs_langevin(GRBM_4X2, [0.9], dsl_compat_batch_size=4)),
    "adjusted": grbm_rows(er.gibbs_langevin(GRBM_5X3, STEPS, True, relative=True), first_step=2**32 - 1),
    "adjusted, clamped": grbm_rows(er.gibbs_langevin(GRBM_5X3, STEPS, True, relative=True), clamp=[0, 5]),
    "adjusted, collapsed": grbm_rows(
        er.gibbs_langevin(GRBM_4X2, STEPS, True, relative=True, collapsed=True, adjust_step=2), n_steps=8
    ),
    "mala": grbm_rows(er.mala(GRBM_5X3, [0.4, 0.7, 0.5, 0.3, 0.9]), first_chain=6, first_step=3),
    "mala, clamped": grbm_rows(er.mala(GRBM_4X2, 0.6, temperature=1.7), clamp=[2], n_steps=8),
    "ula": ula(),
    "ula, clamped": ula(clamp=[2], first_chain=3, first_step=7),
}
SUMS = {
    "3x2": log_z(er.RBM.random(3, 2, 1.0, seed=1)),
    "13x9": log_z(er.RBM.random(13, 9, 0.7, seed=4), small_tiles=True),
    "9x10, wide": log_z(er.RBM.random(9, 10, 30.0, seed=5), small_tiles=True),  # exponents and swapped layers
    "3x2, gray": log_z(er.RBM.random(3, 2, 1.0, seed=1), "gray"),
    "strong": log_z(STRONG),
    "machine": log_z(MACHINE_5),
}
JOBS = {**UNIFORMS, **CHAINS, **CONTINUOUS, **SUMS}


if __name__ == "__main__":
    np.savez(sys.argv[1], **{f"{name}/{k}": a for name, job in JOBS.items() for k, a in enumerate(job("cuda"))})
