/* The head: the result at a glance. */

function head() {
  const failed = bad.length - unfinished.length;
  const all = counted(tests.length, "test");
  const verdict = bad.length
    ? joined(
        [
          failed && `${number(failed)} of ${all} failed`,
          unfinished.length &&
            `${number(unfinished.length)}${failed ? "" : ` of ${all}`} did not end`,
        ],
        ", ",
      )
    : tests.length
      ? `${tests.length === 1 ? "The test" : `All ${all}`} passed`
      : services.length
        ? `${counted(distinct.length, "service")}, no tests`
        : "Nothing was recorded";
  $("h1").textContent = verdict;
  document.title = verdict;
  $("header").className =
    bad.length || died.length || unstarted.length ? "failed" : tests.length ? "passed" : "empty";
  const began = Number.isFinite(report.epoch) && new Date(report.epoch * 1000);
  const killed = processes.filter((process) => process.ended == null);
  $("#when").append(
    joined([
      began && began.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"}),
      processes.length && `took ${duration(LAST)}`,
      processes.length > 1 && counted(processes.length, "process", "processes"),
      report.left_out &&
        `${counted(report.left_out, "passed test")} left out: too many for one page`,
    ]),
  );
  if (killed.length) {
    $("#when").append(
      " · ",
      el(
        "strong",
        {class: "bad"},
        `${killed.map((process) => process.label || process.pid).join(", ")} did not end by ${killed.length === 1 ? "itself" : "themselves"}`,
      ),
    );
  }

  const figure = (value, label, more = {}) =>
    $("#figures").append(
      el(
        "li",
        {},
        more.onclick
          ? el("button", {type: "button", ...more}, el("strong", {}, value), el("small", {}, label))
          : el("span", {class: "figure", ...more}, el("strong", {}, value), el("small", {}, label)),
      ),
    );
  const list = (kind) => {
    $("#find-test").value = "";
    filter(kind);
    if (kind === "failed") choose(listed[0]);
    $("#list").focus();
  };
  if (bad.length)
    figure(number(bad.length), "failed", {class: "bad", onclick: () => list("failed")});
  if (tests.length) {
    const passed = tests.filter((test) => kindOf(test) === "passed").length;
    const skipped = tests.length - passed - bad.length;
    figure(number(passed), "passed", {onclick: () => list("passed")});
    if (skipped) figure(number(skipped), "skipped", {onclick: () => list("skipped")});
  }
  figure(number(distinct.length), distinct.length === 1 ? "service" : "services");
  const starts = distinct.flatMap((service) =>
    service.lives
      .filter((life) => life.ready != null)
      .map((life) => ({service, life, took: life.ready - life.starting})),
  );
  const slowest = starts.sort((a, b) => b.took - a.took)[0];
  if (slowest) {
    figure(duration(slowest.took), `slowest start: ${slowest.service.name}`, {
      title: fullName(slowest.service),
      onclick: () => {
        choose(slowest.service);
        lookAt(slowest.life.starting, slowest.life.ready);
      },
    });
  }
  const lead = (found) => ({
    class: "bad",
    title: found.map((death) => `${fullName(death.service)} ${death.how}`).join("\n"),
    onclick: () => {
      // from one to the next with each click
      const next = found[(found.indexOf(shownDeath) + 1) % found.length];
      shownDeath = next;
      choose(next.service);
      lookAt(next.at, next.at);
    },
  });
  if (died.length)
    figure(
      number(died.length),
      died.length === 1 ? `death: ${died[0].service.name}` : "deaths",
      lead(died),
    );
  if (unstarted.length)
    figure(
      number(unstarted.length),
      unstarted.length === 1 ? `failed start: ${unstarted[0].service.name}` : "failed starts",
      lead(unstarted),
    );
  const sum = (facts) => distinct.reduce((total, service) => total + service[facts].length, 0);
  if (sum("restarts"))
    figure(number(sum("restarts")), sum("restarts") === 1 ? "restart" : "restarts");
  if (sum("resets")) figure(number(sum("resets")), sum("resets") === 1 ? "reset" : "resets");

  $("#copy").addEventListener("click", () => copy(issue(bad)));
}
let shownDeath = null;
