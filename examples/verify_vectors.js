// Checks an RBM written in JavaScript against golden vectors: node verify_vectors.js bernoulli_rbm.json
// Here are the formulas, a hex-float parser, the test ratio.  Exit status 0: all holds, 1: not, 3: nothing but skipped.
const fs = require("fs");
const number = (text) => {                                     // "-0x1.8p+3", exactly
  const m = /^(-?)0x([01])\.?([0-9a-f]*)p([+-]\d+)$/.exec(text);
  if (!m) return { nan: NaN, inf: Infinity, "-inf": -Infinity }[text];
  const mantissa = Number(BigInt("0x" + m[2] + m[3].padEnd(13, "0"))), power = Number(m[4]) - 52;
  const half = Math.trunc(power / 2);                          // two factors, so that subnormal numbers survive
  return (m[1] ? -1 : 1) * mantissa * 2 ** half * 2 ** (power - half);
};
const numbers = (v) => (Array.isArray(v) ? v.map(numbers) : typeof v === "string" ? number(v) : v);
const sum = (v) => v.reduce((s, t) => s + t, 0);
const dot = (p, q) => sum(p.map((v, i) => v * q[i]));
const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
const sigmoid = (z) => (z < 0 ? Math.exp(z) / (1 + Math.exp(z)) : 1 / (1 + Math.exp(-z)));
const logSumExp = (v) => { const top = Math.max(...v); return top + Math.log(sum(v.map((t) => Math.exp(t - top)))); };
const states = (n) => [...Array(2 ** n).keys()].map((s) => [...Array(n).keys()].map((i) => (s >> i) & 1));
const transpose = (W) => W[0].map((_, j) => W.map((row) => row[j]));
const length = (v, n) => { if (v.length !== n) throw new RangeError("length"); return v; };
const hiddenLogits = ({ W, a, b }, x) => transpose(W).map((w, j) => b[j] + dot(w, length(x, a.length)));
const visibleLogits = ({ W, a, b }, h) => W.map((w, i) => a[i] + dot(w, length(h, b.length)));
const energy = (m, x, h) => -dot(length(x, m.a.length), visibleLogits(m, h)) - dot(m.b, h);
const freeEnergy = (m, x) => -dot(m.a, x) - sum(hiddenLogits(m, x).map(softplus));
const swap = ({ W, a, b }) => ({ W: transpose(W), a: b, b: a });

const answers = {                                              // of "bernoulli-rbm"
  energy: (m, { x, h }) => energy(m, x, h),
  energies: (m) => states(m.b.length).flatMap((h) => states(m.a.length).map((x) => energy(m, x, h))),
  free_energy: (m, { x }) => freeEnergy(m, x),
  free_energies: (m) => states(m.a.length).map((x) => freeEnergy(m, x)),
  hidden_free_energies: (m) => states(m.b.length).map((h) => freeEnergy(swap(m), h)),
  hidden_probabilities: (m, { x }) => hiddenLogits(m, x).map(sigmoid),
  visible_probabilities: (m, { h }) => visibleLogits(m, h).map(sigmoid),
  log_z: (m) => logSumExp(states(m.a.length).map((x) => -freeEnergy(m, x))),
};
const decode = (record) => Object.fromEntries(Object.entries(record).map(([k, v]) => [k, numbers(v)]));
const { algorithm, testGroups } = JSON.parse(fs.readFileSync(process.argv[2]));
const count = { hold: 0, fail: 0, skipped: {} };
for (const group of testGroups)
  for (const test of group.tests) {
    const { quantity, input: { model = group.model, ...input } } = test;
    const answer = algorithm === "bernoulli-rbm" && answers[quantity];
    if (!answer) { count.skipped[quantity] = 1 + (count.skipped[quantity] ?? 0); continue; }
    let got = [NaN], right;
    try {                                                      // an input refused: got stays NaN
      const m = decode(model);
      length(m.W, m.a.length).forEach((row) => length(row, m.b.length));
      if (![m.W, m.a, m.b].flat(2).every(Number.isFinite)) throw new RangeError("not finite");
      got = [answer(m, decode(input))].flat();
    } catch {}
    const want = [numbers(test.expected?.f64)].flat(), scale = [test.expected?.scale].flat();
    const near = (v, i) => Math.abs(v - want[i]) <= test.tolerance.test_ratio * 2 ** -53 * scale[i % scale.length];
    if (test.result === "invalid") right = !got.every(Number.isFinite);
    else right = got.length === want.length && got.every(near);
    count[right ? "hold" : "fail"]++;
    if (!right) console.log(`tcId ${test.tcId} ${quantity} (${test.comment}): got ${got}; hunts ${test.flags}`);
  }
console.log(count);
process.exitCode = count.fail ? 1 : count.hold ? 0 : 3;
