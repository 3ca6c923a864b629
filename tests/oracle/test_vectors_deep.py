"""Golden vectors of deep energies: broken twins of the package fail and are diagnosed; a wrong route is not written."""

import shutil

import numpy as np
import pytest
from vectors_deep import deep

from ebm_ref.oracle import vectors
from ebm_ref.oracle.vectors import deep_fixtures as fx
from ebm_ref.oracle.vectors import deep_route, deep_vectors, encoding


def with_layers(change):
    """The twin that takes every layer for another one."""

    def every(layers):
        return [change({**d, **({"branch": every(d["branch"])} if "branch" in d else {})}) for d in layers]

    def adapter(quantity, model, given):
        return deep(quantity, {**model, "layers": every(model["layers"])} if "layers" in model else model, given)

    return adapter


def with_answer(change, *quantities):
    """The twin that answers some questions differently: change(answer, model, given)."""

    def adapter(quantity, model, given):
        answer = deep(quantity, model, given)
        return change(answer, model, given) if quantity in quantities else answer

    return adapter


def changed(kind, /, **values):
    """Some entries of one kind of layer."""
    return with_layers(lambda d: {**d, **{k: f(d) for k, f in values.items()}} if d["kind"] == kind else d)


def only_outputs(answer, model, given):
    return deep("deep_forward", {"layers": model["layers"]}, given) if model["form"] == "inner" else answer


def half_of_squares(answer, model, given):
    return answer / 2 if model["form"] in ("residual", "square") else answer


def still(quantity, model, given):
    """Tangents of cotangents without their part by x_dot, as if all layers were linear."""
    answer = deep(quantity, model, {**given, "x_dot": 0 * given["x_dot"]} if "rvjp" in quantity else given)
    return (
        0 * answer if quantity in ("deep_hessian_vector", "deep_mixed_product", "deep_denoising_gradient") else answer
    )


def other_noise(quantity, model, given):
    if quantity != "deep_denoising_gradient":
        return deep(quantity, model, given)
    flipped = {**given, "data": given["data"] + 2 * given["sigma"] * given["z"], "z": -given["z"]}
    return deep(quantity, model, flipped)  # the same x + sigma z, the other sign in the target


def default_alpha(d):
    return {"elu": 1.0, "leaky_relu": 0.01}.get(d["function"], 0.0)


def unbiased(d):
    n = len(d["gain"]) // d["n_groups"] * 2
    return d["gain"] * np.sqrt((n - 1) / n)


BROKEN = (
    (changed("conv", W=lambda d: d["W"][..., ::-1, ::-1]), "KernelFlipped", "deep_forward"),
    (changed("conv_transpose", W=lambda d: d["W"][..., ::-1, ::-1]), "KernelFlipped", "deep_vjp"),
    (changed("group_norm", gain=unbiased), "NormVariance", "deep_forward"),
    (changed("group_norm", eps=lambda d: 1e-3), "NormEps", "deep_vjp"),
    (changed("activation", alpha=default_alpha), "ActivationAlpha", "deep_forward"),
    (changed("spectral_linear", kind=lambda d: "linear"), "SpectralSigma", "deep_vjp_parameters"),
    (changed("max_pool", kind=lambda d: "avg_pool"), "PoolAdjoint", "deep_forward"),
    (with_answer(lambda a, m, g: a / 4, "deep_vjp"), "AdjointNotForward", "deep_vjp"),
    (with_answer(only_outputs, "deep_gradient"), "MissingPullback", "deep_gradient"),
    (with_answer(half_of_squares, "deep_gradient", "deep_parameter_gradient"), "HeadFactor", "deep_parameter_gradient"),
    (with_answer(lambda a, m, g: -a, "deep_gradient", "deep_parameter_gradient"), "GradientSign", "deep_gradient"),
    (still, "SecondDerivative", "deep_rvjp"),
    (other_noise, "DenoisingTarget", "deep_denoising_gradient"),
    (with_answer(lambda a, m, g: -a if m["form"] == "marginal" else a, "deep_energy", "deep_box_log_z"),
     "LogSumExpSign", "deep_energy"),
)  # fmt: skip


@pytest.mark.parametrize(("adapter", "flag", "killed_by"), BROKEN, ids=[f"{b[1]} {b[2]}" for b in BROKEN])
def test_a_broken_deep_energy_fails_and_is_diagnosed(adapter, flag, killed_by, tmp_path):
    shutil.copy(vectors.SHIPPED / "deep_energies.json", tmp_path)
    with np.errstate(all="ignore"):
        report = vectors.verify(tmp_path, adapter)
    assert f"deep_energies/{killed_by}" in {r.test for r in report.failures}
    assert flag in [d.mistake for d in report.diagnosis[:3]], report.diagnosis[:5]


def test_a_mistake_in_the_second_route_is_not_written(monkeypatch):
    mp = encoding.precise()
    monkeypatch.setattr(deep_route.Route, "upsample", lambda self, layer, x: [[row + row for row in c + c] for c in x])
    with pytest.raises(ArithmeticError, match="deep_forward"):
        deep_vectors.layer_tests(mp, fx.sized("upsample", 2), (1, 2, 2), [])
