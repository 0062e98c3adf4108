/* Text and elements: logs may contain anything, and here it is made harmless. */

/* Logs may contain anything.  Escape sequences go, and what cannot be seen, or turns the text
   around it, is shown by a sign. */
const ESCAPES = /\x1b\[[0-?]*[ -\/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]/g;
const UNSEEN = new RegExp(
  [
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]",
    "[\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff\\ufffe\\uffff]",
    "[\\ud800-\\udbff](?![\\udc00-\\udfff])",
    "(?<![\\ud800-\\udbff])[\\udc00-\\udfff]",
  ].join("|"),
  "g",
);
function sign(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "␡";
  // a byte that is no text, as Python's surrogateescape has it
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
  return code < 0x100 ? `\\x${code.toString(16)}` : `\\u${code.toString(16)}`;
}
const clean = (text) =>
  String(text).replace(ESCAPES, "").replace(/\r+\n/g, "\n").replace(UNSEEN, sign);

/* An element; what is text in it can never become markup. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : clean(value));
  }
  made.append(
    ...children
      .flat(9)
      .filter((child) => child != null && child !== false)
      .map((child) => (child instanceof Node ? child : clean(child))),
  );
  return made;
}
function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.flat(9).map((child) => (child instanceof Node ? child : clean(child))));
  return made;
}
const $ = (selector) => document.querySelector(selector);

/* What is known of some facts, in one line. */
const joined = (facts, by = " · ") => facts.filter(Boolean).join(by);
const number = (count) => count.toLocaleString("en");
const counted = (count, word, many = word + "s") => `${number(count)} ${count === 1 ? word : many}`;
function duration(seconds) {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.0995) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.5) return `${seconds.toPrecision(3)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
const took = (test) => (test.ended == null ? test.outcome : duration(test.ended - test.began));
/* A moment of the clock; step: how near its neighbours are, which says how exact it must be. */
function moment(at, step = 0.001) {
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
  if (at < 120) return `${at.toFixed(digits)} s`;
  const minutes = Math.floor(at / 60);
  return `${minutes}:${(at - 60 * minutes).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}
/* A test's own name, and where it is: unittest writes a.b.C.test, pytest a/b.py::C::test[x]. */
const splitNames = new Map();
function nameOf(test) {
  if (!splitNames.has(test)) {
    const found = /^(.*?)(?:::|\.)([^.:[\] ()]+(?:[[( ].*)?)$/s.exec(test.name) || [
      ,
      "",
      test.name,
    ];
    splitNames.set(test, [found[2], found[1]]);
  }
  return splitNames.get(test);
}
const fullName = (service) => (service.owner ? `${service.owner}.${service.name}` : service.name);
/* A link to a file beside the page, whatever its name is. */
const beside = (path) =>
  "./" +
  String(path)
    .split("/")
    .map((part) => encodeURIComponent(part.toWellFormed?.() ?? part))
    .join("/");
