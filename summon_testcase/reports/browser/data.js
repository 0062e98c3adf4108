/* The data of the report, and what follows from it. */
"use strict";

const report = JSON.parse(document.getElementById("data").textContent) || {};
const labelOf = (process) => process.label || process.id;
/* gw2 before gw10 */
const processes = [...(report.processes || [])].sort((a, b) =>
  labelOf(a).localeCompare(labelOf(b), "en", {numeric: true}),
);
const services = report.services || [];
const notes = report.notes || [];
const warnings = report.warnings || [];
/* page.py writes tests as lists, since there may be thousands of them */
const tests = (report.tests || []).map((row, number) => {
  const [process, name, began, ended, outcome, message, used] = row;
  return {
    number,
    name: String(name),
    began,
    ended,
    outcome: outcome || "unfinished",
    message,
    process: (report.processes || [])[process],
    services: report.service_sets[used].map((place) => services[place]),
  };
});

const GOOD = new Set(["passed", "skipped", "expected failure"]);
const isBad = (test) => !GOOD.has(test.outcome);
const kindOf = (test) =>
  isBad(test) ? "failed" : test.outcome === "skipped" ? "skipped" : "passed";
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
  // another process has started it
  service.attached = service.lives.length > 0 && service.lives.every((life) => life.attached);
  service.process = processes.find((process) => process.id === service.process);
  for (const life of service.lives) {
    seen(
      service.process,
      life.starting,
      life.spawned,
      life.ready,
      life.failed,
      life.stopping,
      life.stopped,
      life.died?.at,
      life.killed?.at,
      life.paused || [],
    );
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
const LAST = Math.max(0.001, ...lastOf.values());
/* With some room, so that marks at the very end are not cut off. */
const END = LAST * 1.015;
const unfinished = tests.filter((test) => test.ended == null);

/* The times at which a life passes from one state to the next, as [state, from, to]. */
function statesOf(service, life) {
  const next = service.lives[service.lives.indexOf(life) + 1];
  const until = life.stopped ?? life.failed ?? next?.starting ?? endOf(service.process);
  const steps = [
    ["starting", life.starting],
    ["ready", life.ready],
    ["dead", life.died?.at],
    ["dead", life.killed?.at],
    ["stopping", life.stopping],
    ["stopped", until],
  ]
    .filter(([, at]) => at != null)
    .sort((a, b) => a[1] - b[1]);
  return steps.slice(0, -1).map(([state, at], place) => [state, at, steps[place + 1][1]]);
}

/* Every death of a service: when, its signal or status in short, and all that is known. */
function deathsOf(service) {
  return service.lives.flatMap((life) => {
    const found = [];
    if (life.died) found.push({life, at: life.died.at, how: life.died.how, when: life.died.when});
    if (life.killed) {
      found.push({
        life,
        at: life.killed.at,
        byTest: true,
        how: life.killed.how || `was killed by ${life.killed.signal || "a test"}`,
      });
    }
    if (life.failed != null)
      found.push({life, at: life.failed, how: life.error || "did not start", start: true});
    for (const death of found) {
      death.service = service;
      // the message of a start that failed goes on for many lines
      death.how = String(death.how || "died").split("\n")[0];
      const status = /status (\d+)|exit(?:ed)? (?:with )?(\d+)/.exec(death.how);
      death.short =
        /SIG[A-Z]\w*/.exec(death.how)?.[0] ||
        (death.start ? "did not start" : status ? `exit ${status[1] || status[2]}` : "died");
    }
    return found;
  });
}
for (const service of services) service.deaths = deathsOf(service);
/* Without those that are attached to one in another lane, of which this lane tells all. */
const distinct = services.filter(
  (service) =>
    !service.attached ||
    !services.some(
      (other) => !other.attached && other.name === service.name && other.owner === service.owner,
    ),
);
const deaths = distinct.flatMap((service) => service.deaths).sort((a, b) => a.at - b.at);
const died = deaths.filter((death) => !death.byTest && !death.start);
// a start is cancelled since another one has failed, which is the one to look at
const unstarted = deaths.filter((death) => death.start && death.how !== "cancelled");

/* The service of this name that another one of the same process refers to. */
function named(name, service) {
  const near = services.filter(
    (other) => other.name === name && other.process === service.process && other !== service,
  );
  return near.find((other) => other.owner === service.owner) || near[0];
}
for (const service of services) {
  service.needs = (service.refs || []).map((name) => named(name, service)).filter(Boolean);
}

/* How many services must be ready one after the other before this one is started. */
const depths = new Map();
function depthOf(service) {
  if (!depths.has(service)) {
    depths.set(service, 0); // if there should be a circle
    depths.set(service, Math.max(-1, ...service.needs.map(depthOf)) + 1);
  }
  return depths.get(service);
}
