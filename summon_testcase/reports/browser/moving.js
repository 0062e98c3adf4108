/* Zooming, moving and choosing in the lanes, by pointers and keys. */

function show(from, to) {
  const span = Math.max(Math.min(to - from, END), Math.min(0.0002, END));
  view.from = Math.max(0, Math.min(from, END - span));
  view.to = view.from + span;
  redraw();
}
function zoom(factor, at = (view.from + view.to) / 2) {
  show(at - (at - view.from) * factor, at + (view.to - at) * factor);
}
/* Zoom to something, with as much of what surrounds it that it can be understood. */
function lookAt(from, to) {
  const margin = Math.max(to - from, END / 200, 0.02);
  show(Math.max(0, from - margin), Math.min(END, to + margin));
}
function bring(from, to) {
  const span = view.to - view.from;
  if (from < view.from || to > view.to) show((from + to - span) / 2, (from + to + span) / 2);
}
/* Scroll the lanes until a row can be seen. */
function reveal(row) {
  if (!row) return;
  const lanes = $("#lanes"),
    above = lanes.scrollTop,
    below = above + lanes.clientHeight;
  if (row.y < above || row.y + row.height > below)
    lanes.scrollTop = row.y - (lanes.clientHeight - row.height) / 2;
}

/* What lies under the pointer. */
function under(event) {
  const place = canvas.getBoundingClientRect();
  const x = event.clientX - place.left,
    y = event.clientY - place.top + $("#lanes").scrollTop;
  const row = rows.find((one) => y >= one.y && y < one.y + one.height);
  if (row?.kind === "tests") {
    const lane = row.lanes[Math.min(row.lanes.length - 1, Math.floor((y - row.y) / LANE))];
    const near = lane.filter((test) => xOf(test.began) - 3 <= x && xOf(test.known) + 3 >= x);
    const away = (test) =>
      Math.max(xOf(test.began) - x, x - xOf(test.known), 0) - (isBad(test) ? 2 : 0);
    return {row, test: near.sort((a, b) => away(a) - away(b))[0]};
  }
  return {row, service: row?.service, at: timeAt(x)};
}
function tell({row, service, test, at}) {
  if (test)
    return [
      el("b", {}, nameOf(test)[0]),
      el("div", {}, `${test.outcome}, ${took(test)}, at ${moment(test.began)}`),
    ];
  if (!service)
    return row?.kind === "process"
      ? [(row.process.argv || []).join(" ") || row.process.label]
      : null;
  const near = (time) => Math.abs(xOf(time) - xOf(at)) < 5;
  const said = [el("b", {}, fullName(service))];
  const death = service.deaths.find((one) => near(one.at));
  const restart = service.restarts.find((one) => near(one[0]));
  if (death)
    said.push(
      el("div", {}, `${death.how} at ${moment(death.at)}${death.when ? `, ${death.when}` : ""}`),
    );
  if (restart) said.push(el("div", {}, `restarted at ${moment(restart[0])}: ${restart[1]}`));
  for (const life of service.lives) {
    for (const [state, from, to] of statesOf(service, life)) {
      if (from <= at && at <= to)
        said.push(
          el("div", {}, `${state} ${moment(from)} to ${moment(to)}, ${duration(to - from)}`),
        );
    }
  }
  return said;
}

/* Pointers: one drags, two zoom; a click chooses. */
const pointers = new Map();
let dragged = null;
canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  dragged = {
    x: event.clientX,
    y: event.clientY,
    from: view.from,
    to: view.to,
    top: $("#lanes").scrollTop,
    moved: false,
  };
  if (pointers.size === 2) dragged.apart = apart();
});
const apart = () =>
  Math.max(
    20,
    Math.abs(
      [...pointers.values()].reduce((sum, one, place) => sum + (place ? -1 : 1) * one.clientX, 0),
    ),
  );
canvas.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return tip(event);
  pointers.set(event.pointerId, event);
  if (!dragged) return;
  if (pointers.size === 2 && dragged.apart) {
    const span = ((dragged.to - dragged.from) * dragged.apart) / apart();
    const middle = (dragged.from + dragged.to) / 2;
    dragged.moved = true;
    return show(middle - span / 2, middle + span / 2);
  }
  const x = event.clientX - dragged.x,
    y = event.clientY - dragged.y;
  if (!dragged.moved && Math.hypot(x, y) < 4) return;
  dragged.moved = true;
  canvas.classList.add("held");
  $("#tip").hidden = true;
  const moved = (x / width) * (dragged.to - dragged.from);
  show(dragged.from - moved, dragged.to - moved);
  if (event.pointerType === "mouse") $("#lanes").scrollTop = dragged.top - y;
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    canvas.classList.remove("held");
    if (name === "pointerup" && dragged && !dragged.moved) {
      const {test, service} = under(event);
      if (test || service) choose(test || service);
    }
    // of two fingers the one that stays does not go on to move the lanes
    dragged = null;
  });
}
canvas.addEventListener("pointerleave", () => {
  $("#tip").hidden = true;
});
function tip(event) {
  const said = event.pointerType === "mouse" ? tell(under(event)) : null;
  const made = $("#tip");
  made.hidden = !said;
  if (!said) return;
  made.replaceChildren(...said);
  const {clientX: x, clientY: y} = event;
  const below = y + 18 + made.offsetHeight <= innerHeight;
  made.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - made.offsetWidth - 8))}px`;
  made.style.top = `${below ? y + 18 : y - made.offsetHeight - 8}px`;
}
for (const picture of [canvas, times]) {
  picture.addEventListener(
    "wheel",
    (event) => {
      // without Ctrl the wheel scrolls the lanes, as everywhere
      const sideways =
        Math.abs(event.deltaX) > Math.abs(event.deltaY)
          ? event.deltaX
          : event.shiftKey
            ? event.deltaY
            : 0;
      if (sideways) {
        const moved = (sideways / width) * (view.to - view.from);
        show(view.from + moved, view.to + moved);
      } else if (event.ctrlKey || event.metaKey || picture === times) {
        zoom(
          Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 150),
          timeAt(event.clientX - picture.getBoundingClientRect().left),
        );
      } else return;
      event.preventDefault();
      $("#tip").hidden = true;
    },
    {passive: false},
  );
}
times.addEventListener("pointerdown", (event) => {
  const x = event.clientX - times.getBoundingClientRect().left;
  times.setPointerCapture(event.pointerId);
  dragged = {range: [x, x]};
});
times.addEventListener("pointermove", (event) => {
  if (!dragged?.range) return;
  dragged.range[1] = Math.max(
    0,
    Math.min(width, event.clientX - times.getBoundingClientRect().left),
  );
  redraw();
});
times.addEventListener("pointerup", () => {
  if (!dragged?.range) return;
  const [from, to] = dragged.range.map((x) => (x / width) * END).sort((a, b) => a - b);
  dragged = null;
  const half = (view.to - view.from) / 2;
  if (((to - from) / END) * width > 5) show(from, to);
  else show(from - half, from + half);
});
times.addEventListener("pointercancel", () => {
  dragged = null;
  redraw();
});
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const span = view.to - view.from;
  const act = {
    ArrowLeft: () => show(view.from - span / 8, view.to - span / 8),
    ArrowRight: () => show(view.from + span / 8, view.to + span / 8),
    ArrowUp: () => {
      $("#lanes").scrollTop -= 2 * LANE;
    },
    ArrowDown: () => {
      $("#lanes").scrollTop += 2 * LANE;
    },
    "+": () => zoom(0.7),
    "=": () => zoom(0.7),
    "-": () => zoom(1.4),
    0: () => show(0, END),
    Home: () => show(0, END),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
$("#zoom-in").addEventListener("click", () => zoom(0.6));
$("#zoom-out").addEventListener("click", () => zoom(1 / 0.6));
$("#zoom-all").addEventListener("click", () => show(0, END));
$("#lanes").addEventListener("scroll", redraw, {passive: true});
