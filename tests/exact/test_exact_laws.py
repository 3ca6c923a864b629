"""The laws of exact answers over all members and over random models."""

import laws
import pytest
import strategies
from hypothesis import given
from members import MODELS


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("law", laws.EXACT_LAWS, ids=lambda law: law.__name__)
def test_member(law, model):
    law(model)


@given(model=strategies.models())
def test_random_model(model):
    laws.log_partition_is_the_sum(model)
    laws.probabilities_are_the_law(model)
    laws.moments_are_averages(model)


@given(model=strategies.models(magnitude=2.0))
def test_gradient_of_a_random_model(model):
    laws.likelihood_gradient_is_the_derivative(model)
