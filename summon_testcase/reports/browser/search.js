/* Search in all logs. */

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
    for (const service of services)
      for (const life of service.lives)
        for (const part of partsOf(life)) {
          let last = -1;
          for (const found of part.text.matchAll(wanted)) {
            const begin = part.text.lastIndexOf("\n", found.index) + 1;
            // one hit a line
            if (begin === last) continue;
            last = begin;
            total += 1;
            if (hits.length < MOST)
              hits.push({
                service,
                part,
                begin,
                from: found.index,
                to: found.index + found[0].length,
              });
          }
        }
  }
  $("#found").textContent = !words
    ? ""
    : !total
      ? "No line matches."
      : total > MOST
        ? `${number(total)} lines; the first ${MOST}:`
        : `${counted(total, "line")}:`;
  $("#hits").replaceChildren(...hits.map(hitOf));
}
function hitOf(hit) {
  const {service, part, begin, from, to} = hit;
  const end = part.text.indexOf("\n", to) < 0 ? part.text.length : part.text.indexOf("\n", to);
  const cut = Math.max(begin, from - 200);
  const test = testOf(service, part);
  const where = joined([
    fullName(service),
    service.process?.label,
    moment(part.at, 0.01),
    test && `during ${nameOf(test)[0]}`,
  ]);
  return el(
    "li",
    {},
    el(
      "button",
      {
        type: "button",
        onclick: () => {
          choose(service, {hit});
          $("#chosen h3").focus({preventScroll: true});
        },
      },
      el("span", {class: "where"}, where),
      el(
        "code",
        {},
        cut > begin && "…",
        part.text.slice(cut, from),
        el("mark", {}, part.text.slice(from, to)),
        part.text.slice(to, Math.min(end, to + 400)),
      ),
    ),
  );
}
