"""Networks of PyTorch and JAX as energies that ``check_energy`` and ``check_gradient`` take, one line each.

``torch_energy(module)`` and ``jax_energy(f, parameters)`` return a NetworkFunctions: energy(x), gradient(x) and
parameter_gradient(x, weights), NumPy in and NumPy out, in the precision that the network computes in.  The gradients
are the framework's own automatic ones; code that derives its gradients by hand is given to the checks as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ebm_ref.errors import ShapeError
from ebm_ref.oracle.adapters.callables import _framework
from ebm_ref.oracle.deep.cases import NetworkCase

Array = np.ndarray


@dataclass(frozen=True)
class NetworkFunctions:
    """An energy and its gradients on NumPy arrays; x (n, ...) in the network's own shape, a class y (n,) after it.

    energy(x) (n,), gradient(x) in the shape of x, parameter_gradient(x, weights): sum_n weights_n dE(x_n)/dtheta.
    """

    energy: Callable[..., Array]
    gradient: Callable[..., Array]
    parameter_gradient: Callable[..., list[Array]]


def torch_energy(
    module: Any, dtype: str = "float32", device: str = "cpu", case: NetworkCase | None = None
) -> NetworkFunctions:
    """``module(x) -> (n,)`` or (n, 1), an energy as a ``torch.nn.Module``, in evaluation mode or not: as it is.

    case: its weights are copied into the module's parameters, in their order; those of ``torch.nn.Linear``, which are
    transposed, are turned, and turned back in parameter gradients.  Raises ShapeError where they do not fit.
    """
    torch = _framework("torch")
    module = module.to(device=device, dtype=getattr(torch, dtype))
    turned = {id(m.weight) for m in module.modules() if isinstance(m, torch.nn.Linear)}
    parameters = list(module.parameters())
    if case is not None:
        _load(torch, parameters, turned, case)

    def tensors(arrays: tuple[Array, ...]) -> list[Any]:
        x, *labels = arrays
        given = torch.tensor(np.asarray(x), dtype=getattr(torch, dtype), device=device, requires_grad=True)
        return [given, *(torch.tensor(np.asarray(y), device=device) for y in labels)]

    def of(given: list[Any]) -> Any:
        answer = module(*given)
        return answer.squeeze(1) if answer.ndim == 2 and answer.shape[1] == 1 else answer

    def energy(*arrays: Array) -> Array:
        with torch.no_grad():
            return of(tensors(arrays)).cpu().numpy()

    def gradient(*arrays: Array) -> Array:
        given = tensors(arrays)
        return torch.autograd.grad(of(given).sum(), given[0])[0].cpu().numpy()

    def parameter_gradient(*arrays: Array) -> list[Array]:
        *given, weights = arrays
        w = torch.tensor(np.asarray(weights), dtype=getattr(torch, dtype), device=device)
        slopes = torch.autograd.grad((w * of(tensors(tuple(given)))).sum(), parameters, allow_unused=True)
        found = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, slopes, strict=True)]
        return [(g.T if id(p) in turned else g).cpu().numpy() for p, g in zip(parameters, found, strict=True)]

    return NetworkFunctions(energy, gradient, parameter_gradient)


def _load(torch: Any, parameters: list[Any], turned: set[int], case: NetworkCase) -> None:
    """The weights of the case into the module's parameters."""
    if len(parameters) != len(case.parameters):
        raise ShapeError(f"module: expected {len(case.parameters)} parameters for {case.name}, got {len(parameters)}")
    for name, array, parameter in zip(case.parameter_names, case.parameters, parameters, strict=True):
        values = array.T if id(parameter) in turned else array
        if tuple(parameter.shape) != values.shape:
            raise ShapeError(f"module: expected {values.shape} for {name}, got {tuple(parameter.shape)}")
        with torch.no_grad():
            parameter.copy_(torch.tensor(np.array(values)))


def jax_energy(f: Callable[..., Any], parameters: Any, dtype: str = "float32") -> NetworkFunctions:
    """``f(parameters, x) -> (n,)`` with parameters a pytree of arrays, such as ``case.parameters``; jitted here.

    float64 needs ``jax.config.update("jax_enable_x64", True)``, which is yours to set.
    """
    jax = _framework("jax")
    cast = lambda a: jax.numpy.asarray(np.asarray(a), dtype=dtype)  # noqa: E731
    theta = jax.tree.map(cast, parameters)
    value = jax.jit(f)
    by_x = jax.jit(jax.grad(lambda x, theta, *labels: f(theta, x, *labels).sum()))
    by_theta = jax.jit(jax.grad(lambda theta, x, w, *labels: (w * f(theta, x, *labels)).sum()))

    def energy(x: Array, *labels: Array) -> Array:
        return np.asarray(value(theta, cast(x), *labels))

    def gradient(x: Array, *labels: Array) -> Array:
        return np.asarray(by_x(cast(x), theta, *labels))

    def parameter_gradient(x: Array, *rest: Array) -> list[Array]:
        *labels, weights = rest
        slopes = by_theta(theta, cast(x), cast(weights), *labels)
        return [np.asarray(g) for g in jax.tree.leaves(slopes)]

    return NetworkFunctions(energy, gradient, parameter_gradient)
