"""Everything about a small RBM, exactly: log Z by three routes, moments, entropy, mixing."""

import ebm_ref as er

model = er.RBM.random(n_visible=12, n_hidden=8, scale=0.8, seed=1)

print(model)
for method in ("vectorized", "gray", "product"):
    print(f"log Z, {method:10}  {er.exact.log_partition(model, method=method):.13f} nats")

moments = er.exact.moments(model)
print("E[x]           ", moments.x.round(3))
print(f"entropy         {er.exact.entropy(model):.6f} of at most {0.6931471805599453 * model.n_units:.6f} nats")

x, h = er.exact.joint_map(model)
print("most probable  ", x.astype(int), h.astype(int))

small = er.RBM.random(n_visible=5, n_hidden=4, scale=1.5, seed=2)
pi = er.exact.joint_probabilities(small)
for name, sampler in (("block Gibbs", er.block_gibbs(small)), ("Metropolis", er.metropolis(small))):
    P = er.exact.transition_matrix(sampler)
    print(f"{name:12} spectral gap {er.exact.spectral_gap(P, pi):.4f}, reversible: {er.exact.is_reversible(P, pi)}")

data, _ = er.exact.sample(model, 1000, seed=0)
print(f"log-likelihood of 1000 exact samples: {er.exact.log_likelihood(model, data):.4f} nats per row")
