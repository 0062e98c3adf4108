/* What has run: machine and versions as the report has them, processes, commands of services. */

function runTab() {
  const list = (rows) =>
    el(
      "dl",
      {},
      rows
        .filter(([, ...said]) => said.some(Boolean))
        .map(([name, ...said]) => [el("dt", {}, name), el("dd", {}, said)]),
    );
  const plain = (facts) =>
    Object.entries(facts || {}).map(([key, value]) => [
      key,
      typeof value === "object" ? JSON.stringify(value) : String(value),
    ]);
  $("#run").append(
    el("h3", {}, "Machine"),
    list([...plain(report.machine), ...plain(report.versions)]),
    el("h3", {}, "Processes"),
    list(
      processes.map((process) => [
        labelOf(process),
        el("code", {}, (process.argv || []).map(word).join(" ")),
        el(
          "div",
          {class: "faint"},
          joined(
            [
              `pid ${process.pid}`,
              process.python && `Python ${process.python}`,
              process.platform,
              process.cwd && `in ${process.cwd}`,
            ],
            ", ",
          ),
        ),
      ]),
    ),
    el("h3", {}, "Commands of services"),
    list(
      services.map((service) => [
        linkTo(service, fullName(service)),
        el("code", {}, commandOf(service) || "none"),
      ]),
    ),
  );
}
/* A word as a shell takes it. */
const word = (text) =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", `'\\''`)}'`;
const commandOf = (service) =>
  Array.isArray(service.command) ? service.command.map(word).join(" ") : service.command || "";
