/* Which part of a log was written when. */

/* At each event the size of a log is noted, if it has grown: a mark.  So what begins at a mark was
   written before the next mark, and after the event before that one.  A part of the log begins at
   each mark; where the next one does not, something is left out. */
function partsOf(life) {
  if (life.parts) return life.parts;
  const marks = life.marks || [];
  let place = -1,
    expected = 0;
  life.parts = (life.excerpt || []).map(([offset, text]) => {
    while (place + 1 < marks.length && marks[place + 1][1] <= offset) place += 1;
    const next = marks[place + 1];
    const cut = offset !== expected;
    expected = next?.[1];
    return {
      offset,
      text: clean(text),
      cut,
      at: next?.[0] ?? life.stopped ?? marks[place]?.[0] ?? life.starting,
    };
  });
  return life.parts;
}
const CUT = "…";
const NEAR = 1e-6;
/* The test during which a part was written. */
const testOf = (service, part) =>
  service.tests.findLast((test) => test.began < part.at - NEAR && test.known >= part.at - NEAR);
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
  let before = [],
    inside = "",
    after = [],
    gone = false,
    log = service.lives.at(-1)?.log;
  for (const life of livesDuring(service, test.began, test.known)) {
    const [low, high] = placesOf(life, test);
    log = life.log;
    for (const part of partsOf(life)) {
      if (part.offset >= high) {
        if (after.length < AROUND) after.push(...lines(part.text));
      } else if (part.offset >= low)
        inside += (part.cut && part.offset > low ? `${CUT}\n` : "") + part.text;
      else if (!inside) before.push(...lines(part.text).slice(-4 * AROUND));
    }
    // nothing is known of what was written before the part of a long log that the page has
    const unknown = life.shortened && !(life.marks[0]?.[0] <= test.began);
    gone ||= !inside && (unknown || (high > low && high < Infinity));
  }
  // also who had died before, and was not started again
  const fatal = service.deaths.filter(
    (death) =>
      death.at <= test.known &&
      (death.at >= test.began ||
        !(service.lives[service.lives.indexOf(death.life) + 1]?.starting <= test.began)),
  );
  return {
    service,
    inside,
    gone,
    log,
    fatal,
    before: before
      .filter((line) => line.trim())
      .slice(-AROUND)
      .join("\n"),
    after: after.slice(0, AROUND).join("\n"),
  };
}
function lines(text) {
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  return all;
}
/* All services of a test: first who died, then who wrote, then who kept silent; and of these first
   who refers to others, since that is most likely whom the test talks to. */
function evidences(test) {
  const rank = (one) => (one.fatal.length ? 0 : one.inside ? 1 : 2);
  return test.services
    .map((service) => evidence(service, test))
    .sort((a, b) => rank(a) - rank(b) || depthOf(b.service) - depthOf(a.service));
}
