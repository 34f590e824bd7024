// Figures, times and names as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const units = ["B", "KiB", "MiB", "GiB", "TiB"];

// count is a whole number with separators: 15,000.
export function count(n) {
  return n === undefined || n === null ? "–" : whole.format(n);
}

// short is a number of at most four digits: 15.0k.
export function short(n) {
  if (!Number.isFinite(n)) return "–";
  const sign = n < 0 ? "-" : "";
  let v = Math.abs(n);
  if (v < 10 && v % 1 !== 0) return sign + v.toFixed(1);
  let unit = 0;
  while (v >= 999.5 && unit < 4) {
    v /= 1000;
    unit += 1;
  }
  const digits = unit === 0 ? Math.round(v).toString() : v.toFixed(v < 9.995 ? 2 : v < 99.95 ? 1 : 0);
  return sign + digits + ["", "k", "M", "G", "T"][unit];
}

// bytes is a size: 1.20 MiB.
export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  let v = n;
  let unit = 0;
  while (v >= 1023.5 && unit < units.length - 1) {
    v /= 1024;
    unit += 1;
  }
  const digits = unit === 0 ? 0 : v < 9.995 ? 2 : v < 99.95 ? 1 : 0;
  return `${v.toFixed(digits)} ${units[unit]}`;
}

// seconds is a latency: 850 µs, 12.3 ms, 1.20 s.
export function seconds(v) {
  if (!Number.isFinite(v)) return "–";
  if (v === 0) return "0";
  if (v < 1e-3) return `${(v * 1e6).toFixed(0)} µs`;
  if (v < 1) return `${(v * 1e3).toFixed(v < 0.01 ? 2 : v < 0.1 ? 1 : 0)} ms`;
  if (v < 120) return `${v.toFixed(v < 10 ? 2 : 1)} s`;
  return span(v);
}

// span is a length of time in its two largest units: 3 d 4 h.
export function span(sec) {
  let left = Math.max(0, Math.round(sec));
  const parts = [];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const n = Math.floor(left / size);
    left -= n * size;
    if (n > 0 || (unit === "s" && parts.length === 0)) parts.push(`${n} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

// ago is how long a time is past.
export function ago(time, now = Date.now()) {
  if (!time) return "–";
  const sec = (now - Date.parse(time)) / 1000;
  return sec < 0 ? `in ${span(-sec)}` : sec < 2 ? "just now" : `${span(sec)} ago`;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const momentFormat = new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });

// clock is the time of day with thousandths, moment the day too.
export function clock(time, millis = true) {
  const d = new Date(time);
  const text = clockFormat.format(d);
  return millis ? `${text}.${String(d.getMilliseconds()).padStart(3, "0")}` : text;
}

export function moment(time) {
  return time ? momentFormat.format(new Date(time)) : "–";
}

// visible is a name with what cannot be seen made visible: control characters, and those
// that turn the direction of text.
export function visible(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

export function version(v) {
  return { 3: "3.1", 4: "3.1.1", 5: "5" }[v] ?? String(v);
}

export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

// hex is a code as the specification writes it.
export function hex(code) {
  return `0x${Number(code).toString(16).toUpperCase().padStart(2, "0")}`;
}
