// Answers a budget in MACs as `planner predict` does, within 1 % of it: the keys of `evaluate` (evaluator.js, which
// stands before this file in a page) and pixels_nudged, stage_nudged, channels_nudged; r is the answer's side over the
// base network's. The steps and their order are those of sampler/solve.py. Where the planner refuses, a RangeError says
// why in one line. A GhostNet's file does not say its MACs: w is null, and nothing is nudged. A network with steps of its
// own (rule multiples:..) never passes the budget; where no width comes within 1 %, the planner moves further whole numbers, and
// this gives the dearest that one width, one stage and the resolution reach, with `coarse` true.
function solve(formula, budget) {
  const reader = typeof evaluate === "undefined" ? require("./evaluator.js").evaluate : evaluate;
  for (const { r, d } of Object.values(formula.branches)) for (const { kernel = "rbf" } of [r, d]) if (kernel !== "rbf")
    throw new RangeError(`curves of kind ${kernel} are unknown here; ask planner predict`);
  const { c, r, d, resolution, branch, parts, whole, channelsAt, build } = reader.network(formula, budget);
  const { resolution: { least: stride, most: MAX_PIXELS } } = branch, half = Math.max(Math.floor(stride / 2), 1);
  const NARROWEST = 0.001, WIDEST = 64, HALVINGS = 40, NEAR = 0.08, FAR = 0.5, STEP_PENALTY = 0.05, TOLERANCE = 0.01;
  const MAX_MULTIPLIER = 1000, { stages, counts, rule } = formula.base.network;
  const own = rule.startsWith("multiples:"), pace = own ? branch.resolution.divisor : 1;
  const grouped = (n) => n.toLocaleString("en-US", { maximumFractionDigits: 0 });
  // As Python's %g.
  const digits = (n, some) => {
    const [number, power] = n.toPrecision(some).split("e");
    return String(Number(number)) + (power ? `e${power[0]}${power.slice(1).padStart(2, "0")}` : "");
  };

  const refuse = (why) => { throw new RangeError(why); };
  const tooMany = () => refuse("such a network needs more than 2^62 MACs; check the resolution, widths and depths given");
  // A number held back at the largest there may be would make another network.
  const checkRange = (name, times, how) => {
    const n = whole(times, { ...how, most: Infinity });
    if (how.least < how.most && n > how.most) refuse(`${name} must be between 1 and ${how.most}, got ${n}`);
  };
  const check = () => {
    for (const [name, one] of [["resolution", r], ["depth", d]]) if (!(one > 0 && one <= MAX_MULTIPLIER))
      refuse(`the ${name} multiplier must lie in (0, ${MAX_MULTIPLIER}], got ${digits(one, 6)}`);
    checkRange("resolution", r, branch.resolution);
    for (const part of parts) checkRange("depths", d, part.depth);
  };
  // The planner's own bound of what 64 bits hold.
  const checkCountable = (side, { macs, widths, stem, depths, head }) => {
    if (counts) {
      const bound = 1.01 * macs + 8 * reader.count(formula, { resolution: side, widths, depths }, counts.alive);
      if (bound > 2 ** 62) tooMany();
      return;
    }
    const widest = Math.max(stem, ...widths), blocks = Math.max(...depths) * stages.length;
    const expansion = Math.max(1, ...stages.flatMap((one) => [one.expansion, ...one.expansions]));
    const bound = Math.max(4 * expansion, 18) * widest * (widest + 49) * blocks * side ** 2 + head * widest * side ** 2;
    if (bound > 2 ** 62) tooMany();
  };
  // The smallest side needs the widest network.
  const checkWidest = (smallest, largest) => {
    for (let w = 1, one = null; one === null || one.macs <= budget; w *= 2) {
      if (w > WIDEST) refuse(`a budget of ${digits(budget, 4)} MACs is beyond any width; give a smaller one`);
      for (const part of parts) checkRange("widths", w, part.width);
      checkCountable(largest, (one = build(w, smallest)));
    }
    if (budget > Number.MAX_SAFE_INTEGER) refuse("so many MACs cannot be counted exactly here; give a smaller budget");
  };

  const at = (w, side, channels = channelsAt(w)) => ({ w, side, channels, ...build(w, side, channels) });
  // The networks on the two sides of the step at which a side's MACs pass the budget: below (0), above (1).
  const steps = (side) => {
    let low = at(NARROWEST, side), high = at(1, side);
    while (high.macs <= budget) high = at(2 * high.w, side);
    for (let i = 0; i < HALVINGS; i++) {
      const w = Math.sqrt(low.w * high.w), channels = channelsAt(w);
      const counted = [low, high].find((one) => one.channels.every((n, k) => n === channels[k]));
      const middle = counted ? { ...counted, w } : at(w, side, channels);
      middle.macs <= budget ? (low = middle) : (high = middle);
    }
    return [[0, low], [1, high]].filter(([above]) => above || low.macs <= budget);
  };
  // A network's channels with one stage wider or narrower by some divisors.
  const changed = ({ channels }, index, divisors) => {
    const { width } = parts[index], base = channels[index] + divisors * width.divisor;
    const n = whole(1, { ...width, base, divisor: 1, guard: 0 }); // at least the fewest, and whole groups
    return channels.map((one, k) => (k === index ? n : one));
  };

  let nearest = Infinity, dearest = null;
  // The sides within reach, the nearest first, and how far each is from the one asked for.
  const sidesWithin = (reach) => {
    const first = pace * Math.ceil(Math.max(stride, Math.trunc(resolution * (1 - reach))) / pace);
    const last = Math.min(Math.ceil(resolution * (1 + reach)), MAX_PIXELS);
    checkWidest(first, last);
    return Array.from({ length: Math.floor((last - first) / pace) + 1 }, (_, i) => first + pace * i).map((side) => {
      const passed = own ? 0 : Math.abs(Math.ceil(side / half) - Math.ceil(resolution / half));
      return [side, Math.abs(side - resolution) / resolution + STEP_PENALTY * passed];
    }).sort(([, one], [, other]) => one - other);
  };
  // The least moved network within the tolerance, at or below the budget rather than above it.
  const search = (reach) => {
    const best = [null, null];
    // Sides come in order: what moved further than one at or below the budget need not be counted.
    const hopeless = (far) => best[0] !== null && far > best[0].key[0];
    const take = (one, far, stage, ...rest) => {
      const error = one.macs / budget - 1, nudged = stage === null ? 0 : 1;
      const key = [far, nudged, Math.abs(error), stage, ...rest, one.side];
      if (Math.abs(one.macs - budget) < Math.abs(nearest - budget)) nearest = one.macs;
      if (error <= 0 && one.macs > (dearest?.macs ?? 0)) dearest = { ...one, stage, coarse: true };
      const ends = [error >= -TOLERANCE && error <= 0, !own && error >= 0 && error <= TOLERANCE];
      for (const [above, inside] of ends.entries()) {
        const other = best[above]?.key ?? [Infinity], place = key.findIndex((value, k) => value !== other[k]);
        if (inside && key[place] < other[place]) best[above] = { ...one, key, stage };
      }
    };
    for (const [side, far] of sidesWithin(reach)) {
      if (hopeless(far)) break;
      const plain = steps(side);
      for (const [above, one] of plain) take(one, far, null, 0, above);
      for (const [above, one] of plain) for (const stage of stages.keys()) for (const step of [-2, -1, 1, 2]) {
        const channels = changed(one, stage + 1, step), before = one.channels[stage + 1];
        const change = channels[stage + 1] - before, further = far + Math.abs(change) / before;
        if (change && !hopeless(further)) take({ ...at(one.w, side, channels), change }, further, stage, step, above);
      }
    }
    return best[0] ?? best[1];
  };

  const unmoved = { pixels_nudged: 0, stage_nudged: null, channels_nudged: 0 };
  if (!parts.length) return { ...reader(formula, budget), ...unmoved };
  check();
  const found = search(NEAR) ?? (own && dearest ? dearest : search(FAR));
  if (!found) {
    const asked = `${resolution} px and depth x${digits(d, 3)} costs ${grouped(budget)} MACs`;
    refuse(`no width at ${asked}; the nearest is ${grouped(nearest)} MACs; take another budget or resolution`);
  }
  const { w, side, macs, stem, widths, depths, head, stage, change = 0, coarse } = found;
  const multipliers = { c, r: side / formula.base.network.resolution, d, w };
  const answer = { ...multipliers, resolution: side, macs, stem, widths, depths, head };
  const nudged = { pixels_nudged: side - resolution, stage_nudged: stage, channels_nudged: change };
  return { ...answer, ...nudged, ...(coarse ? { coarse } : {}) };
}
if (typeof module !== "undefined") module.exports = { solve };
