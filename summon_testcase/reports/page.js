"use strict";

/* ---- The data ---------------------------------------------------------------------------- */

const report = JSON.parse(document.getElementById("data").textContent) || {};
const labelOf = (process) => process.label || process.id;
/* gw2 before gw10 */
const processes = [...report.processes || []].sort((a, b) => labelOf(a).localeCompare(labelOf(b), "en", {numeric: true}));
const services = report.services || [];
const notes = report.notes || [];
const warnings = report.warnings || [];
/* page.py writes tests as lists, since there may be thousands of them */
const tests = (report.tests || []).map((row, number) => {
  const [process, name, began, ended, outcome, message, used] = row;
  return {
    number, name: String(name), began, ended, outcome: outcome || "unfinished", message,
    process: report.processes[process], services: used.map((place) => services[place]),
  };
});

const GOOD = new Set(["passed", "skipped", "expected failure"]);
const isBad = (test) => !GOOD.has(test.outcome);
const kindOf = (test) => isBad(test) ? "failed" : test.outcome === "skipped" ? "skipped" : "passed";
const GLYPH = {passed: "✓", failed: "✕", skipped: "–"};
const bad = tests.filter(isBad);

/* A process that was killed has no end: then the last that is known of it counts. */
const lastOf = new Map();
function seen(process, ...times) {
  for (const at of times.flat(9)) {
    if (Number.isFinite(at) && !(lastOf.get(process) > at)) lastOf.set(process, at);
  }
}
services.forEach((service, number) => {
  service.number = number;
  service.lives ||= [];
  service.resets ||= [];
  service.restarts ||= [];
  service.process = processes.find((process) => process.id === service.process);
  for (const life of service.lives) {
    seen(service.process, life.starting, life.spawned, life.ready, life.failed, life.stopping,
      life.stopped, life.died?.at, life.killed?.at, life.paused || []);
  }
  service.tests = [];
});
for (const test of tests) {
  seen(test.process, test.began, test.ended);
  for (const service of test.services) service.tests.push(test);
}
for (const process of processes) seen(process, process.began, process.ended);
const endOf = (process) => process?.ended ?? lastOf.get(process) ?? 0;
for (const test of tests) {
  test.known = test.ended ?? Math.max(endOf(test.process), test.began);
}
const END = Math.max(0.001, ...lastOf.values());

/* The times at which a life passes from one state to the next, as [state, from, to]. */
function statesOf(service, life) {
  const next = service.lives[service.lives.indexOf(life) + 1];
  const until = life.stopped ?? life.failed ?? next?.starting ?? endOf(service.process);
  const steps = [
    ["starting", life.starting], ["ready", life.ready], ["dead", life.died?.at],
    ["dead", life.killed?.at], ["stopping", life.stopping], ["stopped", until],
  ].filter(([, at]) => at != null).sort((a, b) => a[1] - b[1]);
  return steps.slice(0, -1).map(([state, at], place) => [state, at, steps[place + 1][1]]);
}

/* Every death of a service: when, its signal or status in short, and all that is known. */
function deathsOf(service) {
  return service.lives.flatMap((life) => {
    const found = [];
    if (life.died) found.push({life, at: life.died.at, how: life.died.how, when: life.died.when});
    if (life.killed) {
      found.push({life, at: life.killed.at, byTest: true,
        how: life.killed.how || `was killed by ${life.killed.signal || "a test"}`});
    }
    if (life.failed != null) found.push({life, at: life.failed, how: life.error || "did not start", start: true});
    for (const death of found) {
      death.service = service;
      death.how = String(death.how || "died");
      const status = /status (\d+)|exit(?:ed)? (?:with )?(\d+)/.exec(death.how);
      death.short = /SIG[A-Z]\w*/.exec(death.how)?.[0]
        || (death.start ? "did not start" : status ? `exit ${status[1] || status[2]}` : "died");
    }
    return found;
  });
}
for (const service of services) service.deaths = deathsOf(service);
const deaths = services.flatMap((service) => service.deaths).sort((a, b) => a.at - b.at);
const died = deaths.filter((death) => !death.byTest);

/* The service of this name that another one of the same process refers to. */
function named(name, service) {
  const near = services.filter((other) => other.name === name && other.process === service.process
    && other !== service);
  return near.find((other) => other.owner === service.owner) || near[0];
}
for (const service of services) {
  service.needs = (service.refs || []).map((name) => named(name, service)).filter(Boolean);
}

/* How many services must be ready one after the other before this one is started. */
const depths = new Map();
function depthOf(service) {
  if (!depths.has(service)) {
    depths.set(service, 0);  // if there should be a circle
    depths.set(service, Math.max(-1, ...service.needs.map(depthOf)) + 1);
  }
  return depths.get(service);
}

/* ---- Text -------------------------------------------------------------------------------- */

/* Logs may contain anything.  Escape sequences go, and what cannot be seen, or turns the text
   around it, is shown by a sign. */
const ESCAPES = /\x1b\[[0-?]*[ -\/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]/g;
const UNSEEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
function sign(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "␡";
  // a byte that is no text, as Python's surrogateescape has it
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
  return code < 0x100 ? `\\x${code.toString(16)}` : `\\u${code.toString(16)}`;
}
const clean = (text) => String(text).replace(ESCAPES, "").replace(/\r+\n/g, "\n").replace(UNSEEN, sign);

/* An element; what is text in it can never become markup. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : clean(value));
  }
  made.append(...children.flat(9).filter((child) => child != null && child !== false)
    .map((child) => child instanceof Node ? child : clean(child)));
  return made;
}
function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.flat(9).map((child) => child instanceof Node ? child : clean(child)));
  return made;
}
const $ = (selector) => document.querySelector(selector);

const number = (count) => count.toLocaleString("en");
const counted = (count, word, many = word + "s") => `${number(count)} ${count === 1 ? word : many}`;
function duration(seconds) {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.0995) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.5) return `${seconds.toPrecision(3)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
/* A moment of the clock; step: how near its neighbours are, which says how exact it must be. */
function moment(at, step = 0.001) {
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
  if (at < 120) return `${at.toFixed(digits)} s`;
  const minutes = Math.floor(at / 60);
  return `${minutes}:${(at - 60 * minutes).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}
/* A test's own name, and where it is: unittest writes a.b.C.test, pytest a/b.py::C::test[x]. */
const named_parts = new Map();
function nameOf(test) {
  if (!named_parts.has(test)) {
    const found = /^(.*?)(?:::|\.)([^.:[\] ()]+(?:[[( ].*)?)$/s.exec(test.name) || [, "", test.name];
    named_parts.set(test, [found[2], found[1]]);
  }
  return named_parts.get(test);
}
const fullName = (service) => service.owner ? `${service.owner}.${service.name}` : service.name;
/* A link to a file beside the page, whatever its name is. */
const beside = (path) => "./" + String(path).split("/").map((part) => encodeURIComponent(part.toWellFormed?.() ?? part)).join("/");

/* ---- Logs -------------------------------------------------------------------------------- */

/* At each event the size of a log is noted, if it has grown: a mark.  So what begins at a mark was
   written before the next mark, and after the event before that one.  A part of the log begins at
   each mark; where the next one does not, something is left out. */
function partsOf(life) {
  if (life.parts) return life.parts;
  const marks = life.marks || [];
  let place = -1, expected = 0;
  life.parts = (life.excerpt || []).map(([offset, text]) => {
    while (place + 1 < marks.length && marks[place + 1][1] <= offset) place += 1;
    const next = marks[place + 1];
    const cut = offset !== expected;
    expected = next?.[1];
    return {offset, text: clean(text), cut, at: next?.[0] ?? life.stopped ?? marks[place]?.[0] ?? life.starting};
  });
  return life.parts;
}
const CUT = "…";
const NEAR = 1e-6;
/* The test during which a part was written. */
const testOf = (service, part) => service.tests.findLast((test) => test.began < part.at - NEAR && test.known >= part.at - NEAR);
/* The places in a log between which it was when a test ran. */
function placesOf(life, test) {
  const sizeAt = (time) => (life.marks || []).findLast(([at]) => at <= time + NEAR)?.[1] ?? 0;
  return [sizeAt(test.began), test.ended == null ? Infinity : sizeAt(test.ended)];
}
function livesDuring(service, from, to) {
  return service.lives.filter((life, place) => {
    const end = life.stopped ?? life.failed ?? service.lives[place + 1]?.starting ?? Infinity;
    return life.starting <= to && end >= from;
  });
}
/* What a service wrote while a test ran, with some lines before and after it. */
const AROUND = 3;
function evidence(service, test) {
  let before = [], inside = "", after = [], gone = false, log = null;
  for (const life of livesDuring(service, test.began, test.known)) {
    const [low, high] = placesOf(life, test);
    log = life.log;
    for (const part of partsOf(life)) {
      if (part.offset >= high) { if (after.length < AROUND) after.push(...lines(part.text)); }
      else if (part.offset >= low) inside += (part.cut && part.offset > low ? `${CUT}\n` : "") + part.text;
      else if (!inside) before.push(...lines(part.text).slice(-4 * AROUND));
    }
    gone ||= !inside && high > low && high < Infinity;
  }
  const fatal = service.deaths.filter((death) => death.at >= test.began && death.at <= test.known);
  return {service, inside, gone, log, fatal, before: before.filter((line) => line.trim()).slice(-AROUND).join("\n"), after: after.slice(0, AROUND).join("\n")};
}
function lines(text) {
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  return all;
}
/* All services of a test: first who died, then who wrote, then who kept silent; and of these first
   who refers to others, since that is most likely whom the test talks to. */
function evidences(test) {
  const rank = (one) => one.fatal.length ? 0 : one.inside ? 1 : 2;
  return test.services.map((service) => evidence(service, test))
    .sort((a, b) => rank(a) - rank(b) || depthOf(b.service) - depthOf(a.service));
}

/* ---- The head ---------------------------------------------------------------------------- */

function head() {
  const verdict = bad.length ? `${number(bad.length)} of ${counted(tests.length, "test")} failed`
    : tests.length ? `${tests.length === 1 ? "The test" : `All ${counted(tests.length, "test")}`} passed`
    : services.length ? counted(services.length, "service") + ", no tests" : "Nothing was recorded";
  $("h1").textContent = verdict;
  document.title = verdict;
  $("header").className = bad.length || died.length ? "failed" : tests.length ? "passed" : "empty";
  const began = Number.isFinite(report.epoch) && new Date(report.epoch * 1000);
  const killed = processes.filter((process) => process.ended == null);
  $("#when").append(...[
    began && began.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"}),
    processes.length && `took ${duration(END)}`,
    processes.length > 1 && counted(processes.length, "process", "processes"),
    report.left_out && `${counted(report.left_out, "passed test")} left out: too many for one page`,
  ].filter(Boolean).join(" · "));
  if (killed.length) {
    $("#when").append(" · ", el("strong", {class: "bad"},
      `${killed.map((process) => process.label || process.pid).join(", ")} did not end by ${killed.length === 1 ? "itself" : "themselves"}`));
  }

  const figure = (value, label, more = {}) => $("#figures").append(el("li", {}, more.onclick
    ? el("button", {type: "button", ...more}, el("strong", {}, value), el("small", {}, label))
    : el("span", {class: "figure", ...more}, el("strong", {}, value), el("small", {}, label))));
  if (bad.length) {
    figure(number(bad.length), "failed", {class: "bad", onclick: () => { filter("failed"); choose(listed[0]); $("#list").focus(); }});
  }
  if (tests.length) {
    const passed = tests.filter((test) => kindOf(test) === "passed").length;
    figure(number(passed), "passed", {onclick: () => { filter("passed"); $("#list").focus(); }});
    if (tests.length > passed + bad.length) {
      figure(number(tests.length - passed - bad.length), "skipped", {onclick: () => { filter("skipped"); $("#list").focus(); }});
    }
  }
  figure(number(services.length), services.length === 1 ? "service" : "services");
  const starts = services.flatMap((service) => service.lives.filter((life) => life.ready != null)
    .map((life) => ({service, life, took: life.ready - life.starting})));
  const slowest = starts.sort((a, b) => b.took - a.took)[0];
  if (slowest) {
    figure(duration(slowest.took), `slowest start: ${slowest.service.name}`, {
      title: fullName(slowest.service),
      onclick: () => { choose(slowest.service); lookAt(slowest.life.starting, slowest.life.ready); },
    });
  }
  if (died.length) {
    figure(number(died.length), died.length === 1 ? `death: ${died[0].service.name}` : "deaths", {
      class: "bad", title: died.map((death) => `${fullName(death.service)} ${death.how}`).join("\n"),
      onclick: () => { nextDeath = (nextDeath + 1) % died.length; choose(died[nextDeath].service); lookAt(died[nextDeath].at, died[nextDeath].at); },
    });
  }
  const sum = (facts) => services.reduce((total, service) => total + service[facts].length, 0);
  if (sum("restarts")) figure(number(sum("restarts")), sum("restarts") === 1 ? "restart" : "restarts");
  if (sum("resets")) figure(number(sum("resets")), sum("resets") === 1 ? "reset" : "resets");

  $("#copy").addEventListener("click", () => copy(issue(bad)));
}
let nextDeath = -1;

/* Machine, versions and commands: all that the report has, also what this page does not know. */
function runTab() {
  const list = (rows) => el("dl", {}, rows.filter(([, ...said]) => said.some(Boolean))
    .map(([name, ...said]) => [el("dt", {}, name), el("dd", {}, said)]));
  const plain = (facts) => Object.entries(facts || {}).map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)]);
  $("#run").append(
    el("h3", {}, "Machine"), list([...plain(report.machine), ...plain(report.versions)]),
    el("h3", {}, "Processes"), list(processes.map((process) => [labelOf(process), el("code", {}, (process.argv || []).map(word).join(" ")),
      el("div", {class: "faint"}, [`pid ${process.pid}`, process.python && `Python ${process.python}`, process.platform,
        process.cwd && `in ${process.cwd}`].filter(Boolean).join(", "))])),
    el("h3", {}, "Commands of services"), list(services.map((service) => [linkTo(service, fullName(service)), el("code", {}, commandOf(service) || "none")])));
}
/* A word as a shell takes it. */
const word = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", `'\\''`)}'`;
const commandOf = (service) => Array.isArray(service.command) ? service.command.map(word).join(" ") : service.command || "";

/* ---- The clock: services and tests, drawn on a canvas, which stays fluid with thousands --- */

const view = {from: 0, to: END};
const LANE = 22, PROCESS = 24, THIN = 3;
const canvas = $("#lanes canvas"), times = $("#times canvas");
const folded = new Set();
let rows = [], colour = {}, stripes = null, band = null;

/* Tests of one process that run at the same time (in threads) get lanes of their own. */
function testLanes(process) {
  const made = [];
  for (const test of tests.filter((one) => one.process === process).sort((a, b) => a.began - b.began)) {
    const free = made.find((lane) => lane.at(-1).known <= test.began + 1e-6) || (made.length < 8 ? made[made.push([]) - 1] : made[7]);
    free.push(test);
  }
  return made;
}
const lanesOf = new Map(processes.map((process) => [process, testLanes(process)]));
const servicesOf = new Map(processes.map((process) => [process, services
  .filter((service) => service.process === process)
  .sort((a, b) => (a.lives[0]?.starting ?? 0) - (b.lives[0]?.starting ?? 0))]));
/* A page of a thousand lanes begins with those where something has failed. */
if (services.length > 200) {
  for (const process of processes) {
    if (!bad.some((test) => test.process === process)) folded.add(process);
  }
}

function layOut() {
  rows = [];
  let y = 0;
  const add = (kind, height, more) => { rows.push({kind, y, height, ...more}); y += height; };
  for (const process of processes) {
    add("process", PROCESS, {process});
    if (!folded.has(process)) {
      for (const service of servicesOf.get(process)) add("service", LANE, {process, service});
    }
    const own = lanesOf.get(process);
    if (own.length) add("tests", LANE * own.length, {process, lanes: own});
  }
  const labels = $("#labels");
  const focused = [...labels.children].indexOf(document.activeElement);
  labels.replaceChildren(...rows.map(label));
  if (labels.firstChild) labels.children[Math.max(0, Math.min(focused, rows.length - 1))].tabIndex = 0;
  if (focused >= 0) labels.children[Math.min(focused, rows.length - 1)].focus();
  fit();
}
function label(row) {
  const {kind, process, service} = row;
  const attributes = {type: "button", class: kind, tabindex: -1};
  let inside, height = row.height;
  if (kind === "process") {
    const said = [process.pid != null && `pid ${process.pid}`, process.ended == null && "did not end by itself"].filter(Boolean).join(", ");
    Object.assign(attributes, {"aria-expanded": String(!folded.has(process)), title: (process.argv || []).join(" "), onclick: () => {
      if (!folded.delete(process)) folded.add(process);
      layOut();
    }});
    inside = [el("span", {class: "name"}, labelOf(process)), el("span", {class: "of"}, said)];
  } else if (kind === "service") {
    Object.assign(attributes, {title: fullName(service), onclick: () => choose(service)});
    inside = [el("span", {class: "name"}, service.name), el("span", {class: "of"}, service.owner)];
    const count = (facts, glyph, name) => service[facts].length && inside.push(el("span",
      {class: `count ${name}`, title: counted(service[facts].length, name)}, `${glyph}${service[facts].length}`));
    count("deaths", "✕", "death");
    count("restarts", "▲", "restart");
    count("resets", "•", "reset");
  } else {
    const count = row.lanes.reduce((total, lane) => total + lane.length, 0);
    attributes.onclick = () => choose(row.lanes.flat().find(isBad) || row.lanes[0][0]);
    inside = [el("span", {class: "name"}, "tests"), el("span", {class: "of"}, number(count))];
  }
  const made = el("button", attributes, inside);
  made.style.height = `${height}px`;
  row.label = made;
  if (service) service.label = made;
  return made;
}
$("#labels").addEventListener("keydown", (event) => {
  const all = [...event.currentTarget.children];
  const now = all.indexOf(document.activeElement);
  const to = {ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: all.length - 1}[event.key];
  if (to == null || !all[to]) return;
  event.preventDefault();
  all[now].tabIndex = -1;
  all[to].tabIndex = 0;
  all[to].focus();
});

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["sheet", "raised", "ink", "faint", "rule", "accent", "band", "starting", "ready", "paused", "stopping", "dead", "passed", "skipped", "on-passed", "on-failed", "on-skipped"]) {
    colour[name] = style.getPropertyValue(`--${name}`).trim();
  }
  colour.failed = colour.dead;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour.paused;
  pen.lineWidth = 2.4;
  pen.beginPath();
  for (const x of [-6, 0, 6]) { pen.moveTo(x, 6); pen.lineTo(x + 6, 0); }
  pen.stroke();
  stripes = tile;
}

/* As many pixels as the screen has, so that lines are sharp. */
function sharp(picture, width, height) {
  const ratio = devicePixelRatio || 1;
  picture.width = Math.round(width * ratio);
  picture.height = Math.round(height * ratio);
  picture.style.height = `${height}px`;
  return ratio;
}
let width = 0, height = 0;
function fit() {
  const all = rows.length ? rows.at(-1).y + rows.at(-1).height : 0;
  width = canvas.clientWidth;
  height = Math.min(all, $("#lanes").clientHeight || all);
  sharp(canvas, width, height);
  // as wide as the lanes, which have a scroll bar
  $("#times").style.paddingRight = `${$("#lanes").offsetWidth - $("#lanes").clientWidth}px`;
  sharp(times, width, 54);
  redraw();
}
let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); });
}
const xOf = (at) => (at - view.from) / (view.to - view.from) * width;
const timeAt = (x) => view.from + x / width * (view.to - view.from);

function pencil(picture) {
  const pen = picture.getContext("2d");
  const ratio = devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, picture.width, picture.height);
  pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = "middle";
  return pen;
}
function stepOf() {
  const rough = (view.to - view.from) / Math.max(2, width / 95);
  const ten = 10 ** Math.floor(Math.log10(rough));
  return ten * [1, 2, 5, 10].find((factor) => ten * factor >= rough);
}
function draw() {
  if (!width) return;
  const pen = pencil(canvas);
  const top = $("#lanes").scrollTop;
  const step = stepOf();
  pen.fillStyle = colour.rule;
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    pen.fillRect(Math.round(xOf(at)), 0, 1, height);
  }
  const [from, to] = (band || []).map(xOf);
  if (band) {
    pen.fillStyle = colour.band;
    pen.fillRect(from, 0, Math.max(to - from, 1), height);
  }
  for (const row of rows) {
    const y = row.y - top;
    if (y + row.height < 0 || y > height) continue;
    if (row.kind === "process") drawProcess(pen, row.process, y);
    else if (row.kind === "service") drawService(pen, row.service, y);
    else row.lanes.forEach((lane, place) => drawTests(pen, lane, y + place * LANE));
    pen.globalAlpha = 0.5;
    pen.fillStyle = colour.rule;
    pen.fillRect(0, y + row.height - 1, width, 1);
    pen.globalAlpha = 1;
  }
  if (band) {
    pen.fillStyle = colour.accent;
    pen.fillRect(Math.round(from) - 1, 0, 1, height);
    pen.fillRect(Math.round(to), 0, 1, height);
  }
  drawTimes(step);
  const whole = view.from <= 0 && view.to >= END;
  $("#shown").textContent = whole ? "" : `${moment(view.from, step / 10)} to ${moment(view.to, step / 10)}`;
}
/* A box between two times, at least so wide that it is seen; false if it is outside. */
function box(pen, from, to, y, high, least = 1) {
  const left = Math.max(-2, xOf(from)), right = Math.min(width + 2, Math.max(xOf(to), xOf(from) + least));
  if (right < 0 || left > width) return false;
  pen.fillRect(left, y, right - left, high);
  return [left, right];
}
function drawProcess(pen, process, y) {
  pen.fillStyle = colour.raised;
  pen.fillRect(0, y, width, PROCESS - 1);
  pen.fillStyle = colour.stopping;
  box(pen, process.began ?? 0, endOf(process), y + PROCESS / 2 - 1, 2);
  if (process.ended == null) cross(pen, xOf(endOf(process)), y + PROCESS / 2, "killed");
}
/* A red cross, with its words on the side where they hide no other mark. */
function cross(pen, x, y, text, marks = []) {
  if (x < -80 || x > width + 80) return;
  pen.lineCap = pen.lineJoin = "round";
  for (const [style, thick] of [[colour.sheet, 6], [colour.dead, 2.5]]) {
    pen.strokeStyle = style;
    pen.lineWidth = thick;
    pen.beginPath();
    pen.moveTo(x - 4, y - 4); pen.lineTo(x + 4, y + 4);
    pen.moveTo(x - 4, y + 4); pen.lineTo(x + 4, y - 4);
    pen.stroke();
  }
  pen.font = `bold ${pen.font}`;
  const long = pen.measureText(text).width;
  const free = (left) => left >= 2 && left + long <= width - 2
    && !marks.some((mark) => mark !== x && mark > left - 9 && mark < left + long + 9);
  const at = [x + 9, x - 9 - long].find(free);
  if (at != null) {
    pen.strokeStyle = colour.sheet;
    pen.lineWidth = 4;
    pen.strokeText(text, at, y + 0.5);
    pen.fillStyle = colour.dead;
    pen.fillText(text, at, y + 0.5);
  }
  pen.font = pen.font.replace("bold ", "");
}
function drawService(pen, service, y) {
  const high = LANE - 9, middle = y + LANE / 2 - 0.5;
  for (const life of service.lives) {
    for (const [state, from, to] of statesOf(service, life)) {
      if (state === "dead") {
        pen.fillStyle = colour.dead;
        box(pen, from, to, middle - 1, 2);
        continue;
      }
      pen.fillStyle = colour[state];
      const drawn = box(pen, from, to, y + 4, high);
      if (drawn && state === "starting" && critical.has(life)) {
        pen.fillStyle = colour.ink;
        pen.fillRect(drawn[0], y + 4 + high, drawn[1] - drawn[0], 2);
      }
    }
    for (const [from, to] of life.paused || []) {
      pen.fillStyle = colour.sheet;
      const drawn = box(pen, from, to ?? life.stopped ?? endOf(service.process), y + 4, high, 2);
      if (!drawn) continue;
      pen.fillStyle = pen.createPattern(stripes, "repeat");
      pen.fillRect(drawn[0], y + 4, drawn[1] - drawn[0], high);
    }
  }
  pen.fillStyle = colour.ink;
  let last = -9;
  for (const [at] of service.resets) {
    const x = xOf(at);
    if (x < -3 || x > width + 3 || x - last < 4) continue;
    last = x;
    pen.beginPath();
    pen.arc(x, middle, 1.8, 0, 7);
    pen.fill();
  }
  for (const [at] of service.restarts) {
    const x = xOf(at);
    pen.fillStyle = colour.accent;
    pen.strokeStyle = colour.sheet;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(x, y + 4); pen.lineTo(x + 5, y + LANE - 5); pen.lineTo(x - 5, y + LANE - 5);
    pen.closePath();
    pen.stroke();
    pen.fill();
  }
  const marks = [...service.deaths.map((death) => death.at), ...service.restarts.map(([at]) => at)].map(xOf);
  for (const death of service.deaths) cross(pen, xOf(death.at), middle, death.short, marks);
}
function drawTests(pen, lane, y) {
  const high = LANE - 7;
  let last = -1;
  // what failed is drawn last and wider, so that no crowd of other tests hides it
  for (const pass of [0, 1]) {
    for (const test of lane) {
      const kind = kindOf(test);
      if ((kind === "failed") !== (pass === 1)) continue;
      const left = xOf(test.began), right = xOf(test.known);
      if (right < 0 || left > width) continue;
      if (!pass) {
        if (right < last + 0.7) continue;
        last = right;
      }
      pen.fillStyle = colour[kind];
      const wide = Math.max(right - left - (right - left > 3 ? 1 : 0), pass ? THIN : 0.7);
      pen.fillRect(left, y + 3, wide, high);
      if (wide > 48) {
        pen.save();
        pen.beginPath();
        pen.rect(Math.max(left, 0), y, Math.min(right, width) - Math.max(left, 0) - 4, LANE);
        pen.clip();
        pen.fillStyle = colour[`on-${kind}`];
        pen.fillText(clean(nameOf(test)[0]), Math.max(left, 0) + 5, y + 3 + high / 2 + 0.5);
        pen.restore();
      }
    }
  }
  if (chosen && lane.includes(chosen)) {
    pen.strokeStyle = colour.ink;
    pen.lineWidth = 2;
    const left = xOf(chosen.began);
    pen.strokeRect(left - 1, y + 2, Math.max(xOf(chosen.known) - left, THIN) + 2, high + 2);
  }
}

/* Above the lanes: all of the run in small, with what is shown of it, and the times below. */
const OVER = 30;
function drawTimes(step) {
  const pen = pencil(times);
  const wide = width;
  const x = (at) => at / END * wide;
  const heights = new Float32Array(Math.ceil(wide) + 1);
  const crowd = tests.length ? tests.map((test) => [test.began, test.known])
    : services.flatMap((service) => service.lives.map((life) => [life.starting, life.stopped ?? endOf(service.process)]));
  for (const [from, to] of crowd) {
    for (let column = Math.floor(x(from)); column <= x(to); column += 1) heights[column] += 1;
  }
  const most = Math.max(1, ...heights);
  pen.fillStyle = colour.raised;
  pen.fillRect(0, 0, wide, OVER);
  pen.fillStyle = tests.length ? colour.passed : colour.ready;
  heights.forEach((count, column) => {
    const high = count / most * (OVER - 8);
    if (count) pen.fillRect(column, OVER - high, 1, high);
  });
  pen.fillStyle = colour.dead;
  for (const test of bad) pen.fillRect(x(test.began) - 1, 8, Math.max(2, x(test.known) - x(test.began)), OVER - 8);
  for (const death of died) {
    pen.beginPath();
    pen.moveTo(x(death.at) - 4, 0); pen.lineTo(x(death.at) + 4, 0); pen.lineTo(x(death.at), 7);
    pen.fill();
  }
  const from = x(view.from), to = x(view.to);
  pen.globalAlpha = 0.72;
  pen.fillStyle = colour.sheet;
  pen.fillRect(0, 0, from, OVER);
  pen.fillRect(to, 0, wide - to, OVER);
  pen.globalAlpha = 1;
  if (from > 0 || to < wide) {
    pen.strokeStyle = colour.accent;
    pen.lineWidth = 1.5;
    pen.strokeRect(from + 0.75, 0.75, Math.max(3, to - from - 1.5), OVER - 1.5);
  }
  if (dragged?.range) {
    pen.fillStyle = colour.band;
    pen.fillRect(Math.min(...dragged.range), 0, Math.abs(dragged.range[1] - dragged.range[0]), OVER);
  }
  pen.fillStyle = colour.faint;
  for (let at = Math.ceil(view.from / step - 1e-9) * step; at <= view.to; at += step) {
    const here = xOf(at), text = moment(at, step);
    if (here + pen.measureText(text).width + 6 > wide) break;
    pen.fillRect(Math.round(here), OVER + 6, 1, 18);
    pen.fillText(text, Math.round(here) + 4, OVER + 13);
  }
}

function show(from, to) {
  const span = Math.max(Math.min(to - from, END), Math.min(0.0002, END));
  view.from = Math.max(0, Math.min(from, END - span));
  view.to = view.from + span;
  redraw();
}
function zoom(factor, at = (view.from + view.to) / 2) {
  show(at - (at - view.from) * factor, at + (view.to - at) * factor);
}
/* Zoom to something, with as much of what surrounds it that it can be understood. */
function lookAt(from, to) {
  const margin = Math.max(to - from, END / 200, 0.02);
  show(Math.max(0, from - margin), Math.min(END, to + margin));
}
function bring(from, to) {
  const span = view.to - view.from;
  if (from < view.from || to > view.to) show((from + to - span) / 2, (from + to + span) / 2);
}
/* Scroll the lanes until a row can be seen. */
function reveal(row) {
  if (!row) return;
  const lanes = $("#lanes"), above = lanes.scrollTop, below = above + lanes.clientHeight;
  if (row.y < above || row.y + row.height > below) lanes.scrollTop = row.y - (lanes.clientHeight - row.height) / 2;
}

/* What lies under the pointer. */
function under(event) {
  const place = canvas.getBoundingClientRect();
  const x = event.clientX - place.left, y = event.clientY - place.top + $("#lanes").scrollTop;
  const row = rows.find((one) => y >= one.y && y < one.y + one.height);
  if (row?.kind === "tests") {
    const lane = row.lanes[Math.min(row.lanes.length - 1, Math.floor((y - row.y) / LANE))];
    const near = lane.filter((test) => xOf(test.began) - 3 <= x && xOf(test.known) + 3 >= x);
    const away = (test) => Math.max(xOf(test.began) - x, x - xOf(test.known), 0) - (isBad(test) ? 2 : 0);
    return {row, test: near.sort((a, b) => away(a) - away(b))[0]};
  }
  return {row, service: row?.service, at: timeAt(x)};
}
function tell({row, service, test, at}) {
  if (test) return [el("b", {}, nameOf(test)[0]), el("div", {}, `${test.outcome}, ${duration(test.known - test.began)}, at ${moment(test.began)}`)];
  if (!service) return row?.kind === "process" ? [(row.process.argv || []).join(" ") || row.process.label] : null;
  const near = (time) => Math.abs(xOf(time) - xOf(at)) < 5;
  const said = [el("b", {}, fullName(service))];
  const death = service.deaths.find((one) => near(one.at));
  const restart = service.restarts.find((one) => near(one[0]));
  if (death) said.push(el("div", {}, `${death.how.split("\n")[0]} at ${moment(death.at)}${death.when ? `, ${death.when}` : ""}`));
  if (restart) said.push(el("div", {}, `restarted at ${moment(restart[0])}: ${restart[1]}`));
  for (const life of service.lives) {
    for (const [state, from, to] of statesOf(service, life)) {
      if (from <= at && at <= to) said.push(el("div", {}, `${state} ${moment(from)} to ${moment(to)}, ${duration(to - from)}`));
    }
  }
  return said;
}

/* Pointers: one drags, two zoom; a click chooses. */
const pointers = new Map();
let dragged = null;
canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  dragged = {x: event.clientX, y: event.clientY, from: view.from, to: view.to, top: $("#lanes").scrollTop, moved: false};
  if (pointers.size === 2) dragged.apart = apart();
});
const apart = () => Math.max(20, Math.abs([...pointers.values()].reduce((sum, one, place) => sum + (place ? -1 : 1) * one.clientX, 0)));
canvas.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return tip(event);
  pointers.set(event.pointerId, event);
  if (pointers.size === 2 && dragged?.apart) {
    const span = (dragged.to - dragged.from) * dragged.apart / apart();
    const middle = (dragged.from + dragged.to) / 2;
    dragged.moved = true;
    return show(middle - span / 2, middle + span / 2);
  }
  const x = event.clientX - dragged.x, y = event.clientY - dragged.y;
  if (!dragged.moved && Math.hypot(x, y) < 4) return;
  dragged.moved = true;
  canvas.classList.add("held");
  $("#tip").hidden = true;
  const moved = x / width * (dragged.to - dragged.from);
  show(dragged.from - moved, dragged.to - moved);
  if (event.pointerType === "mouse") $("#lanes").scrollTop = dragged.top - y;
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    canvas.classList.remove("held");
    if (name === "pointerup" && dragged && !dragged.moved) {
      const {test, service} = under(event);
      if (test || service) choose(test || service);
    }
    if (!pointers.size) dragged = null;
  });
}
canvas.addEventListener("pointerleave", () => { $("#tip").hidden = true; });
function tip(event) {
  const said = event.pointerType === "mouse" ? tell(under(event)) : null;
  const made = $("#tip");
  made.hidden = !said;
  if (!said) return;
  made.replaceChildren(...said);
  made.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - made.offsetWidth - 8))}px`;
  made.style.top = `${event.clientY + 18 + made.offsetHeight > innerHeight ? event.clientY - made.offsetHeight - 8 : event.clientY + 18}px`;
}
for (const picture of [canvas, times]) {
  picture.addEventListener("wheel", (event) => {
    // without Ctrl the wheel scrolls the lanes, as everywhere
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
    if (sideways) {
      const moved = sideways / width * (view.to - view.from);
      show(view.from + moved, view.to + moved);
    } else if (event.ctrlKey || event.metaKey || picture === times) {
      zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 150), timeAt(event.clientX - picture.getBoundingClientRect().left));
    } else return;
    event.preventDefault();
    $("#tip").hidden = true;
  }, {passive: false});
}
times.addEventListener("pointerdown", (event) => {
  const x = event.clientX - times.getBoundingClientRect().left;
  times.setPointerCapture(event.pointerId);
  dragged = {range: [x, x]};
});
times.addEventListener("pointermove", (event) => {
  if (!dragged?.range) return;
  dragged.range[1] = Math.max(0, Math.min(width, event.clientX - times.getBoundingClientRect().left));
  redraw();
});
times.addEventListener("pointerup", () => {
  if (!dragged?.range) return;
  const [from, to] = dragged.range.map((x) => x / width * END).sort((a, b) => a - b);
  dragged = null;
  const half = (view.to - view.from) / 2;
  if ((to - from) / END * width > 5) show(from, to);
  else show(from - half, from + half);
});
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const span = view.to - view.from;
  const act = {
    ArrowLeft: () => show(view.from - span / 8, view.to - span / 8),
    ArrowRight: () => show(view.from + span / 8, view.to + span / 8),
    ArrowUp: () => { $("#lanes").scrollTop -= 2 * LANE; },
    ArrowDown: () => { $("#lanes").scrollTop += 2 * LANE; },
    "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1.4), 0: () => show(0, END), Home: () => show(0, END),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
$("#zoom-in").addEventListener("click", () => zoom(0.6));
$("#zoom-out").addEventListener("click", () => zoom(1 / 0.6));
$("#zoom-all").addEventListener("click", () => show(0, END));
$("#lanes").addEventListener("scroll", redraw, {passive: true});

/* ---- The list of tests: only the rows that can be seen are in the document ---------------- */

const ITEM = 40;
let listed = [], wanted = "all";
const FILTERS = [["all", "All", tests.length], ...["failed", "passed", "skipped"].map((kind) =>
  [kind, kind[0].toUpperCase() + kind.slice(1), tests.filter((test) => kindOf(test) === kind).length])];
for (const [kind, name, count] of FILTERS) {
  if (count || kind === "all") {
    $("#filters").append(el("button", {type: "button", "data-kind": kind, onclick: () => filter(kind)}, `${name} ${number(count)}`));
  }
}
function filter(kind = wanted) {
  wanted = kind;
  const words = $("#find-test").value.toLowerCase();
  for (const button of $("#filters").children) button.setAttribute("aria-pressed", button.dataset.kind === kind);
  // what failed comes first: that is what most people open a report for
  listed = tests.filter((test) => (kind === "all" || kindOf(test) === kind)
    && (!words || test.name.toLowerCase().includes(words) || (test.message || "").toLowerCase().includes(words)))
    .sort((a, b) => isBad(b) - isBad(a) || a.began - b.began);
  $("#list").scrollTop = 0;
  fill();
}
function fill() {
  const list = $("#list"), inside = list.firstElementChild;
  inside.style.height = `${listed.length * ITEM}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ITEM) - 4);
  const last = Math.min(listed.length, Math.ceil((list.scrollTop + list.clientHeight) / ITEM) + 4);
  const made = [];
  for (let place = first; place < last; place += 1) {
    const test = listed[place], [name, of] = nameOf(test), kind = kindOf(test);
    const row = el("div", {
      role: "option", id: `option-${test.number}`, "aria-selected": String(test === chosen), title: test.name,
      "aria-setsize": listed.length, "aria-posinset": place + 1, onclick: () => choose(test),
    }, el("span", {class: `glyph ${kind}`, role: "img", "aria-label": test.outcome}, GLYPH[kind]),
    el("span", {class: "name"}, name), el("span", {class: "took"}, duration(test.known - test.began)),
    el("span", {class: "of"}, [processes.length > 1 && test.process?.label, of].filter(Boolean).join(" · ")));
    row.style.top = `${place * ITEM}px`;
    made.push(row);
  }
  if (!listed.length) made.push(el("p", {class: "nothing"}, "No test matches."));
  inside.replaceChildren(...made);
  // a hidden row cannot be the active one
  const active = chosen && document.getElementById(`option-${chosen.number}`);
  if (active) list.setAttribute("aria-activedescendant", active.id);
  else list.removeAttribute("aria-activedescendant");
}
$("#list").addEventListener("scroll", fill, {passive: true});
$("#list").addEventListener("keydown", (event) => {
  const now = listed.indexOf(chosen), page = Math.max(1, Math.floor(event.currentTarget.clientHeight / ITEM) - 1);
  const to = {ArrowDown: now + 1, ArrowUp: now < 0 ? 0 : now - 1, PageDown: now + page, PageUp: now - page,
    Home: 0, End: listed.length - 1}[event.key];
  if (to == null || event.ctrlKey || event.metaKey || event.altKey || !listed.length) return;
  event.preventDefault();
  choose(listed[Math.max(0, Math.min(listed.length - 1, to))]);
});
$("#find-test").addEventListener("input", () => filter());
$("#find-test").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "Enter") return;
  event.preventDefault();
  if (!listed.length) return;
  if (!listed.includes(chosen)) choose(listed[0]);
  $("#list").focus();
});

/* ---- What is chosen: a test, or a service ------------------------------------------------- */

let chosen = null;
/* The address says what is chosen, so that a link to the page can lead to a test. */
function choose(thing, more = {}) {
  const isTest = "outcome" in thing;
  history.replaceState(null, "", `#${isTest ? "test" : "service"}-${thing.number}`);
  chosen?.label?.classList.remove("chosen");
  chosen = thing;
  band = isTest ? [thing.began, thing.known] : null;
  if (isTest) {
    if (!listed.includes(thing)) { $("#find-test").value = ""; filter("all"); }
    const list = $("#list"), top = listed.indexOf(thing) * ITEM;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ITEM > list.scrollTop + list.clientHeight) list.scrollTop = top + ITEM - list.clientHeight;
    bring(thing.began, thing.known);
    reveal(rows.find((row) => row.kind === "tests" && row.process === thing.process));
  } else {
    thing.label?.classList.add("chosen");
    reveal(rows.find((row) => row.service === thing));
  }
  fill();
  $("#tab-chosen").textContent = isTest ? "Test" : "Service";
  $("#chosen").replaceChildren(...(isTest ? testDetail(thing) : serviceDetail(thing, more)));
  $("#chosen").scrollTop = 0;
  openTab($("#tab-chosen"));
  // what was written during the test is seen first, and what was before it by scrolling
  for (const box of document.querySelectorAll("#chosen .log:not(.whole-log) .lines")) {
    const inside = box.querySelector(".inside");
    box.scrollTop = inside ? Math.max(0, inside.offsetTop - box.offsetTop - 40) : box.scrollHeight;
  }
  const hit = $("#chosen mark");
  if (hit) hit.scrollIntoView({block: "center"});
  redraw();
}
function fromAddress() {
  const found = /^#(test|service)-(\d+)$/.exec(location.hash);
  return found && (found[1] === "test" ? tests : services)[found[2]];
}
addEventListener("hashchange", () => {
  const thing = fromAddress();
  if (!thing) return;
  choose(thing);
  $("#chosen h3").focus();
});
const linkTo = (thing, text) => el("a", {href: `#${"outcome" in thing ? "test" : "service"}-${thing.number}`}, text);

function testDetail(test) {
  const [name, of] = nameOf(test), kind = kindOf(test);
  const all = evidences(test);
  const silent = all.filter((one) => !one.inside && !one.fatal.length && !one.gone);
  return [
    el("div", {class: "title"},
      el("h3", {tabindex: -1}, el("span", {class: `outcome ${kind}`}, `${GLYPH[kind]} ${test.outcome}`), name),
      el("div", {class: "buttons"},
        el("button", {type: "button", onclick: () => lookAt(test.began, test.known)}, "Zoom to it"),
        el("button", {type: "button", class: "copy-test", onclick: () => copy(issue([test]))}, "Copy"))),
    el("p", {class: "facts"}, [of, test.process?.label, `${moment(test.began)} to ${moment(test.known)}`,
      `took ${duration(test.known - test.began)}`].filter(Boolean).join(" · ")),
    test.message && el("pre", {class: `message ${kind === "failed" ? "" : "quiet"}`}, test.message.trimEnd()),
    ...notes.filter((note) => within(note, test)).map((note) => noteOf(note, "div")),
    ...all.filter((one) => !silent.includes(one)).map((one) => logOf(one)),
    silent.length > 0 && el("p", {class: "faint"}, "Wrote nothing: ",
      silent.flatMap((one, place) => [place ? ", " : "", linkTo(one.service, one.service.name)])),
    !test.services.length && el("p", {class: "faint"}, "This test has no services."),
  ].filter(Boolean);
}
const within = (note, test) => note.at >= test.began && note.at <= test.known && (note.process == null || note.process === test.process?.id);
const wholeLog = (log) => log && el("a", {class: "whole", href: beside(log), target: "_blank", rel: "noopener"}, "whole log");

function logOf({service, before, inside, after, gone, log, fatal}) {
  return el("article", {class: `log ${fatal.length ? "dead" : ""}`},
    el("header", {}, el("b", {}, linkTo(service, service.name)),
      fatal.map((death) => el("strong", {class: "bad"}, `✕ ${death.how.split("\n")[0]} at ${moment(death.at)}`)),
      el("span", {class: "faint"}, inside ? `${counted(lines(inside).length, "line")} during the test` : "wrote nothing during the test"),
      wholeLog(log)),
    el("div", {class: "lines"},
      gone && !inside && el("p", {class: "cut"}, "What it wrote is in the whole log only."),
      before && el("pre", {class: "around"}, before),
      inside && el("pre", {class: "inside"}, inside.replace(/\n$/, "")),
      after && el("pre", {class: "around"}, after)));
}

function serviceDetail(service, {hit} = {}) {
  const facts = [service.kind, service.scope && `scope ${service.scope}`, service.process?.label,
    service.url, service.cwd && `in ${service.cwd}`].filter(Boolean).join(" · ");
  const failed = service.tests.filter(isBad);
  const row = (life, place) => el("tr", {},
    el("td", {class: "number"}, String(place + 1)),
    el("td", {class: "number"}, moment(life.starting)),
    el("td", {class: "number"}, life.ready != null ? duration(life.ready - life.starting) : "not ready"),
    el("td", {class: "number"}, life.looks == null ? "" : number(life.looks)),
    el("td", {}, life.refusal || ""),
    el("td", {class: service.deaths.some((death) => death.life === life) ? "bad" : ""}, endOfLife(service, life)));
  return [
    el("div", {class: "title"}, el("h3", {tabindex: -1}, fullName(service)),
      el("div", {class: "buttons"}, el("button", {type: "button", onclick: () => {
        const first = service.lives[0]?.starting ?? 0;
        const last = service.lives.at(-1)?.stopped ?? endOf(service.process);
        show(first - (last - first) / 20, last + (last - first) / 20);
      }}, "Zoom to it"))),
    el("p", {class: "facts"}, facts, el("br"), el("code", {}, commandOf(service))),
    el("p", {class: "facts"},
      service.needs.length > 0 && ["Waits for ", service.needs.map((other, place) => [place ? ", " : "", linkTo(other, other.name)]), ". "],
      [counted(service.tests.length, "test"), counted(service.resets.length, "reset"), counted(service.restarts.length, "restart")].join(", "),
      service.resets.length > 0 && ` (resets took ${duration(service.resets.reduce((sum, [, took]) => sum + (took || 0), 0))})`, "."),
    failed.length > 0 && el("p", {class: "facts"}, "Failed: ",
      failed.slice(0, 20).flatMap((test, place) => [place ? ", " : "", linkTo(test, nameOf(test)[0])]), failed.length > 20 && ` and ${failed.length - 20} more`),
    el("div", {class: "scroll"}, el("table", {class: "lives"}, el("thead", {}, el("tr", {},
      ["Life", "Began", "Ready after", "Looks"].map((name) => el("th", {class: "number"}, name)), el("th", {}, "Last refusal"), el("th", {}, "End"))),
    el("tbody", {}, service.lives.map(row)))),
    ...service.restarts.map(([at, reason]) => el("p", {class: "facts"}, `▲ restarted at ${moment(at)}: ${reason}`)),
    ...service.lives.filter((life) => life.error).map((life) => el("pre", {class: "message"}, life.error)),
    ...service.lives.map((life, place) => lifeLog(service, life, place, hit)),
  ].filter(Boolean);
}
function endOfLife(service, life) {
  const how = service.deaths.filter((death) => death.life === life).map((death) => `${death.how.split("\n")[0]} at ${moment(death.at)}`);
  if (life.stopped != null) how.push(how.length ? `gone at ${moment(life.stopped)}` : `${life.how || "stopped"} at ${moment(life.stopped)}`);
  return how.join("; ") || "unknown";
}
/* One life's log with a line at each test, so that one sees who wrote what when. */
function lifeLog(service, life, place, hit) {
  const parts = partsOf(life);
  const inside = [];
  let last;
  for (const part of parts) {
    const test = testOf(service, part);
    if (test !== last) {
      inside.push(test ? el("a", {class: "divider", href: `#test-${test.number}`}, `${moment(test.began)} ${nameOf(test)[0]}: ${test.outcome}`)
        : el("span", {class: "divider"}, `${moment(part.at)} no test`));
      last = test;
    }
    if (part.cut) inside.push(el("p", {class: "cut"}, `${CUT} left out here; the whole log has it`));
    const marked = hit?.part === part && [part.text.slice(0, hit.from), el("mark", {}, part.text.slice(hit.from, hit.to)), part.text.slice(hit.to)];
    inside.push(el("pre", {}, marked || part.text.replace(/\n$/, "")));
  }
  return el("article", {class: "log whole-log"},
    el("header", {}, el("b", {}, service.lives.length > 1 ? `Log of life ${place + 1}` : "Log"),
      el("span", {class: "faint"}, parts.length ? "" : life.log ? "nothing of it is in this page" : "it has none"), wholeLog(life.log)),
    el("div", {class: "lines"}, inside));
}

/* ---- Tabs -------------------------------------------------------------------------------- */

const TABS = [...document.querySelectorAll("[role=tab]")];
function openTab(tab) {
  for (const one of TABS) {
    const open = one === tab;
    one.setAttribute("aria-selected", open);
    one.tabIndex = open ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = !open;
  }
  // made when they are first looked at, so that the page opens at once
  if (tab.id === "tab-start" && !$("#start").childNodes.length) startTab();
  if (tab.id === "tab-run" && !$("#run").childNodes.length) runTab();
}
TABS.forEach((tab, place) => {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    const to = {ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: TABS.length - 1}[event.key];
    const next = to != null && TABS.filter((one) => !one.hidden)[to];
    if (!next) return;
    event.preventDefault();
    openTab(next);
    next.focus();
  });
});

/* ---- The start: what the first test had to wait for --------------------------------------- */

const critical = new Set();
/* From the first test back: who was ready last, for whom had that one waited longest, and so on. */
function pathTo(process) {
  const own = servicesOf.get(process) || [];
  const first = tests.filter((test) => test.process === process).sort((a, b) => a.began - b.began)[0];
  const until = first?.began ?? Infinity;
  const readyLife = (service, before) => service.lives.filter((life) => life.ready != null && life.ready <= before + 1e-6).at(-1);
  const latest = (from, before) => from.map((service) => ({service, life: readyLife(service, before)}))
    .filter(({life}) => life).sort((a, b) => b.life.ready - a.life.ready)[0];
  const path = [];
  let step = latest(first?.services.length ? first.services : own, until);
  while (step && !path.some(({service}) => service === step.service)) {
    path.unshift(step);
    step = latest(step.service.needs, step.life.starting);
  }
  return {first, path};
}
function startTab(process = busiest()) {
  const panel = $("#start");
  if (!process) {
    panel.replaceChildren(el("p", {class: "faint"}, "No service was started."));
    return;
  }
  const {first, path} = pathTo(process);
  critical.clear();
  path.forEach(({life}) => critical.add(life));
  const choice = processes.length > 1 && el("p", {class: "lead"}, el("label", {}, "Process ",
    el("select", {onchange: (event) => { startTab(processes[event.target.value]); $("#start select").focus(); }},
      processes.map((one, place) => el("option", {value: place, selected: one === process}, labelOf(one))))));
  const began = process.began ?? 0;
  const end = first?.began ?? path.at(-1)?.life.ready ?? began;
  const total = Math.max(end - began, 1e-9), short = Math.max(0.0005, total / 200);
  const steps = [];
  let at = began;
  for (const {service, life} of path) {
    if (life.starting - at > short) steps.push({gap: at === began ? "before the first service" : "in between", from: at, to: life.starting});
    steps.push({service, life, from: life.starting, to: life.ready});
    at = life.ready;
  }
  if (first && end - at > short) steps.push({gap: path.length ? "until the first test" : "before the first test", from: at, to: end});
  const row = (step) => el("tr", {class: step.gap ? "gap" : ""},
    el("td", {}, step.gap || linkTo(step.service, step.service.name)),
    el("td", {class: "number"}, duration(step.to - step.from)),
    el("td", {class: "number"}, `${Math.round((step.to - step.from) / total * 100)} %`),
    el("td", {class: "axis"}, svg("svg", {viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true"},
      svg("rect", {x: (step.from - began) / total * 1000, y: 2, height: 10, width: Math.max(3, (step.to - step.from) / total * 1000),
        fill: step.gap ? "var(--stopping)" : "var(--starting)"}))));
  const waited = path.length ? path.map(({service}) => service.name).join(", then ") : "";
  panel.replaceChildren(...[
    choice,
    el("div", {class: "half"}, el("h3", {}, "Critical path"),
    el("p", {class: "lead"}, first ? `The first test of ${process.label || "this process"} began after ${duration(total)}. `
      : `All services were ready after ${duration(total)}. `, waited && `It waited for ${waited}: make these faster, and the tests begin sooner.`),
    el("div", {class: "scroll"}, el("table", {class: "path"}, el("thead", {}, el("tr", {}, el("th", {}, "Step"),
      el("th", {class: "number"}, "Took"), el("th", {class: "number"}, "Share"), el("th", {}, ""))), el("tbody", {}, steps.map(row))))),
    el("div", {class: "half"}, el("h3", {}, "Who waits for whom"),
      graph(servicesOf.get(process) || [], path.map(({service}) => service))),
  ].filter(Boolean));
  redraw();
}
/* The process whose first test waited longest. */
function busiest() {
  const waits = (process) => (pathTo(process).first?.began ?? endOf(process)) - (process.began ?? 0);
  return processes.filter((process) => servicesOf.get(process).length).sort((a, b) => waits(b) - waits(a))[0];
}
/* Services in columns: each right of all that it waits for. */
function graph(all, path) {
  const referred = new Set(all.flatMap((service) => service.needs));
  const tied = all.filter((service) => service.needs.length || referred.has(service));
  const alone = all.filter((service) => !tied.includes(service));
  const said = alone.length > 0 && el("p", {class: "faint lead"}, "Waits for nobody, and nobody for it: ",
    alone.map((service, place) => [place ? ", " : "", linkTo(service, service.name)]), ".");
  if (!tied.length) return said || el("p", {class: "faint"}, "No services.");
  const column = new Map(tied.map((service) => [service, depthOf(service)]));
  // each edge is a way from column to column; where it passes others it has a place of its own
  const columns = [], ways = [];
  for (const service of tied) (columns[column.get(service)] ||= []).push(service);
  for (const service of tied) {
    for (const other of service.needs) {
      const way = [other];
      for (let at = column.get(other) + 1; at < column.get(service); at += 1) {
        const bend = {bend: true};
        column.set(bend, at);
        columns[at].push(bend);
        way.push(bend);
      }
      ways.push([...way, service]);
    }
  }
  const before = new Map(), after = new Map();
  const note = (map, key, value) => map.set(key, [...(map.get(key) || []), value]);
  for (const way of ways) {
    way.slice(1).forEach((end, at) => { note(before, end, way[at]); note(after, way[at], end); });
  }
  // ordered twice by the middle of their neighbours, which leaves few crossings
  const place = new Map();
  const order = (list) => list.forEach((node, row) => place.set(node, row - list.length / 2));
  const middle = (near, node) => near ? near.reduce((sum, other) => sum + place.get(other), 0) / near.length : place.get(node);
  const sort = (near) => (list) => { list.sort((a, b) => middle(near.get(a), a) - middle(near.get(b), b)); order(list); };
  columns.forEach(order);
  for (let turn = 0; turn < 2; turn += 1) {
    columns.forEach(sort(before));
    [...columns].reverse().forEach(sort(after));
  }
  const HIGH = 38, GAP = 12, WAY = 38;
  const many = new Set(tied.map((service) => service.owner)).size > 1;
  const title = (service) => clean(many && service.owner ? `${service.name} (${service.owner})` : service.name);
  const took = ({lives}) => {
    const life = lives.find((one) => one.ready != null);
    return life ? duration(life.ready - life.starting) : "not ready";
  };
  const short = (text) => text.length > 30 ? text.slice(0, 29) + CUT : text;
  const wide = columns.map((list) => Math.max(...list.map((node) => node.bend ? 0 : Math.max(short(title(node)).length, took(node).length))) * 7.2 + 22);
  const left = wide.map((_, at) => wide.slice(0, at).reduce((sum, one) => sum + one + WAY, 0) + 2);
  const high = (node) => (node.bend ? 6 : HIGH) + GAP;
  const total = (list) => list.reduce((sum, node) => sum + high(node), 0);
  const full = Math.max(...columns.map(total)) - GAP + 4;
  const y = new Map();
  for (const list of columns) {
    let at = (full + GAP - total(list)) / 2;
    for (const node of list) { y.set(node, at); at += high(node); }
  }
  const lines = ways.map((way) => {
    let drawn = "";
    way.slice(1).forEach((end, at) => {
      const from = way[at], fromX = left[column.get(from)] + wide[column.get(from)], toX = left[column.get(end)];
      const fromY = y.get(from) + (high(from) - GAP) / 2, toY = y.get(end) + (high(end) - GAP) / 2, bend = (toX - fromX) / 2;
      drawn += `${drawn ? "L" : "M"}${fromX} ${fromY}C${fromX + bend} ${fromY} ${toX - bend} ${toY} ${toX - 1} ${toY}`;
    });
    return svg("path", {class: path.indexOf(way.at(-1)) === path.indexOf(way[0]) + 1 && path.includes(way[0]) ? "critical" : "", d: `${drawn}m-6 -4l6 4l-6 4`});
  });
  const boxes = tied.map((service) => {
    return svg("g", {class: `${path.includes(service) ? "critical" : ""} ${service.deaths.some((death) => !death.byTest) ? "dead" : ""}`,
      transform: `translate(${left[column.get(service)]} ${y.get(service)})`, onclick: () => choose(service)},
    svg("title", {}, fullName(service)),
    svg("rect", {width: wide[column.get(service)], height: HIGH, rx: 6}),
    svg("text", {x: 10, y: 16}, short(title(service))),
    svg("text", {x: 10, y: 31, class: "small"}, took(service)));
  });
  const width = left.at(-1) + wide.at(-1) + 4;
  const words = tied.filter((service) => service.needs.length)
    .map((service) => `${service.name} waits for ${service.needs.map((other) => other.name).join(", ")}`).join("; ");
  const picture = svg("svg", {class: "graph", width, height: full, viewBox: `0 0 ${width} ${full}`, role: "img", "aria-label": words}, lines, boxes);
  // smaller than it is where there is no room, but no smaller than what can be read
  picture.style.minWidth = `${width * 0.75}px`;
  return el("div", {}, el("div", {class: "scroll"}, picture), said);
}

/* ---- Search in logs ---------------------------------------------------------------------- */

const MOST = 200;
let waiting = 0;
$("#find-line").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(search, 80);
});
function search() {
  const words = $("#find-line").value;
  const hits = [];
  let total = 0;
  if (words) {
    const wanted = new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
    for (const service of services) for (const life of service.lives) for (const part of partsOf(life)) {
      let last = -1;
      for (const found of part.text.matchAll(wanted)) {
        const begin = part.text.lastIndexOf("\n", found.index) + 1;
        // one hit a line
        if (begin === last) continue;
        last = begin;
        total += 1;
        if (hits.length < MOST) hits.push({service, part, begin, from: found.index, to: found.index + found[0].length});
      }
    }
  }
  $("#found").textContent = !words ? "" : !total ? "No line matches." : total > MOST ? `${number(total)} lines; the first ${MOST}:` : `${counted(total, "line")}:`;
  $("#hits").replaceChildren(...hits.map(hitOf));
}
function hitOf(hit) {
  const {service, part, begin, from, to} = hit;
  const end = part.text.indexOf("\n", to) < 0 ? part.text.length : part.text.indexOf("\n", to);
  const cut = Math.max(begin, from - 200);
  const test = testOf(service, part);
  const where = [fullName(service), service.process?.label, moment(part.at, 0.01), test && `during ${nameOf(test)[0]}`].filter(Boolean).join(" · ");
  return el("li", {}, el("button", {type: "button", onclick: () => { choose(service, {hit}); $("#chosen h3").focus({preventScroll: true}); }},
    el("span", {class: "where"}, where),
    el("code", {}, cut > begin && "…", part.text.slice(cut, from), el("mark", {}, part.text.slice(from, to)), part.text.slice(to, Math.min(end, to + 400)))));
}

/* ---- Notes and warnings ------------------------------------------------------------------ */

function noteOf(note, kind) {
  const picture = /\.(png|jpe?g|gif|webp|svg)$/i.test(note.attachment || "");
  return el(kind, {class: "note"}, el("span", {class: "faint"}, [Number.isFinite(note.at) && moment(note.at),
    processes.find((process) => process.id === note.process)?.label, note.service].filter(Boolean).join(" · "), " "),
  note.text, note.attachment && [" ", el("a", {href: beside(note.attachment), target: "_blank", rel: "noopener"}, note.attachment.split("/").at(-1))],
  picture && el("img", {src: beside(note.attachment), alt: note.text || note.attachment, loading: "lazy"}));
}
function notesTab() {
  const tab = $("#tab-notes");
  const all = warnings.map((one) => typeof one === "string" ? {text: one} : one);
  tab.textContent = `Notes ${notes.length + all.length}`;
  tab.hidden = !(notes.length + all.length);
  if (all.length) $("#notes").append(el("h3", {}, "Warnings"), el("ul", {}, all.map((one) => noteOf(one, "li"))));
  if (notes.length) $("#notes").append(el("h3", {}, "Notes"), el("ul", {}, notes.map((one) => noteOf(one, "li"))));
}

/* ---- A text for an issue ----------------------------------------------------------------- */

const LONGEST = 60000;
/* A fence that is longer than all in the text, or the text could end it. */
function fenced(text) {
  const fence = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map((found) => found[0].length + 1)));
  return `${fence}text\n${text.replace(/\n$/, "")}\n${fence}`;
}
const tail = (text, count) => {
  const all = lines(text);
  return all.length > count ? `… ${counted(all.length - count, "line")} before\n${all.slice(-count).join("\n")}` : text;
};
function issue(about) {
  const said = [`### ${$("h1").textContent}`];
  const told = about.slice(0, 10);
  for (const test of told) {
    said.push(`#### ${test.outcome}: \`${clean(test.name).replaceAll("`", "'")}\` (${duration(test.known - test.began)})`);
    if (test.message) said.push(fenced(tail(clean(test.message), 60)));
    for (const {service, inside, fatal} of evidences(test)) {
      if (!inside && !fatal.length) continue;
      const how = fatal.map((death) => ` ${death.how.split("\n")[0]}`).join(",");
      said.push(`**${clean(service.name)}**${clean(how)}${inside ? " wrote:" : " wrote nothing."}`);
      if (inside) said.push(fenced(tail(inside, 20)));
    }
  }
  if (about.length > told.length) said.push(`… and ${counted(about.length - told.length, "more test", "more tests")}`);
  const others = died.filter((death) => !told.some((test) => death.at >= test.began && death.at <= test.known && test.services.includes(death.service)));
  for (const death of others.slice(0, 20)) said.push(`**${clean(fullName(death.service))}** ${clean(death.how.split("\n")[0])} at ${moment(death.at)}`);
  const facts = Object.entries({...report.versions, ...report.machine}).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  const process = told[0]?.process || processes[0];
  if (process) facts.push(`Python: ${process.python}`, `platform: ${process.platform}`, `command: ${(process.argv || []).map(word).join(" ")}`);
  if (facts.length) said.push(fenced(clean(facts.join("\n"))));
  const text = said.join("\n\n");
  return text.length > LONGEST ? text.slice(0, LONGEST) + "\n…" : text;
}
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
  } catch {
    $("#by-hand textarea").value = text;
    $("#by-hand").showModal();
    $("#by-hand textarea").select();
  }
}
let silence = 0;
function say(text) {
  $("#said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { $("#said").textContent = ""; }, 2500);
}

/* ---- Begin ------------------------------------------------------------------------------- */

head();
notesTab();
document.body.classList.toggle("nothing", !processes.length);
document.body.classList.toggle("untested", !tests.length);
readColours();
layOut();
filter("all");
openTab($("#tab-chosen"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
new ResizeObserver(() => { fit(); fill(); }).observe($("#clock"));
{
  // what failed first is what one wants to see first
  const first = fromAddress() || (bad.length && listed[0]) || died[0]?.service || tests[0] || services[0];
  if (first) choose(first);
  else $("#chosen").append(el("p", {class: "faint"}, "Neither a test nor a service was recorded."));
}
