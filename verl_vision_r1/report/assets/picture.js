// The image with the ground truth and the boxes of every rollout.

const GROUND_TRUTH_COLOUR = "#1b7837";
const COLOURS = ["#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#7b3294", "#a6611a", "#e31a1c"];
const SVG = "http://www.w3.org/2000/svg";

function colourOf(index) {
  return COLOURS[index % COLOURS.length];
}

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A box; the polygons of an object with an outline; a point as a dot where it hits, else as a cross. */
function shapeOf([x1, y1, x2, y2], outline, hit, stroke, size) {
  if (outline && outline.length) {
    const ring = (numbers) => numbers.map((number, place) => (place % 2 ? `${number} ` : `${number},`)).join("");
    return outline.map((numbers) => svg("polygon", { points: ring(numbers), ...stroke }));
  }
  if (x1 === x2 && y1 === y2) {
    const arm = size / 2.5;
    if (hit) return [svg("circle", { cx: x1, cy: y1, r: arm, fill: stroke.stroke, stroke: "white", "stroke-width": 1.5 })];
    const cross = `M${x1 - arm},${y1 - arm}L${x1 + arm},${y1 + arm}M${x1 - arm},${y1 + arm}L${x1 + arm},${y1 - arm}`;
    return [svg("path", { d: cross, stroke: "white", "stroke-width": 6 }), svg("path", { d: cross, ...stroke })];
  }
  const place = { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
  return [svg("rect", { ...place, ...stroke })];
}

/** Draws boxes in original-image pixels; with `named`, the image height, each with its number and label. */
function drawBoxes(kind, boxes, labels, colour, width, named, size, outlines = [], hits = new Set()) {
  const group = svg("g", { "data-boxes": kind });
  boxes.forEach(([x1, y1, x2, y2], index) => {
    const stroke = { stroke: colour, "stroke-width": width };
    group.append(...shapeOf([x1, y1, x2, y2], outlines[index], hits.has(index), stroke, size));
    if (!named) return;
    const label = `${index + 1} ${shortened(labels[index] ?? "")}`;
    const above = kind === "truth" ? y1 - size / 3 : y2 + size;
    const y = Math.min(Math.max(above, size), named - 2);
    group.append(svg("text", { x: Math.max(x1, 0), y, fill: colour, "font-size": size, "stroke-width": size / 6 }, label));
  });
  return group;
}

function drawPicture(prompt) {
  const { width, height } = prompt;
  const source = DATA.images[prompt.image].url;
  const canvas = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
  const size = Math.max(width / 38, 4);
  prompt.rollouts.forEach((rollout, index) => {
    if (STATE.hidden.has(index)) return;
    const chosen = index === STATE.rollout;
    const hits = new Set(rollout.pairs.map((match) => match[0]));
    const named = chosen && height;
    const drawn = drawBoxes(index, rollout.boxes, rollout.labels, colourOf(index), chosen ? 3 : 2, named, size, [], hits);
    canvas.append(drawn);
  });
  const chosen = canvas.querySelector(`[data-boxes="${STATE.rollout}"]`);
  if (chosen) canvas.append(chosen);
  if (STATE.truth) {
    const { boxes, labels, outlines } = prompt.truth;
    canvas.append(drawBoxes("truth", boxes, labels, GROUND_TRUTH_COLOUR, 3, height, size, outlines));
  }
  const shown = Math.min(Math.max(width, 480), 640, (420 * width) / height);
  const image = element("img", { alt: `image ${prompt.image_id}`, style: `width:${shown}px;aspect-ratio:${width}/${height}` });
  if (source) image.src = source;
  fill("picture", image, canvas);
}
