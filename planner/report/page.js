// The report's own script: `solve` (what answers a budget) and `parseCount` stand before it, the numbers are in the page as JSON.
(() => {
  const byId = (id) => document.getElementById(id);
  const numbers = JSON.parse(byId("numbers").textContent);
  const text = byId("formula") && byId("formula").textContent;
  const formula = text && JSON.parse(text);

  const digits = (value, n) => String(Number(value.toPrecision(n)));
  const count = (value) => {
    for (const [suffix, unit] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]])
      if (value >= unit) return digits(value / unit, 4) + suffix;
    return digits(value, 4);
  };
  // What trainings are judged by: accuracies are shares, of any other score the page has merits: its negative where lower is better.
  const score = numbers.score, sign = score && score.lower ? -1 : 1, unit = score && score.unit ? ` ${score.unit}` : "";
  const reached = (merit) => score ? digits(sign * merit, 4) + unit : digits(100 * merit, 3) + " %";
  const span = (lower, upper) => (sign < 0 ? [upper, lower] : [lower, upper]).map(reached).join(" to ");
  const named = ({ accuracy, ...one }) => !score || accuracy === undefined ? { accuracy, ...one } : { [score.name]: sign * accuracy, ...one };

  // Expected accuracy between the answers that the planner gave, straight in log MACs.
  const own = numbers.answers.filter((one) => one.rule === "learned" && one.accuracy);
  const known = own.length > 1 ? own.map((one) => ({ macs: one.budget, ...one.accuracy })) : numbers.front_accuracy;
  const accuracy = (budget) => {
    const after = known.findIndex((one) => one.macs >= budget * (1 - 1e-9));
    if (after < 0 || (after === 0 && budget < known[0].macs * (1 - 1e-6))) return null;
    const [one, other] = [known[Math.max(after - 1, 0)], known[after]];
    const share = one === other ? 1 : Math.log(budget / one.macs) / Math.log(other.macs / one.macs);
    return ["mean", "lower", "upper"].map((end) => one[end] + share * (other[end] - one[end]));
  };

  // The network for a budget in words, as `planner predict` writes it, or why there is none.
  const signed = (value, n = 0) => (value < 0 ? "" : "+") + value.toFixed(n);
  const nudges = (found) => [
    ...(found.pixels_nudged ? [`resolution ${signed(found.pixels_nudged)} px`] : []),
    ...(found.stage_nudged === null ? [] : [`stage ${found.stage_nudged + 1} ${signed(found.channels_nudged)} channels`]),
    ...(found.coarse ? ["planner predict, which moves further numbers, comes nearer"] : []),
  ];
  const widths = ({ widths, stem, head }) => widths.join(" ") + (stem || head ? ` (stem ${stem}, head ${head})` : "");
  const network = (budget) => {
    const found = solve(formula, budget), solved = found.w !== null, needed = "needs planner predict";
    return {
      resolution: `${found.resolution} px`,
      depths: solved ? found.depths.join(" ") : needed,
      widths: solved ? widths(found) : needed,
      macs: solved ? `${found.macs.toLocaleString("en-US")} (${signed(100 * (found.macs / budget - 1), 2)} % of the budget)` : "-",
      nudged: solved ? nudges(found).join(", ") || "nothing" : needed,
      multipliers: `c ${digits(found.c, 4)}, r ${found.r.toFixed(3)}, d ${found.d.toFixed(3)}, w ${solved ? found.w.toFixed(3) : "-"}`,
    };
  };
  const refused = (why) => ({ resolution: "-", depths: "-", widths: "-", macs: why, nudged: "-", multipliers: "-" });

  // The ladder's answer beside it, where there is a ladder: the best network within the budget, if it is one of the range.
  const answered = (budget, inside, smooth) => {
    const rung = inside ? evaluate.answer(formula, budget) : null;
    if (!rung) {
      const why = inside ? `the cheapest answer has ${count(formula.ladder[0].macs)} MACs` : "outside the range the formula answers";
      return { resolution: "-", depths: "-", widths: "-", macs: `no answer: ${why}`, accuracy: "-", difference: "-" };
    }
    const gain = smooth && rung.accuracy - smooth[0];
    const gap = score
      ? `be about ${digits(Math.abs(gain), 3)}${unit} ${gain < 0 ? "worse" : "better"}`
      : `reach about ${Math.abs(100 * gain).toFixed(1)} points ${gain < 0 ? "less" : "more"}`;
    return {
      resolution: `${rung.resolution} px`,
      depths: rung.depths.join(" "),
      widths: widths(rung) + Object.entries(rung.knobs ?? {}).map(([name, values]) => `; ${name} ${values.join(" ")}`).join(""),
      macs: `${rung.macs.toLocaleString("en-US")} (${signed(100 * (rung.macs / budget - 1), 2)} % of the budget)`,
      accuracy: `${reached(rung.accuracy)} (${span(rung.lower, rung.upper)}, 90 %)`,
      difference: smooth ? `the answer is expected to ${gap} than the formula's network` : "not known",
    };
  };

  // After what is no budget nothing is shown: the answer to the one before it would be taken for its own.
  const blank = () => {
    for (const cell of document.querySelectorAll("[id^='out-']")) cell.textContent = "-";
    byId("command").textContent = "";
    for (const line of document.querySelectorAll(".cursor")) line.setAttribute("visibility", "hidden");
  };

  const show = (budget) => {
    const c = budget / formula.base.macs, [low, high] = numbers.formula.macs_range;
    const inside = budget >= 0.99 * low && budget <= 1.01 * high, hopes = accuracy(budget);
    let found;
    try { found = network(budget); } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      found = refused(`no answer: ${error.message}`);
    }
    const cells = {
      ...found,
      accuracy: hopes ? `about ${reached(hopes[0])} (${span(hopes[1], hopes[2])}, 90 %)` : "not known",
      range: inside ? "inside the range of the trainings" : `OUTSIDE ${count(low)} to ${count(high)} MACs: an extrapolation`,
    };
    for (const [name, value] of Object.entries(cells)) byId(`out-${name}`).textContent = value;
    if (numbers.ladder.length) {
      const { difference, ...beside } = answered(budget, inside, found.resolution === "-" ? null : hopes);
      byId("out-difference").textContent = difference;
      for (const [name, value] of Object.entries(beside)) byId(`out-answer-${name}`).textContent = value;
    }
    byId("command").textContent = `${byId("command").dataset.start} --flops ${Math.round(budget)}${inside ? "" : " --extrapolate"}`;
    for (const line of document.querySelectorAll(".cursor")) {
      const { low, high, start, end, unit } = line.dataset, value = unit === "c" ? c : budget;
      const share = Math.log(value / low) / Math.log(high / low), at = +start + share * (end - start);
      line.setAttribute("transform", `translate(${at} 0)`);
      line.setAttribute("visibility", share >= 0 && share <= 1 ? "visible" : "hidden");
    }
  };

  if (formula) {
    const slider = byId("slider"), box = byId("budget"), [low, high] = numbers.formula.macs_range.map(Math.log);
    const steps = +slider.max;
    const choose = (budget) => {
      slider.value = Math.round((steps * (Math.log(budget) - low)) / (high - low));
      slider.setAttribute("aria-valuetext", `${count(budget)} MACs`);
      show(budget);
    };
    slider.addEventListener("input", () => {
      const budget = Math.round(Math.exp(low + (slider.value / steps) * (high - low)));
      box.value = count(budget);
      box.setAttribute("aria-invalid", false);
      byId("wrong").hidden = true;
      choose(parseCount(box.value)); // what is shown is what stands in the box
    });
    box.addEventListener("input", () => {
      const budget = parseCount(box.value), good = !Number.isNaN(budget);
      box.setAttribute("aria-invalid", !good);
      byId("wrong").hidden = good;
      if (good) choose(budget);
      else blank();
    });
    const asked = /budget=([^&]+)/.exec(location.hash);
    let first = NaN;
    try { first = asked ? parseCount(decodeURIComponent(asked[1])) : NaN; } catch { /* no budget in the address */ }
    box.value = first ? count(first) : count(Math.exp((low + high) / 2));
    choose(parseCount(box.value));
    byId("live").hidden = false;
  }

  // Points tell what they are: pointed at, touched, or reached by keyboard (arrows go from one to the next).
  const tip = byId("tip");
  const tell = (point) => {
    tip.textContent = point.getAttribute("aria-label");
    tip.hidden = false;
    const at = point.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.min(Math.max(at.left + at.width / 2 - size.width / 2, 6), innerWidth - size.width - 6);
    const above = at.top - size.height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 4 ? above : at.bottom + 8}px`;
  };
  const hide = () => { tip.hidden = true; };
  for (const plot of document.querySelectorAll("svg.plot")) {
    const points = [...plot.querySelectorAll(".point")];
    for (const point of points) {
      const title = point.querySelector("title");
      point.setAttribute("aria-label", title.textContent);
      point.setAttribute("role", "img");
      title.remove(); // or the browser would show it beside ours
    }
    if (points.length) points[0].setAttribute("tabindex", "0");
    const places = points.map((point) => {
      const [x, y] = (point.getAttribute("transform") || "").match(/[-\d.]+/g) || [NaN, NaN];
      return [+x, +y];
    });
    const nearest = (event) => {
      const hit = event.target.closest(".point");
      if (hit) return hit;
      const box = plot.getBoundingClientRect(), scale = plot.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let best = -1, distance = 16 * scale;
      places.forEach(([px, py], i) => {
        const away = Math.hypot(px - x, py - y);
        if (away < distance) [best, distance] = [i, away];
      });
      return points[best];
    };
    const pointed = (event) => { const point = nearest(event); point ? tell(point) : hide(); };
    plot.addEventListener("pointermove", pointed);
    plot.addEventListener("click", pointed);
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("focusin", (event) => tell(event.target));
    plot.addEventListener("focusout", hide);
    const order = places.some(([x]) => x !== x) ? points : points.map((_, i) => i)
      .sort((a, b) => places[a][0] - places[b][0]).map((i) => points[i]);
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const next = step && order[order.indexOf(event.target) + step];
      if (event.key === "Escape") hide();
      if (!next) return;
      event.preventDefault();
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }
  addEventListener("scroll", hide, { passive: true });

  // Downloads, made of what stands in the page.
  const cell = (value) => {
    // A text that a spreadsheet would compute, a column's name included, stands after an apostrophe.
    const harmless = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    const told = harmless === undefined || harmless === null ? "" : String(harmless);
    return /[",\r\n]/.test(told) ? `"${told.replaceAll('"', '""')}"` : told;
  };
  const flat = (one) => Object.fromEntries(Object.entries(one).flatMap(([name, value]) => {
    if (Array.isArray(value)) return value.map((each, i) => [`${name === "part_macs" ? name : name.slice(0, -1)}_${i + (name === "part_macs" ? 0 : 1)}`, each]);
    if (value && typeof value === "object") return Object.entries(value).map(([end, each]) => [`${name}_${end}`, each]);
    return [[name, value]];
  }));
  const csv = (rows) => {
    const all = rows.map(flat), names = [...new Set(all.flatMap(Object.keys))];
    return [names, ...all.map((row) => names.map((name) => row[name]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  };
  const { name: base, resolution: base_resolution, classes } = numbers.base, task = { base, base_resolution, classes };
  const files = {
    "trainings.csv": () => csv(numbers.trainings.map((one) => ({ ...task, ...named(one) }))), // as `planner fit` reads it
    "answers.csv": () => csv(numbers.answers),
    "numbers.json": () => JSON.stringify(numbers, null, 1),
    "formula.json": () => text,
  };
  for (const button of document.querySelectorAll("button[data-file]")) {
    button.addEventListener("click", () => {
      const name = button.dataset.file, link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([files[name]()], { type: name.endsWith("csv") ? "text/csv" : "application/json" }));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
  globalThis.report = { csv: (name) => files[name](), parse: parseCount, count, accuracy }; // for whoever opens the console
})();
