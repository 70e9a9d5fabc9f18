// Answers a budget in MACs from a parsed formula file (schema planner-formula/1), in a browser or in node: the widest
// network that the budget affords at the formula's resolution and depth, before any nudge (solver.js makes those), as
// { c, r, d, w, resolution, macs, stem, widths, depths, head }. A GhostNet's file does not say its MACs: w is null.
function evaluate(formula, budget) {
  const { c, r, d, resolution, branch, build } = evaluate.network(formula, budget);
  let low = 0.001, high = [1, 2, 4, 8, 16, 32].find((w) => build(w).macs > budget) ?? 64;
  for (let i = 0, w; i < 40; i++) build((w = Math.sqrt(low * high))).macs <= budget ? (low = w) : (high = w);
  return { c, r, d, w: branch.parts.length ? low : null, resolution, ...build(low) };
}
// The best network within a budget by all that the trainings taught, as a rung of the formula's ladder
// { macs, resolution, stem, widths, depths, head, accuracy, lower, upper }; null where there is none so cheap.
evaluate.answer = ({ ladder = [] }, budget) => {
  let [low, high] = [-1, ladder.length];
  for (let i; (i = (low + high) >> 1) > low; ) ladder[i].macs <= budget ? (low = i) : (high = i);
  return ladder[low] ?? null;
};
// What the formula says of a budget, and how to build and count from it.
evaluate.network = ({ base, branches }, budget) => {
  const even = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
  const round = { even, up: Math.ceil, down: (x) => Math.floor(x + 1e-9), nearest: (x) => Math.floor(x + 0.5) };
  const grouped = (n, group) => (n < group ? n : group * even(n / group));
  // The integer that a product becomes.
  const whole = (times, how, exact = times * how.base, n = how.divisor * round[how.rounding](exact / how.divisor)) =>
    grouped(Math.min(Math.max(n + (n < how.guard * exact ? how.divisor : 0), how.least), how.most), how.group);
  // The curve of r or d, on its own scale.
  const mean = ({ inputs, alpha, ...one }, c, x = one.input_scale === "log" ? Math.log(c) : c) =>
    one.offset + one.slope * x + (one.prior ? one.prior_weight * mean(one.prior, c) : 0) +
    one.variance * inputs.reduce((sum, p, i) => sum + alpha[i] * Math.exp(-(((x - p) / one.length_scale) ** 2) / 2), 0);
  const c = budget / base.macs, branch = branches[c <= 1 ? "shrink" : "enlarge"] ?? Object.values(branches)[0];
  const [r, d] = [branch.r, branch.d].map((one) => (one.output_scale === "log" ? Math.exp : Number)(mean(one, c)));
  const { parts } = branch, resolution = whole(r, branch.resolution), depths = parts.map((one) => whole(d, one.depth));
  const channelsAt = (w) => parts.map((part) => whole(w, part.width));
  // Stem, stages and head at a width, and their exact MACs; at another side or with other channels where given.
  const build = (w, side = resolution, widths = channelsAt(w)) => {
    let macs = 0, size = { c_out: 3 };
    for (const [i, { blocks }] of parts.entries()) for (let block = 0; block < depths[i]; block++) {
      const { stride, padding, channels, layers } = blocks[Math.min(block, blocks.length - 1)], before = side ** 2;
      side = Math.floor((side + padding) / stride);
      size = { before, after: side ** 2, c_in: size.c_out, c_out: widths[i], changed: +(size.c_out !== widths[i]) };
      for (const one of channels) size[one.name] = whole(size[one.of], one);
      for (const layer of layers) macs += layer.reduce((product, factor) => product * (size[factor] ?? factor), 1);
    }
    return { macs, stem: widths[0], widths: widths.slice(1, -1), depths: depths.slice(1, -1), head: widths.at(-1) };
  };
  return { c, r, d, resolution, branch, whole, channelsAt, build };
};
if (typeof module !== "undefined") module.exports = { evaluate };
