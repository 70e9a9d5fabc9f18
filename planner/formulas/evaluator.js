// Answers a budget in MACs from a parsed formula file (schema planner-formula/1), in a browser or in node: the widest
// network that the budget affords at the formula's resolution and depth, before any nudge (solver.js makes those), as
// { c, r, d, w, resolution, macs, stem, widths, depths, head }. A file that does not say the network's MACs, as a
// GhostNet's: w is null.
function evaluate(formula, budget) {
  const { c, r, d, resolution, parts, build } = evaluate.network(formula, budget);
  let low = 0.001, high = [1, 2, 4, 8, 16, 32].find((w) => build(w).macs > budget) ?? 64;
  for (let i = 0, w; i < 40; i++) build((w = Math.sqrt(low * high))).macs <= budget ? (low = w) : (high = w);
  return { c, r, d, w: parts.length ? low : null, resolution, ...build(low) };
}
// The best network within a budget by all that the trainings taught, as a rung of the formula's ladder
// { macs, resolution, stem, widths, depths, head, accuracy, lower, upper }; null where there is none so cheap.
evaluate.answer = ({ ladder = [] }, budget) => {
  let [low, high] = [-1, ladder.length];
  for (let i; (i = (low + high) >> 1) > low; ) ladder[i].macs <= budget ? (low = i) : (high = i);
  return ladder[low] ?? null;
};
// The exact MACs of a network { resolution, widths, depths, knobs } by the file's counts; or what else is wanted of it.
evaluate.count = ({ base, classes }, { resolution, widths, depths, knobs = {} }, wanted = null) => {
  const { counts } = base.network, done = [];
  const untried = (x) => { throw new RangeError(`${x} was never tried for this network; ask planner predict`); };
  const floor = (a, b) => Math.floor(a / b), rest = (a, b) => a - b * floor(a, b);
  const kinds = {
    "+": (...all) => all.reduce((a, b) => a + b), "*": (...all) => all.reduce((a, b) => a * b), "-": (a, b) => a - b,
    "//": floor, "%": rest, max: Math.max, min: Math.min,
    "==": (a, b) => +(a === b), "!=": (a, b) => +(a !== b), "<": (a, b) => +(a < b), ">=": (a, b) => +(a >= b),
    round: (x, n, m, q = floor(x * n, m), left = 2 * rest(x * n, m)) => q + (left > m || (left === m && q % 2 !== 0)),
    divisible: (x, n, m, k, guard, q = Math.max(k * floor(2 * x * n + m * k, 2 * m * k), k)) =>
      q + (guard && 10 * m * q < 9 * x * n ? k : 0),
    cycle: (x, values) => values[rest(x, values.length)],
    table: (x, keys, values) => values[keys.indexOf(x)] ?? untried(x),
  };
  const value = (of, known) => {
    if (!Array.isArray(of)) return typeof of === "string" ? known[of] : of;
    const [kind, ...parts] = of, lists = kind === "table" || kind === "cycle";
    if (kind === "cell") return (done[parts[0]] ??= value(counts.cells[parts[0]], known));
    if (kind !== "sum") return kinds[kind](...parts.map((one, i) => (lists && i ? one : value(one, known))));
    let sum = 0;
    for (let index = value(parts[0], known), last = value(parts[1], known); index <= last; index++)
      sum += value(parts[2], { ...known, index });
    return sum;
  };
  const given = { resolution, classes }, columns = Object.entries({ width: widths, depth: depths, ...knobs });
  for (const [name, values] of columns) values.forEach((one, i) => { given[`${name}_${i + 1}`] = one; });
  const followed = Object.entries(counts.follows).map(([name, how]) => [name, value(how, given)]);
  return value(wanted ?? ["+", ...counts.parts.map(({ macs }) => macs)], { ...Object.fromEntries(followed), ...given });
};
// What the formula says of a budget, and how to build and count from it.
evaluate.network = (formula, budget) => {
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
  const { branches } = formula, c = budget / formula.base.macs;
  const branch = branches[c <= 1 ? "shrink" : "enlarge"] ?? Object.values(branches)[0];
  const [r, d] = [branch.r, branch.d].map((one) => (one.output_scale === "log" ? Math.exp : Number)(mean(one, c)));
  const resolution = whole(r, branch.resolution), parts = branch.parts.length ? branch.parts : branch.sizes ?? [];
  const depths = parts.map((one) => whole(d, one.depth));
  const channelsAt = (w) => parts.map((part) => whole(w, part.width));
  // Stem, stages and head at a width, and their exact MACs; at another side or with other channels where given.
  const build = (w, side = resolution, widths = channelsAt(w)) => {
    const shape = { stem: widths[0], widths: widths.slice(1, -1), depths: depths.slice(1, -1), head: widths.at(-1) };
    if (branch.sizes) return { macs: evaluate.count(formula, { ...shape, resolution: side }), ...shape };
    let macs = 0, size = { c_out: 3 };
    for (const [i, { blocks }] of parts.entries()) for (let block = 0; block < depths[i]; block++) {
      const { stride, padding, channels, layers } = blocks[Math.min(block, blocks.length - 1)], before = side ** 2;
      side = Math.floor((side + padding) / stride);
      size = { before, after: side ** 2, c_in: size.c_out, c_out: widths[i], changed: +(size.c_out !== widths[i]) };
      for (const one of channels) size[one.name] = whole(size[one.of], one);
      for (const layer of layers) macs += layer.reduce((product, factor) => product * (size[factor] ?? factor), 1);
    }
    return { macs, ...shape };
  };
  return { c, r, d, resolution, branch, parts, whole, channelsAt, build };
};
if (typeof module !== "undefined") module.exports = { evaluate };
