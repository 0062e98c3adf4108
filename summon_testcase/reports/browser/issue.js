/* A text for an issue. */

const LONGEST = 60000;
/* A fence that is longer than all in the text, or the text could end it. */
function fenced(text) {
  const fence = "`".repeat(
    Math.max(3, ...[...text.matchAll(/`+/g)].map((found) => found[0].length + 1)),
  );
  return `${fence}text\n${text.replace(/\n$/, "")}\n${fence}`;
}
const tail = (text, count) => {
  const all = lines(text);
  return all.length > count
    ? `… ${counted(all.length - count, "line")} before\n${all.slice(-count).join("\n")}`
    : text;
};
function issue(about) {
  const said = [`### ${$("h1").textContent}`];
  const told = about.slice(0, 10);
  for (const test of told) {
    said.push(`#### ${test.outcome}: \`${clean(test.name).replaceAll("`", "'")}\` (${took(test)})`);
    if (test.message) said.push(fenced(tail(clean(test.message), 60)));
    for (const {service, inside, fatal} of evidences(test)) {
      if (!inside && !fatal.length) continue;
      const how = fatal.map((death) => ` ${death.how}`).join(",");
      said.push(`**${clean(service.name)}**${clean(how)}${inside ? " wrote:" : " wrote nothing."}`);
      if (inside) said.push(fenced(tail(inside, 20)));
    }
  }
  if (about.length > told.length)
    said.push(`… and ${counted(about.length - told.length, "more test", "more tests")}`);
  const known = new Set(told.flatMap(evidences).flatMap((one) => one.fatal));
  const others = [...unstarted, ...died].filter((death) => !known.has(death));
  for (const death of others.slice(0, 20))
    said.push(`**${clean(fullName(death.service))}** ${clean(death.how)} at ${moment(death.at)}`);
  const facts = Object.entries({...report.versions, ...report.machine}).map(
    ([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`,
  );
  const process = told[0]?.process || processes[0];
  if (process)
    facts.push(
      `Python: ${process.python}`,
      `platform: ${process.platform}`,
      `command: ${(process.argv || []).map(word).join(" ")}`,
    );
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
  silence = setTimeout(() => {
    $("#said").textContent = "";
  }, 2500);
}
