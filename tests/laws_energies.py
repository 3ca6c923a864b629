"""What every deep energy must satisfy, written once; ``test_laws_bite_energies.py`` has a broken twin of each law."""

import numpy as np
from laws_layers import directions, generic, near, slope

import ebm_ref as er
from ebm_ref.models.record import constants, leaves, with_leaves

N = 4


def rows(model):
    """A generic batch."""
    return generic((N, model.n_visible), 31)


def plain_energy(model, x) -> float:
    """The equation of one row, from the output of the network."""
    f = model.network.forward(x[None])[0][0].tolist()
    base = 0.0 if model.base is None else sum(v * v for v in x) / (2 * model.base**2)
    if isinstance(model, er.JointEnergy):
        return base - np.log(sum(np.exp(v) for v in f))
    form = {
        "inner": lambda: sum(a * b for a, b in zip(x, f, strict=True)),
        "residual": lambda: sum((a - b) ** 2 for a, b in zip(x, f, strict=True)),
        "square": lambda: sum(b * b for b in f),
        "scalar": lambda: f[0],
    }
    return base + model.scale * form[model.form]()


# the laws -------------------------------------------------------------------------------------------------------------


def energy_is_the_equation(model) -> None:
    """Row by row, and the same for images."""
    x = rows(model)
    near(model.energy(x), [plain_energy(model, row) for row in x], 1e-12)
    assert np.array_equal(model.energy(x), model.energy(x.reshape(N, *model.network.input_shape)))


def score_is_the_derivative(model) -> None:
    """-dE/dx coordinate by coordinate."""
    x = rows(model)
    units = np.eye(model.n_visible)
    expected = np.stack([-slope(lambda e, u=u: model.energy(x + e * u)) for u in units], axis=1)
    near(model.score(x), expected, 1e-8)
    energy, score = model.energy_and_score(x)
    assert np.array_equal(score, model.score(x))
    near(energy, model.energy(x), 1e-14)


def energy_gradient_is_the_derivative(model) -> None:
    """Along a direction in each leaf, rows weighted."""
    x, w = rows(model), generic((N,), 32)
    gradient = model.energy_gradient(x, w)
    assert type(gradient) is type(model)
    for name, d in directions(model).items():
        along = lambda e, name=name, d=d: w @ shifted(model, name, e * d).energy(x)  # noqa: E731
        near((leaves(gradient)[name] * d).sum(), slope(along), 1e-7)


def hessian_vector_is_the_tangent_of_the_gradient(model) -> None:
    """Hu against differences of the score, and <v, Hu> = <u, Hv>."""
    x, u, v = rows(model), generic((N, model.n_visible), 33), generic((N, model.n_visible), 34)
    got = model.hessian_vector(x, u)
    near(got, -slope(lambda e: model.score(x + e * u)), 1e-7)
    left, right = (v * got).sum(axis=1), (u * model.hessian_vector(x, v)).sum(axis=1)
    assert np.all(np.abs(left - right) <= 1e-11 * np.linalg.norm(got) * np.linalg.norm(v))


def mixed_product_is_the_derivative(model) -> None:
    """d/dtheta of sum_n w_n r_n.dE/dx(x_n), along a direction in each leaf."""
    x, r, w = rows(model), generic((N, model.n_visible), 35), generic((N,), 36)
    got = model.mixed_product(x, r, w)
    assert type(got) is type(model)
    scale = max(np.linalg.norm(leaf) for leaf in leaves(got).values())
    for name, d in directions(model).items():
        along = lambda e, name=name, d=d: -w @ (r * shifted(model, name, e * d).score(x)).sum(axis=1)  # noqa: E731
        assert abs((leaves(got)[name] * d).sum() - slope(along)) <= 1e-7 * scale * np.linalg.norm(d)


def score_matching_gradient_is_the_derivative(model) -> None:
    """d/dtheta of sum_n w_n/2 |score(x_n) - t_n|^2, along a direction in each leaf."""
    x, t, w = rows(model), generic((N, model.n_visible), 38), generic((N,), 39)
    got = model.score_matching_gradient(x, t, w)
    assert type(got) is type(model)
    scale = max(np.linalg.norm(leaf) for leaf in leaves(got).values())
    for name, d in directions(model).items():
        away = lambda e, name=name, d=d: shifted(model, name, e * d).score(x) - t  # noqa: E731
        along = lambda e, away=away: w @ (away(e) ** 2).sum(axis=1) / 2  # noqa: E731
        assert abs((leaves(got)[name] * d).sum() - slope(along)) <= 1e-7 * scale * np.linalg.norm(d)


def single_precision_agrees(model) -> None:
    """The float32 network gives float64 numbers close to those of the float64 one."""
    x, small = rows(model), model.astype("float32")
    for got, expected in zip(small.energy_and_score(x), model.energy_and_score(x), strict=True):
        assert got.dtype == np.float64
        near(got, expected, 1e-5)
    r = generic(x.shape, 37)
    gradients = (
        (small.energy_gradient(x), model.energy_gradient(x)),
        (small.mixed_product(x, r), model.mixed_product(x, r)),
    )
    for got, expected in gradients:
        for mine, wanted in zip(leaves(got).values(), leaves(expected).values(), strict=True):
            assert mine.dtype == np.float32
            near(mine, wanted, 1e-4)


def shifted(model, name: str, change):
    """The model with one leaf moved."""
    return with_leaves(model, leaves(model) | {name: leaves(model)[name] + change})


ENERGY_LAWS = (
    energy_is_the_equation,
    score_is_the_derivative,
    energy_gradient_is_the_derivative,
    hessian_vector_is_the_tangent_of_the_gradient,
    mixed_product_is_the_derivative,
    score_matching_gradient_is_the_derivative,
    single_precision_agrees,
)


def a_file_keeps_every_bit(model, folder) -> None:
    """save, then load: the same type, the same bits, in both precisions."""
    for precision in ("float64", "float32"):
        kept = model.astype(precision)
        kept.save(folder / "model.npz")
        back = er.load(folder / "model.npz")
        assert type(back) is type(model)
        for arrays in (leaves, constants):
            assert list(arrays(back)) == list(arrays(kept))
            for name, leaf in arrays(kept).items():
                assert arrays(back)[name].dtype == leaf.dtype
                assert arrays(back)[name].tobytes() == leaf.tobytes()
        assert np.array_equal(back.energy(rows(model)), kept.energy(rows(model)))
