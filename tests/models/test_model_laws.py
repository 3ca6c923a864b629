"""The laws of a model over all members and over random models."""

import laws
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from members import MODELS


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("law", laws.MODEL_LAWS, ids=lambda law: law.__name__)
def test_member(law, model):
    law(model)


@pytest.mark.parametrize("law", laws.MODEL_LAWS, ids=lambda law: law.__name__)
@given(model=st.deferred(strategies.models))
def test_random_model(law, model):
    law(model)


@pytest.mark.parametrize("model", MODELS)
def test_a_file_keeps_every_bit(model, tmp_path):
    laws.a_file_keeps_every_bit(model, tmp_path)
