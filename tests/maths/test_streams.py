"""A random number is an address: nothing but (seed, purpose, step, chain, unit) can change it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ebm_ref as er
from ebm_ref.errors import DomainError
from ebm_ref.kernels.noise import PURPOSES, Stream
from ebm_ref.maths.philox import uniform

SEED = 0x123456789ABCDEF0
PROMISED = {
    "start": 1, "transition": 2, "exact_state": 3, "exact_units": 4, "parameters": 5, "shuffle": 6, "negative": 7,
    "persistent": 8, "fantasy_start": 9, "positive": 10, "monitor": 11, "user": 255,
}  # fmt: skip


def test_the_numbering_of_purposes_is_kept():
    assert {name: PURPOSES[name] for name in PROMISED} == PROMISED
    assert len(set(PURPOSES.values())) == len(PURPOSES)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 11))
def test_every_element_is_the_number_at_its_address(seed, step, first_chain, n_chains, n_units):
    u = Stream(seed, "transition", first_chain).uniform(step, (n_chains, n_units))
    c, j = n_chains - 1, n_units - 1
    address = [np.uint64(v) for v in (j, first_chain + c, step, 2, seed % 2**32, seed >> 32)]
    assert u[c, j] == uniform(*address)
    assert u.shape == (n_chains, n_units)
    assert u.min() >= 0
    assert u.max() < 1


def test_shape_split_and_order_of_calls_do_not_matter():
    stream = Stream(SEED, "user")
    whole = stream.uniform(5, (9, 13))
    stream.uniform(6, (2, 2))
    assert np.array_equal(stream.uniform(5, (4, 3)), whole[:4, :3])
    parts = [Stream(SEED, "user", first).uniform(5, (3, 13)) for first in (6, 0, 3)]
    assert np.array_equal(np.vstack([parts[1], parts[2], parts[0]]), whole)


def test_no_two_addresses_share_a_number():
    drawn = [
        Stream(seed, purpose).uniform(step, (5, 7)).ravel()
        for seed in (0, 1, 2, 2**32)
        for purpose in PURPOSES
        for step in (0, 1, 2**32)
    ]
    numbers = np.concatenate(drawn)
    assert len(np.unique(numbers)) == len(numbers)  # by chance they collide in 1.4e-9 of all runs


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_matter(threads):
    try:
        er.set_num_threads(threads)
        many = Stream(3, "user").uniform(1, (400, 60))  # enough work to be shared out
    finally:
        er.set_num_threads(None)
    assert np.array_equal(many[::37], np.vstack([Stream(3, "user", c).uniform(1, (1, 60)) for c in range(0, 400, 37)]))


def test_normals_are_the_inverse_law_of_the_uniforms():
    stream = Stream(SEED, "user")
    u, z = stream.uniform(2, (50, 20)), stream.normal(2, (50, 20))
    cdf = np.vectorize(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)))(z)
    assert np.abs(cdf - u).max() < 1e-14


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "1"])
def test_bad_seeds(seed):
    with pytest.raises(DomainError, match=r"^seed: expected an integer"):
        Stream(seed, "user")


def test_bad_purpose_and_chain():
    with pytest.raises(ValueError, match=r"^purpose: expected one of .*user.*, got 'nonsense'"):
        Stream(0, "nonsense")
    with pytest.raises(DomainError, match="first_chain"):
        Stream(0, "user", -1)
