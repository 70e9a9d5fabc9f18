// A count as people write and paste it (200M, 1.2 GMac, 200,000,000), as planner.text.quantities reads it; NaN for anything else.
const parseCount = (typed) => {
  const UNITS = { "": 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9, t: 1e12 };
  const WORDS = { thousand: "k", million: "m", billion: "g", trillion: "t" };
  const clean = typed.normalize("NFKC").toLowerCase().replaceAll("\u2019", "'").split(/\s+/).filter(Boolean).join(" ")
    .replace(/\s*\b(thousand|million|billion|trillion)\b/g, (_, word) => WORDS[word]);
  const found = /^([0-9][0-9.,_' ]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*([kmgbt]?)\s*(flops?|macs?|madds?|mult-adds)?$/.exec(clean);
  if (!found) return NaN;
  const digits = found[1].trim(), whole = !found[3];
  let plain;
  if (/^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(digits)) // 200.000 alone: 200000 or 200?
    plain = whole && !found[2] && /^[1-9][0-9]{0,2}\.[0-9]{3}$/.test(digits) ? "?" : digits;
  else if (/^[1-9][0-9]{0,2}([,_' ])[0-9]{3}(\1[0-9]{3})*(\.[0-9]*)?$/.test(digits)) // 1,500M: 1500M or 1.5M?
    plain = !whole && /^[0-9]+,[0-9]{3}$/.test(digits) ? "?" : digits.replace(/[,_' ]/g, "");
  else if (/^[0-9]{1,3}(\.[0-9]{3}){2,}$/.test(digits)) plain = digits.replaceAll(".", "");
  else if (/^[0-9]+,[0-9]+$/.test(digits) && !whole) plain = digits.replace(",", ".");
  else if (/^[0-9]+(_[0-9]+)*(\.[0-9]*)?$/.test(digits)) plain = digits.replaceAll("_", "");
  const value = Number(plain + (found[2] || "")) * UNITS[found[3]];
  return value >= 1 && value <= 1e18 ? value : NaN;
};
