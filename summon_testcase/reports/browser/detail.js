/* What is chosen, a test or a service, and all that is known of it. */

let chosen = null;
/* The address says what is chosen, so that a link to the page can lead to a test. */
function choose(thing, more = {}) {
  const isTest = "outcome" in thing;
  history.replaceState(null, "", `#${isTest ? "test" : "service"}-${thing.number}`);
  chosen?.label?.classList.remove("chosen");
  chosen = thing;
  band = isTest ? [thing.began, thing.known] : null;
  if (isTest) {
    if (!listed.includes(thing)) {
      $("#find-test").value = "";
      filter("all");
    }
    const list = $("#list"),
      top = listed.indexOf(thing) * ITEM;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ITEM > list.scrollTop + list.clientHeight)
      list.scrollTop = top + ITEM - list.clientHeight;
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
const linkTo = (thing, text) =>
  el("a", {href: `#${"outcome" in thing ? "test" : "service"}-${thing.number}`}, text);

function testDetail(test) {
  const [name, of] = nameOf(test),
    kind = kindOf(test);
  const all = evidences(test);
  const silent = all.filter((one) => !one.inside && !one.fatal.length && !one.gone);
  return [
    el(
      "div",
      {class: "title"},
      el(
        "h3",
        {tabindex: -1},
        el("span", {class: `outcome ${kind}`}, `${GLYPH[kind]} ${test.outcome}`),
        name,
      ),
      el(
        "div",
        {class: "buttons"},
        el("button", {type: "button", onclick: () => lookAt(test.began, test.known)}, "Zoom to it"),
        el(
          "button",
          {type: "button", class: "copy-test", onclick: () => copy(issue([test]))},
          "Copy",
        ),
      ),
    ),
    el(
      "p",
      {class: "facts"},
      joined([
        of,
        test.process?.label,
        `${moment(test.began)} to ${moment(test.known)}`,
        test.ended != null && `took ${took(test)}`,
      ]),
    ),
    test.message &&
      el("pre", {class: `message ${kind === "failed" ? "" : "quiet"}`}, test.message.trimEnd()),
    ...notes.filter((note) => within(note, test)).map((note) => noteOf(note, "div")),
    ...all.filter((one) => !silent.includes(one)).map((one) => logOf(one)),
    silent.length > 0 &&
      el(
        "p",
        {class: "faint"},
        "Wrote nothing: ",
        silent.flatMap((one, place) => [place ? ", " : "", linkTo(one.service, one.service.name)]),
      ),
    !test.services.length && el("p", {class: "faint"}, "This test has no services."),
  ].filter(Boolean);
}
const within = (note, test) =>
  note.at >= test.began &&
  note.at <= test.known &&
  (note.process == null || note.process === test.process?.id);
const wholeLog = (log) =>
  log &&
  el("a", {class: "whole", href: beside(log), target: "_blank", rel: "noopener"}, "whole log");

function logOf({service, before, inside, after, gone, log, fatal}) {
  return el(
    "article",
    {class: `log ${fatal.length ? "dead" : ""}`},
    el(
      "header",
      {},
      el("b", {}, linkTo(service, service.name)),
      fatal.map((death) => el("strong", {class: "bad"}, `✕ ${death.how} at ${moment(death.at)}`)),
      el(
        "span",
        {class: "faint"},
        inside
          ? `${counted(lines(inside).length, "line")} during the test`
          : "wrote nothing during the test",
      ),
      wholeLog(log),
    ),
    el(
      "div",
      {class: "lines"},
      gone && !inside && el("p", {class: "cut"}, "What it wrote is in the whole log only."),
      before && el("pre", {class: "around"}, before),
      inside && el("pre", {class: "inside"}, inside.replace(/\n$/, "")),
      after && el("pre", {class: "around"}, after),
    ),
  );
}

function serviceDetail(service, {hit} = {}) {
  const facts = joined([
    service.kind,
    service.scope && `scope ${service.scope}`,
    service.process?.label,
    service.url,
    service.cwd && `in ${service.cwd}`,
  ]);
  const failed = service.tests.filter(isBad);
  const row = (life, place) =>
    el(
      "tr",
      {},
      el("td", {class: "number"}, String(place + 1)),
      el("td", {class: "number"}, moment(life.starting)),
      el(
        "td",
        {class: "number"},
        life.ready != null ? duration(life.ready - life.starting) : "not ready",
      ),
      el("td", {class: "number"}, life.looks == null ? "" : number(life.looks)),
      el("td", {}, life.refusal || ""),
      el(
        "td",
        {class: service.deaths.some((death) => death.life === life) ? "bad" : ""},
        endOfLife(service, life),
      ),
    );
  return [
    el(
      "div",
      {class: "title"},
      el("h3", {tabindex: -1}, fullName(service)),
      el(
        "div",
        {class: "buttons"},
        el(
          "button",
          {
            type: "button",
            onclick: () => {
              const first = service.lives[0]?.starting ?? 0;
              const last = service.lives.at(-1)?.stopped ?? endOf(service.process);
              show(first - (last - first) / 20, last + (last - first) / 20);
            },
          },
          "Zoom to it",
        ),
      ),
    ),
    el("p", {class: "facts"}, facts, el("br"), el("code", {}, commandOf(service))),
    el(
      "p",
      {class: "facts"},
      service.needs.length > 0 && [
        "Waits for ",
        service.needs.map((other, place) => [place ? ", " : "", linkTo(other, other.name)]),
        ". ",
      ],
      [
        counted(service.tests.length, "test"),
        counted(service.resets.length, "reset"),
        counted(service.restarts.length, "restart"),
      ].join(", "),
      service.resets.length > 0 &&
        ` (resets took ${duration(service.resets.reduce((sum, [, took]) => sum + (took || 0), 0))})`,
      ".",
    ),
    failed.length > 0 &&
      el(
        "p",
        {class: "facts"},
        "Failed: ",
        failed
          .slice(0, 20)
          .flatMap((test, place) => [place ? ", " : "", linkTo(test, nameOf(test)[0])]),
        failed.length > 20 && ` and ${failed.length - 20} more`,
      ),
    el(
      "div",
      {class: "scroll"},
      el(
        "table",
        {class: "lives"},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["Life", "Began", "Ready after", "Looks"].map((name) =>
              el("th", {class: "number"}, name),
            ),
            el("th", {}, "Last refusal"),
            el("th", {}, "End"),
          ),
        ),
        el("tbody", {}, service.lives.map(row)),
      ),
    ),
    ...service.restarts.map(([at, reason]) =>
      el("p", {class: "facts"}, `▲ restarted at ${moment(at)}: ${reason}`),
    ),
    ...service.lives
      .filter((life) => life.error)
      .map((life) => el("pre", {class: "message"}, life.error)),
    ...service.lives.map((life, place) => lifeLog(service, life, place, hit)),
  ].filter(Boolean);
}
function endOfLife(service, life) {
  const how = service.deaths
    .filter((death) => death.life === life)
    .map((death) => `${death.how} at ${moment(death.at)}`);
  if (life.stopped != null)
    how.push(
      how.length
        ? `gone at ${moment(life.stopped)}`
        : `${life.how || "stopped"} at ${moment(life.stopped)}`,
    );
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
      inside.push(
        test
          ? el(
              "a",
              {class: "divider", href: `#test-${test.number}`},
              `${moment(test.began)} ${nameOf(test)[0]}: ${test.outcome}`,
            )
          : el("span", {class: "divider"}, `${moment(part.at)} no test`),
      );
      last = test;
    }
    if (part.cut)
      inside.push(el("p", {class: "cut"}, `${CUT} left out here; the whole log has it`));
    const marked = hit?.part === part && [
      part.text.slice(0, hit.from),
      el("mark", {}, part.text.slice(hit.from, hit.to)),
      part.text.slice(hit.to),
    ];
    inside.push(el("pre", {}, marked || part.text.replace(/\n$/, "")));
  }
  return el(
    "article",
    {class: "log whole-log"},
    el(
      "header",
      {},
      el("b", {}, service.lives.length > 1 ? `Log of life ${place + 1}` : "Log"),
      el(
        "span",
        {class: "faint"},
        parts.length ? "" : life.log ? "nothing of it is in this page" : "it has none",
      ),
      wholeLog(life.log),
    ),
    el("div", {class: "lines"}, inside),
  );
}
