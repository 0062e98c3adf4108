/* The lanes of services and tests: which there are, and their labels. */

const view = {from: 0, to: END};
const LANE = 22,
  PROCESS = 24,
  THIN = 3;
const canvas = $("#lanes canvas"),
  times = $("#times canvas");
const folded = new Set();
let rows = [],
  colour = {},
  stripes = null,
  band = null;

/* Tests of one process that run at the same time (in threads) get lanes of their own. */
function testLanes(process) {
  const made = [];
  for (const test of tests
    .filter((one) => one.process === process)
    .sort((a, b) => a.began - b.began)) {
    const free =
      made.find((lane) => lane.at(-1).known <= test.began + NEAR) ||
      (made.length < 8 ? made[made.push([]) - 1] : made[7]);
    free.push(test);
  }
  return made;
}
const lanesOf = new Map(processes.map((process) => [process, testLanes(process)]));
const servicesOf = new Map(
  processes.map((process) => [
    process,
    services
      .filter((service) => service.process === process)
      .sort((a, b) => (a.lives[0]?.starting ?? 0) - (b.lives[0]?.starting ?? 0)),
  ]),
);
/* A page of a thousand lanes begins with those where something has failed. */
if (services.length > 200) {
  for (const process of processes) {
    if (!bad.some((test) => test.process === process)) folded.add(process);
  }
}

function layOut() {
  rows = [];
  let y = 0;
  const add = (kind, height, more) => {
    rows.push({kind, y, height, ...more});
    y += height;
  };
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
  if (labels.firstChild)
    labels.children[Math.max(0, Math.min(focused, rows.length - 1))].tabIndex = 0;
  if (focused >= 0) labels.children[Math.min(focused, rows.length - 1)].focus();
  fit();
}
function label(row) {
  const {kind, process, service} = row;
  const attributes = {type: "button", class: kind, tabindex: -1};
  let inside,
    height = row.height;
  if (kind === "process") {
    const said = process.pid == null ? "" : `pid ${process.pid}`;
    Object.assign(attributes, {
      "aria-expanded": String(!folded.has(process)),
      title: (process.argv || []).join(" "),
      onclick: () => {
        if (!folded.delete(process)) folded.add(process);
        layOut();
      },
    });
    inside = [el("span", {class: "name"}, labelOf(process)), el("span", {class: "of"}, said)];
  } else if (kind === "service") {
    Object.assign(attributes, {title: fullName(service), onclick: () => choose(service)});
    const of = [service.owner, service.attached && "attached"].filter(Boolean).join(", ");
    inside = [el("span", {class: "name"}, service.name), el("span", {class: "of"}, of)];
    const count = (facts, glyph, name) =>
      service[facts].length &&
      inside.push(
        el(
          "span",
          {class: `count ${name}`, title: counted(service[facts].length, name)},
          `${glyph}${service[facts].length}`,
        ),
      );
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
