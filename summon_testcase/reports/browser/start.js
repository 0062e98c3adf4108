/* The start: what the first test had to wait for. */

const critical = new Set();
/* From the first test back: who was ready last, for whom had that one waited longest, and so on. */
function pathTo(process) {
  const own = servicesOf.get(process) || [];
  const first = tests
    .filter((test) => test.process === process)
    .sort((a, b) => a.began - b.began)[0];
  const until = first?.began ?? Infinity;
  const readyLife = (service, before) =>
    service.lives.filter((life) => life.ready != null && life.ready <= before + NEAR).at(-1);
  const latest = (from, before) =>
    from
      .map((service) => ({service, life: readyLife(service, before)}))
      .filter(({life}) => life)
      .sort((a, b) => b.life.ready - a.life.ready)[0];
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
  const choice =
    processes.length > 1 &&
    el(
      "p",
      {class: "lead"},
      el(
        "label",
        {},
        "Process ",
        el(
          "select",
          {
            onchange: (event) => {
              startTab(processes[event.target.value]);
              $("#start select").focus();
            },
          },
          processes.map((one, place) =>
            el("option", {value: place, selected: one === process}, labelOf(one)),
          ),
        ),
      ),
    );
  const began = process.began ?? 0;
  const end = first?.began ?? path.at(-1)?.life.ready ?? began;
  const total = Math.max(end - began, 1e-9),
    short = Math.max(0.0005, total / 200);
  const steps = [];
  let at = began;
  for (const {service, life} of path) {
    if (life.starting - at > short)
      steps.push({
        gap: at === began ? "before the first service" : "in between",
        from: at,
        to: life.starting,
      });
    steps.push({service, life, from: life.starting, to: life.ready});
    at = life.ready;
  }
  if (first && end - at > short)
    steps.push({
      gap: path.length ? "until the first test" : "before the first test",
      from: at,
      to: end,
    });
  const row = (step) =>
    el(
      "tr",
      {class: step.gap ? "gap" : ""},
      el("td", {}, step.gap || linkTo(step.service, step.service.name)),
      el("td", {class: "number"}, duration(step.to - step.from)),
      el("td", {class: "number"}, `${Math.round(((step.to - step.from) / total) * 100)} %`),
      el(
        "td",
        {class: "axis"},
        svg(
          "svg",
          {viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true"},
          svg("rect", {
            x: ((step.from - began) / total) * 1000,
            y: 2,
            height: 10,
            width: Math.max(3, ((step.to - step.from) / total) * 1000),
            fill: step.gap ? "var(--stopping)" : "var(--starting)",
          }),
        ),
      ),
    );
  const waited = path.length ? path.map(({service}) => service.name).join(", then ") : "";
  panel.replaceChildren(
    ...[
      choice,
      el(
        "div",
        {class: "half"},
        el("h3", {}, "Critical path"),
        el(
          "p",
          {class: "lead"},
          first
            ? `The first test of ${process.label || "this process"} began after ${duration(total)}. `
            : `All services were ready after ${duration(total)}. `,
          waited && `It waited for ${waited}: make these faster, and the tests begin sooner.`,
        ),
        el(
          "div",
          {class: "scroll"},
          el(
            "table",
            {class: "path"},
            el(
              "thead",
              {},
              el(
                "tr",
                {},
                el("th", {}, "Step"),
                el("th", {class: "number"}, "Took"),
                el("th", {class: "number"}, "Share"),
                el("th", {}, ""),
              ),
            ),
            el("tbody", {}, steps.map(row)),
          ),
        ),
      ),
      el(
        "div",
        {class: "half"},
        el("h3", {}, "Who waits for whom"),
        graph(
          servicesOf.get(process) || [],
          path.map(({service}) => service),
        ),
      ),
    ].filter(Boolean),
  );
  redraw();
}
/* The process whose first test waited longest. */
function busiest() {
  const waits = (process) =>
    (pathTo(process).first?.began ?? endOf(process)) - (process.began ?? 0);
  return processes
    .filter((process) => servicesOf.get(process).length)
    .sort((a, b) => waits(b) - waits(a))[0];
}
