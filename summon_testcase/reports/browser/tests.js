/* The list of tests: only the rows that can be seen are in the document. */

const ITEM = 40;
let listed = [],
  wanted = "all";
const FILTERS = [
  ["all", "All", tests.length],
  ...["failed", "passed", "skipped"].map((kind) => [
    kind,
    kind[0].toUpperCase() + kind.slice(1),
    tests.filter((test) => kindOf(test) === kind).length,
  ]),
];
for (const [kind, name, count] of FILTERS) {
  if (count || kind === "all") {
    $("#filters").append(
      el(
        "button",
        {type: "button", "data-kind": kind, onclick: () => filter(kind)},
        `${name} ${number(count)}`,
      ),
    );
  }
}
function filter(kind = wanted) {
  wanted = kind;
  const words = $("#find-test").value.toLowerCase();
  for (const button of $("#filters").children)
    button.setAttribute("aria-pressed", button.dataset.kind === kind);
  // what failed comes first: that is what most people open a report for
  listed = tests
    .filter(
      (test) =>
        (kind === "all" || kindOf(test) === kind) &&
        (!words ||
          test.name.toLowerCase().includes(words) ||
          (test.message || "").toLowerCase().includes(words)),
    )
    .sort((a, b) => isBad(b) - isBad(a) || a.began - b.began);
  $("#list").scrollTop = 0;
  fill();
}
function fill() {
  const list = $("#list"),
    inside = list.firstElementChild;
  inside.style.height = `${listed.length * ITEM}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ITEM) - 4);
  const last = Math.min(listed.length, Math.ceil((list.scrollTop + list.clientHeight) / ITEM) + 4);
  const made = [];
  for (let place = first; place < last; place += 1) {
    const test = listed[place],
      [name, of] = nameOf(test),
      kind = kindOf(test);
    const row = el(
      "div",
      {
        role: "option",
        id: `option-${test.number}`,
        "aria-selected": String(test === chosen),
        title: test.name,
        "aria-setsize": listed.length,
        "aria-posinset": place + 1,
        onclick: () => choose(test),
      },
      el("span", {class: `glyph ${kind}`, role: "img", "aria-label": test.outcome}, GLYPH[kind]),
      el("span", {class: "name"}, name),
      el("span", {class: "took"}, took(test)),
      el("span", {class: "of"}, joined([processes.length > 1 && test.process?.label, of])),
    );
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
  const now = listed.indexOf(chosen),
    page = Math.max(1, Math.floor(event.currentTarget.clientHeight / ITEM) - 1);
  const to = {
    ArrowDown: now + 1,
    ArrowUp: now < 0 ? 0 : now - 1,
    PageDown: now + page,
    PageUp: now - page,
    Home: 0,
    End: listed.length - 1,
  }[event.key];
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
