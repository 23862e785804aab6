// Numbers as people read them, in the page's language.

const lang = document.documentElement.lang || "en";

export function bytes(count) {
  if (!Number.isFinite(count)) return "";
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = Math.min(units.length - 1, count < 1000 ? 0 : Math.floor(Math.log10(count) / 3));
  return new Intl.NumberFormat(lang, {
    style: "unit", unit: units[step], unitDisplay: "short", maximumFractionDigits: step > 1 ? 1 : 0,
  }).format(count / 1000 ** step);
}

export function seconds(value) {
  if (!Number.isFinite(value)) return "";
  const unit = value < 90 ? "second" : value < 5400 ? "minute" : "hour";
  const amount = { second: value, minute: value / 60, hour: value / 3600 }[unit];
  return new Intl.NumberFormat(lang, {
    style: "unit", unit, unitDisplay: "short", maximumFractionDigits: amount < 10 ? 1 : 0,
  }).format(amount);
}

/** `millionths`: of a unit of the currency, a BigInt: amounts of money are never floats. */
export function money(millionths, currency) {
  const text = String(millionths).padStart(7, "0");
  const digits = millionths < 10_000n ? 6 : millionths < 1_000_000n ? 4 : undefined;
  const options = { style: "currency", currency, maximumFractionDigits: digits };
  return new Intl.NumberFormat(lang, options).format(`${text.slice(0, -6)}.${text.slice(-6)}`);
}

export function pixels(width, height) {
  return width && height ? `${width} × ${height}` : "";
}

export function megapixels(count) {
  const amount = count / 1e6;
  const number = new Intl.NumberFormat(lang, { maximumSignificantDigits: amount < 10 ? 2 : 20, maximumFractionDigits: 0, roundingPriority: "morePrecision" }).format(amount);
  return interpolate(gettext("%s megapixels"), [number]);
}

export function percent(share) {
  return new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 0 }).format(share);
}
