// The pictures: the image of the selected prompt with the shapes of each run, and what the pointer is on.

/** The shapes on each picture, as they were drawn last. */
const DRAWN = [[], []];

/** Size of a picture on the screen in pixels. */
function sizeOf(prompt, room) {
  const highest = STATE.large ? 0.82 * window.innerHeight : 500;
  const widest = STATE.large ? Infinity : 720;
  const width = Math.max(Math.min(room, widest, (highest * prompt.width) / prompt.height), Math.min(room, 160));
  return [width, (width * prompt.height) / prompt.width];
}

/** The visible part of the image in its pixels: left, upper, width, height. */
function visible({ width, height }) {
  return [VIEW.x * width, VIEW.y * height, width / VIEW.scale, height / VIEW.scale];
}

function showImage(picture, prompt) {
  let image = picture.querySelector("img");
  if (picture.dataset.image !== String(prompt.image)) {
    const { url } = DATA.images[prompt.image];
    image = element("img", { alt: `image ${prompt.image_id}`, draggable: "false" });
    if (url) image.src = url;
    picture.replaceChildren(image);
    picture.dataset.image = prompt.image;
  }
  image.style.transform = `scale(${VIEW.scale}) translate(${-100 * VIEW.x}%, ${-100 * VIEW.y}%)`;
}

/** A box in pixels of the screen; that of a point is the one around its mark. */
function onScreen(box, unit, left, upper) {
  const [x1, y1, x2, y2] = box;
  const margin = isPoint(box) ? ARM + 1 : 0;
  return [(Math.min(x1, x2) - left) / unit - margin, (Math.min(y1, y2) - upper) / unit - margin,
    (Math.max(x1, x2) - left) / unit + margin, (Math.max(y1, y2) - upper) / unit + margin];
}

function drawPicture(side) {
  const prompt = sides()[side];
  const picture = document.getElementById(at("picture", side));
  picture.hidden = !prompt;
  if (!prompt) return;
  const [width, height] = sizeOf(prompt, picture.parentElement.clientWidth || 480);
  picture.style.width = `${width}px`;
  picture.style.aspectRatio = `${prompt.width}/${prompt.height}`;
  picture.classList.toggle("zoomed", VIEW.scale > 1);
  showImage(picture, prompt);
  const [left, upper, seen] = visible(prompt);
  const unit = seen / width;
  const canvas = svg("svg", { viewBox: visible(prompt).join(" "), preserveAspectRatio: "none" });
  const shapes = shapesOf(prompt, side);
  const places = shapes.map(({ box }) => onScreen(box, unit, left, upper));
  for (const shape of shapes) {
    const group = svg("g", { "data-kind": shape.kind, ...(shape.outcome ? { "data-outcome": shape.outcome } : {}) });
    group.append(...elementsOf(shape, unit));
    canvas.append(group);
  }
  placeLabels(shapes, places, [width, height], STATE.labels).forEach((spot, index) => {
    if (spot) canvas.append(...labelElements(shapes[index], spot, unit, [left, upper]));
  });
  DRAWN[side] = shapes;
  picture.querySelector("svg")?.remove();
  picture.append(canvas);
  showSaid(picture, prompt, side);
}

function drawPictures() {
  if (STATE.prompt) sides().forEach((_, side) => drawPicture(side));
}

/** What a completion says that no box shows: that it refuses, or should have. */
function saidOf(prompt, rollout) {
  const objects = prompt.truth.boxes.length || prompt.truth.count || 0;
  return {
    "rightly refused": "rightly refused: there is nothing to find",
    "wrongly refused": `wrongly refused: ${objects === 1 ? "the only object is" : `all ${objects} objects are`} missed`,
    "answered a negative": `answered, but there is nothing to find${rollout.predicted ? `: ${rollout.predicted} predicted` : ""}`,
  }[rollout.refusal] ?? "";
}

function showSaid(picture, prompt, side) {
  picture.querySelector(".said")?.remove();
  const rollout = prompt.rollouts[STATE.rollouts[side]];
  const said = STATE.every ? "" : saidOf(prompt, rollout);
  if (!said) return;
  const colour = DATA.palette.outcomes[REFUSALS[rollout.refusal]];
  picture.append(element("div", { class: "said", style: `background:${colour};color:${inkOn(colour)}` }, said));
}

/** The smallest shape at a place in original-image pixels; `slack` is the distance from which an edge counts. */
function shapeAt(shapes, [x, y], slack) {
  const inside = ({ box: [x1, y1, x2, y2] }) =>
    Math.min(x1, x2) - slack <= x && x <= Math.max(x1, x2) + slack && Math.min(y1, y2) - slack <= y && y <= Math.max(y1, y2) + slack;
  const area = ({ box: [x1, y1, x2, y2] }) => Math.abs((x2 - x1) * (y2 - y1));
  return shapes.filter(inside).reduce((best, shape) => (best && area(best) < area(shape) ? best : shape), null);
}

/** Draws shapes thick, above the others. */
function highlight(picture, shapes, unit) {
  picture.querySelector("[data-kind=pointed]")?.remove();
  if (!shapes.length) return;
  const group = svg("g", { "data-kind": "pointed" });
  for (const shape of shapes) {
    group.append(...elementsOf({ ...shape, colour: "#fff", width: 7, dashed: false }, unit), ...elementsOf({ ...shape, width: 4 }, unit));
  }
  picture.querySelector("svg")?.append(group);
}

/** Shows what is at the pointer, and the object that a prediction was compared with. */
function point(side, event) {
  const picture = document.getElementById(at("picture", side));
  const prompt = sides()[side];
  const [left, upper, width, height] = visible(prompt);
  const [across, down] = within(event, picture);
  const unit = width / picture.clientWidth;
  const shape = shapeAt(DRAWN[side], [left + across * width, upper + down * height], 5 * unit);
  const object = shape && DRAWN[side].find((other) => other.kind === "object" && other.index === shape.object);
  highlight(picture, [object, shape].filter(Boolean), unit);
  showTip(shape?.says, event);
}

function showTip(text, event) {
  const tip = document.getElementById("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(Math.min(event.clientX + 14, window.innerWidth - width - 6), 0)}px`;
  tip.style.top = `${event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
}

function leave(side) {
  highlight(document.getElementById(at("picture", side)), [], 1);
  showTip("");
}
