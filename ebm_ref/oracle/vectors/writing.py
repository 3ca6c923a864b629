"""The files: what is in them, and how they are put on disk with the same bytes each time."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ebm_ref.oracle.vectors import (
    boltzmann_vectors,
    deep_vectors,
    grbm_vectors,
    langevin_vectors,
    learning_vectors,
    philox_vectors,
    rbm_vectors,
)
from ebm_ref.oracle.vectors.encoding import precise
from ebm_ref.oracle.vectors.notes import notes_for

HERE = Path(__file__).parent
FORMAT = "ebm-ref-vectors/1"
VERSION = "2026.1"  # the calendar version of the vectors: a released file never changes, new ones get a new version
CONTINUOUS_VERSION = "2026.2"
DEEP_VERSION = "2026.3"
METHOD = (
    "mpmath at 60 digits by two routes that share no formula (sums over the table of all joint weights; factorised"
    " formulas,"
    " paths summed one by one, finite differences at 200 digits), which agree to 1e-40 of the scale"
)
SHARED = {
    "numbers": "C99 hex floats: parse exactly; nan, inf and -inf only in inputs that must be refused",
    "decimal": "the exact value to 30 digits; f64 is that value rounded to nearest",
    "test_ratio": "right if |answer - f64| <= tolerance.test_ratio * 2^-53 * scale; a scalar scale goes with every"
    " element",
    "condition": "largest scale / |value|, for reading",
    "result": "valid: must pass; acceptable: either outcome is right; invalid: must raise, or return NaN or null",
    "beta": "already inside the parameters (tempered)",
    "matrices": "transition matrices act on row vectors: entry [s][s'] is P(s -> s')",
    "spectral_gap": "1 - the largest modulus of the eigenvalues other than the eigenvalue 1",
    "log": "natural logarithms",
    "overrides": "an input with a member named model replaces the group's model",
}
RBM = {
    "energy": "-x'Wh - a'x - b'h",
    "units": "01",
    "W_layout": "[n_visible, n_hidden] row-major",
    "state_index": "sum_i x_i 2^i, visible units first",
    "free_energy": "-log sum_h exp(-energy); hidden_free_energy: -log sum_x exp(-energy)",
    "gradient": "ascent of the mean log-likelihood over the rows; flat: W row by row, then a, then b",
    "kernels": "block_gibbs: h' ~ p(.|x), then x' ~ p(.|h'); gibbs: one site after the other, hidden units first,"
    " then visible;"
    " gibbs_random: one uniformly chosen site; gibbs_palindromic: the scan there and back; metropolis: one"
    " uniformly proposed flip",
    "gibbs_trace": "h'_j = 1 if u_h[t][j] < sigmoid(b + xW)_j, then x'_i = 1 if u_x[t][i] < sigmoid(a + Wh')_i;"
    " rows [x', h']",
    "cd": "S(x_0) - S(x_k), S(x) = [x p(h|x)^T, x, p(h|x)] flat as the gradient; mean over the rows, each used once",
    "ais": "log p*_t(x,h) = ((1-t) base + t a).x + t (b.h + x'Wh); x_1 ~ Bernoulli(sigmoid(base)); w = prod_k"
    " p*_{t_k}(x_k) /"
    " p*_{t_(k-1)}(x_k) with p*_t(x) summed over h; x_(k+1) from one block Gibbs sweep h, x at t_k",
    "log_z_estimate": "log_z_base + log of the mean of exp(log_weights)",
}
BOLTZMANN = {
    "energy": "-s'Js/2 - c's, J symmetric with zero diagonal",
    "units": "01",
    "state_index": "sum_i s_i 2^i",
    "gradient": "ascent of the mean log-likelihood over the rows; flat: J_ij for i < j row by row (J_ij and J_ji"
    " moved together), then c",
    "kernels": "gibbs: units 0, 1, ..., n-1 one after the other; gibbs_random, gibbs_palindromic, metropolis as for"
    " the RBM",
}
NUMBERS = {key: SHARED[key] for key in ("numbers", "decimal", "test_ratio", "condition", "result", "log", "overrides")}
GRBM_METHOD = (
    "mpmath at 60 digits by two routes that share no formula (the mixture found by completing the square, with Bayes'"
    " rule; the energy as defined, with softplus, the trapezoidal rule and finite differences at 200 digits), which"
    " agree to 1e-40 of the scale"
)
GRBM = {
    "energy": "sum (v-mu)^2/(2 s2) - (v/s2)'Wh - b'h, s2 = exp(log_var) by visible unit; v real, h 01",
    "W_layout": "[n_visible, n_hidden] row-major",
    "state_index": "of hidden states: sum_j h_j 2^j; lists over all h, mixture weights too, are in this order",
    "quantities": "all begin with grbm_; data: rows of v; known: 1 where the visible unit is given",
    "free_energy": "-log sum_h exp(-energy); hidden_free_energy: -log of the integral of exp(-energy) over v",
    "score": "minus the derivative by v: of the free energy; score_given_hidden: of the energy",
    "energy_gradient": "derivatives of the energy, flat: W row by row, then mu, log_var, b",
    "log_likelihood_gradient": "ascent of the mean over the rows; flat as the gradient of the energy",
    "hidden_machine": "p(h) is proportional to exp(h'Jh/2 + c'h): couplings J (zero diagonal), fields c",
    "scaled": "sum (v-mu)^2/(2 sigma^2) - (v/sigma)'W'h - b'h; gradients of it hold W', not W, when sigma moves",
    "centred": "sum (v-mu)^2/(2 s2) - ((v-mu)/s2)'Wh - b'h",
    "natural": "sum gamma v^2/2 - theta'v - v'W'h - b'h + constant",
}
LANGEVIN_METHOD = (
    "mpmath at 60 digits by two routes that share no formula (densities of the proposals written out, moves one by"
    " one, the Lyapunov equation by doubling; simplified closed forms, eigenvalues, gradients by finite differences at"
    " 200 digits), which agree to 1e-40 of the scale"
)
LANGEVIN = {
    "target": "exp(-E(x)/T); E by the model's arrays. mean, precision: (x-m)'P(x-m)/2; quartic a, quadratic b,"
    " linear c: sum a x^4/4 - b x^2/2 - c x; W, mu, log_var, b: the free energy of gaussian_bernoulli_rbm.json",
    "move": "x' = x - lam g + sqrt(2 lam T) z, g = dE/dx, lam = step_size (a number for each coordinate),"
    " T = temperature",
    "ula_trace": "the states after the moves with the normals z[0], z[1], ...",
    "mala_log_proposal": "log density of proposal under one move from x, with its constant",
    "mala_log_ratio": "log pi(x') q(x|x') - log pi(x) q(x'|x), x' = proposal, not cut off at 0",
    "mala_trace": "as ula_trace; x' is accepted if u[t] < exp(log ratio), else x stays",
    "ula_law": "ula_mean, ula_covariance: after k moves from x; stationary; bias: minus T P^-1; KL: of the stationary"
    " law from the target, in nats",
    "sampled_temperature": "of x' = x - lam g + s z, lam = step_size, s = noise",
    "leapfrog": "n_leapfrog times p <- p - e g/(2T), x <- x + e p, p <- p - e g/(2T), e = step_size; the end point",
    "hmc_log_ratio": "H(x, p) - H at the end point, H = E/T + |p|^2/2",
    "gibbs_langevin": "inner moves v <- v - eta (v-m(h))/s2 + sqrt(2 eta) z, eta = step_sizes[0], [1], ...:"
    " v' ~ N(rho v + (1-rho) m(h), tau2), then h' ~ p(.|v'); ratio pi(v',h') q(back) / (pi(v,h) q(there)), in logs",
}
DEEP_METHOD = (
    "mpmath at 60 digits by two routes that share no formula (sums over windows, the chain rule run back over dual"
    " numbers; scattered sums, other identities for every layer and form, differences at 200 digits), which agree to"
    " 1e-40 of the scale"
)
DEEP = {
    "model": "layers one after the other; images [channel][row][column], x of one sample unless it is called data",
    "linear": "y_j = b_j + sum_i x_i W_ij; spectral_linear: the same with W/(u'Wv), u and v constants",
    "conv": "y[o][i][j] = b_o + sum_(c,k,l) W[o][c][k][l] x[c][s i + k - p][s j + l - p], 0 outside; s stride, p"
    " padding",
    "conv_transpose": "y[o][s i + k - p][s j + l - p] collects W[c][o][k][l] x[c][i][j], plus b_o; a side becomes"
    " (side - 1) s - 2 p + kernel + output_padding",
    "group_norm": "gain_c (x - m)/sqrt(var + eps) + shift_c, m and var (divided by the count) over a group of channels",
    "activation": "silu z/(1 + e^-z); softplus log(1 + e^z); tanh; elu z or alpha(e^z - 1); leaky_relu z or alpha z",
    "pooling": "means, largest numbers (a tie goes to the first, row by row) and copies of blocks of size x size",
    "branches": "concat: channels of x, then those of the branch; residual: x + branch(x)",
    "energy": "scale e + |x|^2/(2 base^2), base 0 for none; inner x.f, residual |x - f|^2, square |f|^2, scalar f,"
    " marginal -log sum_y e^(f_y), joint -f_y with y the label",
    "parameters": "flat: layer by layer, W row by row and then b, or gain and then shift; branches in their place",
    "vjp": "J'y_bar and d<y_bar, f>/dtheta; jvp: J x_dot; rvjp: tangents of the vjp when x moves along x_dot and y_bar"
    " along y_bar_dot, parameters held",
    "second": "hessian_vector: (d^2E/dx^2) u; mixed_product: d(r.dE/dx)/dtheta, r held",
    "denoising_gradient": "of the loss (sigma^2/2) mean |dE/dx(x + sigma z) - z/sigma|^2; descent is minus this",
}
PHILOX = {
    "words": "32-bit words as 8 hexadecimal digits, word 0 first; counter (4 words), key (2 words), output (4 words)",
    "result": "valid: must be equal",
}


def document(
    algorithm: str,
    schema: str,
    conventions: dict[str, str],
    method: str,
    groups: list[dict[str, Any]],
    version: str = VERSION,
) -> dict[str, Any]:
    """One file as a dictionary; ids must be unique within it."""
    ids = [test["tcId"] for group in groups for test in group["tests"]]
    if len(set(ids)) != len(ids):
        raise ArithmeticError(f"{algorithm}: a tcId is used twice")
    return {
        "format": FORMAT,
        "algorithm": algorithm,
        "schema": schema,
        "generator": {"name": "ebm_ref", "version": version, "method": method},
        "conventions": conventions,
        "notes": notes_for(groups),
        "numberOfTests": len(ids),
        "testGroups": [{**group, "source": {**group["source"], "version": version}} for group in groups],
    }


def documents() -> dict[str, dict[str, Any]]:
    """All files: name -> contents.  Takes some ten seconds."""
    mp = precise()
    rbm = rbm_vectors.groups(mp) + learning_vectors.groups(mp)
    machine = boltzmann_vectors.groups(mp)
    words = "two programs that share no line, and the known answers published with Random123"
    return {
        "bernoulli_rbm.json": document("bernoulli-rbm", "bernoulli_rbm_v1.json", {**RBM, **SHARED}, METHOD, rbm),
        "boltzmann_machine.json": document(
            "boltzmann-machine", "boltzmann_machine_v1.json", {**BOLTZMANN, **SHARED}, METHOD, machine
        ),
        "gaussian_bernoulli_rbm.json": document(
            "gaussian-bernoulli-rbm",
            "gaussian_bernoulli_rbm_v1.json",
            {**GRBM, **NUMBERS},
            GRBM_METHOD,
            grbm_vectors.groups(mp),
            CONTINUOUS_VERSION,
        ),
        "langevin.json": document(
            "langevin",
            "langevin_v1.json",
            {**LANGEVIN, **NUMBERS},
            LANGEVIN_METHOD,
            langevin_vectors.groups(mp),
            CONTINUOUS_VERSION,
        ),
        "deep_energies.json": document(
            "deep-energies",
            "deep_energies_v1.json",
            {**DEEP, **NUMBERS},
            DEEP_METHOD,
            deep_vectors.groups(mp),
            DEEP_VERSION,
        ),
        "philox4x32.json": document("philox4x32-10", "philox4x32_v1.json", PHILOX, words, philox_vectors.groups()),
    }


def as_text(contents: dict[str, Any]) -> str:
    """JSON with one line a test: small differences stay small in version control."""
    head = {key: value for key, value in contents.items() if key != "testGroups"}
    lines = [json.dumps(head, indent=1)[:-2] + ',\n "testGroups": [']
    for i, group in enumerate(contents["testGroups"]):
        members = {key: value for key, value in group.items() if key != "tests"}
        lines.append("  " + json.dumps(members)[:-1] + ', "tests": [')
        tests = group["tests"]
        lines += ["   " + json.dumps(test) + ("," if j + 1 < len(tests) else "") for j, test in enumerate(tests)]
        lines.append("  ]}" + ("," if i + 1 < len(contents["testGroups"]) else ""))
    return "\n".join([*lines, " ]", "}", ""])


def write(folder: str | Path) -> tuple[Path, ...]:
    """Write all golden vectors and their JSON Schemas into a folder; the same bytes on each call.

    Needs mpmath (extra ``test``); raises ``BackendError`` without it.  Raises ``ArithmeticError`` if two exact
    routes disagree. Files are written under a temporary name and renamed.  Returns the paths of the vector files.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, contents in documents().items():
        path = target / name
        temporary = path.with_suffix(".json.part")
        with open(temporary, "w", encoding="ascii", newline="\n") as stream:
            stream.write(as_text(contents))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        schema = target / str(contents["schema"])
        if schema.resolve() != (HERE / schema.name).resolve():
            shutil.copyfile(HERE / schema.name, schema)
        paths.append(path)
    return tuple(paths)
