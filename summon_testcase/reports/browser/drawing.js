/* The lanes are drawn on a canvas, which stays fluid with thousands of tests. */

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names =
    "sheet raised ink faint rule accent band starting ready paused stopping dead passed skipped " +
    "on-passed on-failed on-skipped";
  for (const name of names.split(" ")) {
    colour[name] = style.getPropertyValue(`--${name}`).trim();
  }
  colour.failed = colour.dead;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour.paused;
  pen.lineWidth = 2.4;
  pen.beginPath();
  for (const x of [-6, 0, 6]) {
    pen.moveTo(x, 6);
    pen.lineTo(x + 6, 0);
  }
  pen.stroke();
  stripes = tile;
}

/* As many pixels as the screen has, so that lines are sharp. */
function sharp(picture, width, height) {
  const ratio = devicePixelRatio || 1;
  picture.width = Math.round(width * ratio);
  picture.height = Math.round(height * ratio);
  picture.style.height = `${height}px`;
  return ratio;
}
let width = 0,
  height = 0;
function fit() {
  const all = rows.length ? rows.at(-1).y + rows.at(-1).height : 0;
  width = canvas.clientWidth;
  height = Math.min(all, $("#lanes").clientHeight || all);
  sharp(canvas, width, height);
  // as wide as the lanes, which have a scroll bar
  $("#times").style.paddingRight = `${$("#lanes").offsetWidth - $("#lanes").clientWidth}px`;
  sharp(times, width, 54);
  redraw();
}
let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}
const xOf = (at) => ((at - view.from) / (view.to - view.from)) * width;
const timeAt = (x) => view.from + (x / width) * (view.to - view.from);

function pencil(picture) {
  const pen = picture.getContext("2d");
  const ratio = devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, picture.width, picture.height);
  pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = "middle";
  return pen;
}
function stepOf() {
  const rough = (view.to - view.from) / Math.max(2, width / 95);
  const ten = 10 ** Math.floor(Math.log10(rough));
  return ten * [1, 2, 5, 10].find((factor) => ten * factor >= rough);
}
function draw() {
  if (!width) return;
  const pen = pencil(canvas);
  const top = $("#lanes").scrollTop;
  const step = stepOf();
  pen.fillStyle = colour.rule;
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    pen.fillRect(Math.round(xOf(at)), 0, 1, height);
  }
  const [from, to] = (band || []).map(xOf);
  if (band) {
    pen.fillStyle = colour.band;
    pen.fillRect(from, 0, Math.max(to - from, 1), height);
  }
  for (const row of rows) {
    const y = row.y - top;
    if (y + row.height < 0 || y > height) continue;
    if (row.kind === "process") drawProcess(pen, row.process, y);
    else if (row.kind === "service") drawService(pen, row.service, y);
    else row.lanes.forEach((lane, place) => drawTests(pen, lane, y + place * LANE));
    pen.globalAlpha = 0.5;
    pen.fillStyle = colour.rule;
    pen.fillRect(0, y + row.height - 1, width, 1);
    pen.globalAlpha = 1;
  }
  if (band) {
    pen.fillStyle = colour.accent;
    pen.fillRect(Math.round(from) - 1, 0, 1, height);
    pen.fillRect(Math.round(to), 0, 1, height);
  }
  drawTimes(step);
  const whole = view.from <= 0 && view.to >= END;
  $("#shown").textContent = whole
    ? ""
    : `${moment(view.from, step / 10)} to ${moment(view.to, step / 10)}`;
}
/* A box between two times, at least so wide that it is seen; false if it is outside. */
function box(pen, from, to, y, high, least = 1) {
  const left = Math.max(-2, xOf(from)),
    right = Math.min(width + 2, Math.max(xOf(to), xOf(from) + least));
  if (right < 0 || left > width) return false;
  pen.fillRect(left, y, right - left, high);
  return [left, right];
}
function drawProcess(pen, process, y) {
  pen.fillStyle = colour.raised;
  pen.fillRect(0, y, width, PROCESS - 1);
  pen.fillStyle = colour.stopping;
  box(pen, process.began ?? 0, endOf(process), y + PROCESS / 2 - 1, 2);
  if (process.ended == null) cross(pen, xOf(endOf(process)), y + PROCESS / 2, "killed");
}
/* A red cross, with its words on the side where they hide no other mark. */
function cross(pen, x, y, text, marks = []) {
  if (x < -80 || x > width + 80) return;
  pen.lineCap = pen.lineJoin = "round";
  for (const [style, thick] of [
    [colour.sheet, 6],
    [colour.dead, 2.5],
  ]) {
    pen.strokeStyle = style;
    pen.lineWidth = thick;
    pen.beginPath();
    pen.moveTo(x - 4, y - 4);
    pen.lineTo(x + 4, y + 4);
    pen.moveTo(x - 4, y + 4);
    pen.lineTo(x + 4, y - 4);
    pen.stroke();
  }
  pen.font = `bold ${pen.font}`;
  const long = pen.measureText(text).width;
  const free = (left) =>
    left >= 2 &&
    left + long <= width - 2 &&
    !marks.some((mark) => mark !== x && mark > left - 9 && mark < left + long + 9);
  const at = [x + 9, x - 9 - long].find(free);
  if (at != null) {
    pen.strokeStyle = colour.sheet;
    pen.lineWidth = 4;
    pen.strokeText(text, at, y + 0.5);
    pen.fillStyle = colour.dead;
    pen.fillText(text, at, y + 0.5);
  }
  pen.font = pen.font.replace("bold ", "");
}
function drawService(pen, service, y) {
  const high = LANE - 9,
    middle = y + LANE / 2 - 0.5;
  for (const life of service.lives) {
    for (const [state, from, to] of statesOf(service, life)) {
      if (state === "dead") {
        pen.fillStyle = colour.dead;
        box(pen, from, to, middle - 1, 2);
        continue;
      }
      pen.fillStyle = colour[state];
      const drawn = box(pen, from, to, y + 4, high);
      if (drawn && state === "starting" && critical.has(life)) {
        pen.fillStyle = colour.ink;
        pen.fillRect(drawn[0], y + 4 + high, drawn[1] - drawn[0], 2);
      }
    }
    for (const [from, to] of life.paused || []) {
      pen.fillStyle = colour.sheet;
      const drawn = box(pen, from, to ?? life.stopped ?? endOf(service.process), y + 4, high, 2);
      if (!drawn) continue;
      pen.fillStyle = pen.createPattern(stripes, "repeat");
      pen.fillRect(drawn[0], y + 4, drawn[1] - drawn[0], high);
    }
  }
  pen.fillStyle = colour.ink;
  let last = -9;
  for (const [at] of service.resets) {
    const x = xOf(at);
    if (x < -3 || x > width + 3 || x - last < 4) continue;
    last = x;
    pen.beginPath();
    pen.arc(x, middle, 1.8, 0, 7);
    pen.fill();
  }
  const marks = [
    ...service.deaths.map((death) => death.at),
    ...service.restarts.map(([at]) => at),
  ].map(xOf);
  for (const death of service.deaths) cross(pen, xOf(death.at), middle, death.short, marks);
  // below the crosses, since a restart is often at the moment of a death
  for (const [at] of service.restarts) {
    const x = xOf(at);
    pen.fillStyle = colour.accent;
    pen.strokeStyle = colour.sheet;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(x, y + LANE - 9.5);
    pen.lineTo(x + 6, y + LANE - 1.5);
    pen.lineTo(x - 6, y + LANE - 1.5);
    pen.closePath();
    pen.stroke();
    pen.fill();
  }
}
function drawTests(pen, lane, y) {
  const high = LANE - 7;
  let last = -1;
  // what failed is drawn last and wider, so that no crowd of other tests hides it
  for (const pass of [0, 1]) {
    for (const test of lane) {
      const kind = kindOf(test);
      if ((kind === "failed") !== (pass === 1)) continue;
      const left = xOf(test.began),
        right = xOf(test.known);
      if (right < 0 || left > width) continue;
      if (!pass) {
        if (right < last + 0.7) continue;
        last = right;
      }
      pen.fillStyle = colour[kind];
      const wide = Math.max(right - left - (right - left > 3 ? 1 : 0), pass ? THIN : 0.7);
      pen.fillRect(left, y + 3, wide, high);
      if (wide > 48) {
        pen.save();
        pen.beginPath();
        pen.rect(Math.max(left, 0), y, Math.min(right, width) - Math.max(left, 0) - 4, LANE);
        pen.clip();
        pen.fillStyle = colour[`on-${kind}`];
        pen.fillText(clean(nameOf(test)[0]), Math.max(left, 0) + 5, y + 3 + high / 2 + 0.5);
        pen.restore();
      }
    }
  }
  if (chosen && lane.includes(chosen)) {
    pen.strokeStyle = colour.ink;
    pen.lineWidth = 2;
    const left = xOf(chosen.began);
    pen.strokeRect(left - 1, y + 2, Math.max(xOf(chosen.known) - left, THIN) + 2, high + 2);
  }
}

/* Above the lanes: all of the run in small, with what is shown of it, and the times below. */
const OVER = 30;
function drawTimes(step) {
  const pen = pencil(times);
  const wide = width;
  const x = (at) => (at / END) * wide;
  const heights = new Float32Array(Math.ceil(wide) + 1);
  const crowd = tests.length
    ? tests.map((test) => [test.began, test.known])
    : services.flatMap((service) =>
        service.lives.map((life) => [life.starting, life.stopped ?? endOf(service.process)]),
      );
  for (const [from, to] of crowd) {
    for (let column = Math.floor(x(from)); column <= x(to); column += 1) heights[column] += 1;
  }
  const most = Math.max(1, ...heights);
  pen.fillStyle = colour.raised;
  pen.fillRect(0, 0, wide, OVER);
  pen.fillStyle = tests.length ? colour.passed : colour.ready;
  heights.forEach((count, column) => {
    const high = (count / most) * (OVER - 8);
    if (count) pen.fillRect(column, OVER - high, 1, high);
  });
  pen.fillStyle = colour.dead;
  for (const test of bad)
    pen.fillRect(x(test.began) - 1, 8, Math.max(2, x(test.known) - x(test.began)), OVER - 8);
  for (const death of [...died, ...unstarted]) {
    pen.beginPath();
    pen.moveTo(x(death.at) - 4, 0);
    pen.lineTo(x(death.at) + 4, 0);
    pen.lineTo(x(death.at), 7);
    pen.fill();
  }
  const from = x(view.from),
    to = x(view.to);
  pen.globalAlpha = 0.72;
  pen.fillStyle = colour.sheet;
  pen.fillRect(0, 0, from, OVER);
  pen.fillRect(to, 0, wide - to, OVER);
  pen.globalAlpha = 1;
  if (from > 0 || to < wide) {
    pen.strokeStyle = colour.accent;
    pen.lineWidth = 1.5;
    pen.strokeRect(from + 0.75, 0.75, Math.max(3, to - from - 1.5), OVER - 1.5);
  }
  if (dragged?.range) {
    pen.fillStyle = colour.band;
    pen.fillRect(
      Math.min(...dragged.range),
      0,
      Math.abs(dragged.range[1] - dragged.range[0]),
      OVER,
    );
  }
  pen.fillStyle = colour.faint;
  for (let at = Math.ceil(view.from / step - 1e-9) * step; at <= view.to; at += step) {
    const here = xOf(at),
      text = moment(at, step);
    if (here + pen.measureText(text).width + 6 > wide) break;
    pen.fillRect(Math.round(here), OVER + 6, 1, 18);
    pen.fillText(text, Math.round(here) + 4, OVER + 13);
  }
}
