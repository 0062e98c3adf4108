/* The graph of references: who waits for whom. */

/* Services in columns: each right of all that it waits for. */
function graph(all, path) {
  const referred = new Set(all.flatMap((service) => service.needs));
  const tied = all.filter((service) => service.needs.length || referred.has(service));
  const alone = all.filter((service) => !tied.includes(service));
  const said =
    alone.length > 0 &&
    el(
      "p",
      {class: "faint lead"},
      "Waits for nobody, and nobody for it: ",
      alone.map((service, place) => [place ? ", " : "", linkTo(service, service.name)]),
      ".",
    );
  if (!tied.length) return said || el("p", {class: "faint"}, "No services.");
  const column = new Map(tied.map((service) => [service, depthOf(service)]));
  // each edge is a way from column to column; where it passes others it has a place of its own
  const columns = [],
    ways = [];
  for (const service of tied) (columns[column.get(service)] ||= []).push(service);
  for (const service of tied) {
    for (const other of service.needs) {
      const way = [other];
      for (let at = column.get(other) + 1; at < column.get(service); at += 1) {
        const bend = {bend: true};
        column.set(bend, at);
        columns[at].push(bend);
        way.push(bend);
      }
      ways.push([...way, service]);
    }
  }
  const before = new Map(),
    after = new Map();
  const note = (map, key, value) => map.set(key, [...(map.get(key) || []), value]);
  for (const way of ways) {
    way.slice(1).forEach((end, at) => {
      note(before, end, way[at]);
      note(after, way[at], end);
    });
  }
  // ordered twice by the middle of their neighbours, which leaves few crossings
  const place = new Map();
  const order = (list) => list.forEach((node, row) => place.set(node, row - list.length / 2));
  const middle = (near, node) =>
    near ? near.reduce((sum, other) => sum + place.get(other), 0) / near.length : place.get(node);
  const sort = (near) => (list) => {
    list.sort((a, b) => middle(near.get(a), a) - middle(near.get(b), b));
    order(list);
  };
  columns.forEach(order);
  for (let turn = 0; turn < 2; turn += 1) {
    columns.forEach(sort(before));
    [...columns].reverse().forEach(sort(after));
  }
  const HIGH = 38,
    GAP = 12,
    WAY = 38;
  const many = new Set(tied.map((service) => service.owner)).size > 1;
  const title = (service) =>
    clean(many && service.owner ? `${service.name} (${service.owner})` : service.name);
  const readyAfter = ({lives}) => {
    const life = lives.find((one) => one.ready != null);
    return life ? duration(life.ready - life.starting) : "not ready";
  };
  const short = (text) => (text.length > 30 ? text.slice(0, 29) + CUT : text);
  const wide = columns.map(
    (list) =>
      Math.max(
        ...list.map((node) =>
          node.bend ? 0 : Math.max(short(title(node)).length, readyAfter(node).length),
        ),
      ) *
        7.2 +
      22,
  );
  const left = wide.map((_, at) => wide.slice(0, at).reduce((sum, one) => sum + one + WAY, 0) + 2);
  const high = (node) => (node.bend ? 6 : HIGH) + GAP;
  const total = (list) => list.reduce((sum, node) => sum + high(node), 0);
  const full = Math.max(...columns.map(total)) - GAP + 4;
  const y = new Map();
  for (const list of columns) {
    let at = (full + GAP - total(list)) / 2;
    for (const node of list) {
      y.set(node, at);
      at += high(node);
    }
  }
  const lines = ways.map((way) => {
    let drawn = "";
    way.slice(1).forEach((end, at) => {
      const from = way[at],
        fromX = left[column.get(from)] + wide[column.get(from)],
        toX = left[column.get(end)];
      const fromY = y.get(from) + (high(from) - GAP) / 2,
        toY = y.get(end) + (high(end) - GAP) / 2,
        bend = (toX - fromX) / 2;
      drawn += `${drawn ? "L" : "M"}${fromX} ${fromY}`;
      drawn += `C${fromX + bend} ${fromY} ${toX - bend} ${toY} ${toX - 1} ${toY}`;
    });
    return svg("path", {
      class:
        path.indexOf(way.at(-1)) === path.indexOf(way[0]) + 1 && path.includes(way[0])
          ? "critical"
          : "",
      d: `${drawn}m-6 -4l6 4l-6 4`,
    });
  });
  const boxes = tied.map((service) => {
    return svg(
      "g",
      {
        class: [
          path.includes(service) && "critical",
          service.deaths.some((death) => !death.byTest) && "dead",
        ]
          .filter(Boolean)
          .join(" "),
        transform: `translate(${left[column.get(service)]} ${y.get(service)})`,
        onclick: () => choose(service),
      },
      svg("title", {}, fullName(service)),
      svg("rect", {width: wide[column.get(service)], height: HIGH, rx: 6}),
      svg("text", {x: 10, y: 16}, short(title(service))),
      svg("text", {x: 10, y: 31, class: "small"}, readyAfter(service)),
    );
  });
  const width = left.at(-1) + wide.at(-1) + 4;
  const words = tied
    .filter((service) => service.needs.length)
    .map(
      (service) =>
        `${service.name} waits for ${service.needs.map((other) => other.name).join(", ")}`,
    )
    .join("; ");
  const picture = svg(
    "svg",
    {
      class: "graph",
      width,
      height: full,
      viewBox: `0 0 ${width} ${full}`,
      role: "img",
      "aria-label": words,
    },
    lines,
    boxes,
  );
  // smaller than it is where there is no room, but no smaller than what can be read
  picture.style.minWidth = `${width * 0.75}px`;
  return el("div", {}, el("div", {class: "scroll"}, picture), said);
}
