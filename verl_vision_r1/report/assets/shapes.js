// What is drawn on a picture: the objects and the predictions, each with its place, colour and description.

const TRUTH_COLOUR = DATA.palette.truth;
const COLOURS = ["#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#7b3294", "#a6611a", "#e31a1c"];
/** Half the width of the mark of a point in pixels of the screen. */
const ARM = 6;
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

function isPoint([x1, y1, x2, y2]) {
  return x1 === x2 && y1 === y2;
}

/** The SVG elements of a shape; `unit` is a pixel of the screen in those of the image. */
function elementsOf({ box, outline, colour, width, dashed, hit }, unit) {
  const stroke = { stroke: colour, "stroke-width": width, ...(dashed ? { "stroke-dasharray": "6 4" } : {}) };
  if (outline?.length) {
    const ring = (numbers) => numbers.map((number, place) => (place % 2 ? `${number} ` : `${number},`)).join("");
    return outline.map((numbers) => svg("polygon", { points: ring(numbers), ...stroke }));
  }
  const [x1, y1, x2, y2] = box;
  if (isPoint(box)) {
    const arm = ARM * unit;
    if (hit) return [svg("circle", { cx: x1, cy: y1, r: arm, fill: colour, stroke: "white", "stroke-width": 1.5 })];
    const cross = `M${x1 - arm},${y1 - arm}L${x1 + arm},${y1 + arm}M${x1 - arm},${y1 + arm}L${x1 + arm},${y1 - arm}`;
    return [svg("path", { d: cross, stroke: "white", "stroke-width": 6 }), svg("path", { d: cross, ...stroke, "stroke-width": 3 })];
  }
  const place = { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
  return [svg("rect", { ...place, ...stroke })];
}

function objectName(prompt, index) {
  return `object ${index + 1} ${shortened(prompt.truth.labels[index] ?? "")}`.trim();
}

/** What is said of a prediction: its outcome, and the object that it overlaps most. */
function describePrediction(prompt, rollout, index) {
  const name = `${prompt.task === "pointing" ? "point" : "box"} ${index + 1} ${shortened(rollout.labels[index] ?? "")}`.trim();
  const nearest = rollout.nearest[index];
  if (rollout.outcomes[index] === undefined) return name;
  const where = prompt.task === "pointing"
    ? (nearest ? `inside ${objectName(prompt, nearest[0])}` : "outside every object")
    : (nearest ? `IoU ${number(nearest[1], 2)} with ${objectName(prompt, nearest[0])}` : "overlaps no object");
  return `${name}: ${OUTCOMES[rollout.outcomes[index]]}, ${where}`;
}

function objectShapes(prompt, rollout, byOutcome) {
  const missed = new Set(byOutcome ? rollout.missed : []);
  return prompt.truth.boxes.map((box, index) => {
    const lost = missed.has(index);
    return {
      kind: "object", index, box, outline: prompt.truth.outlines[index], outcome: lost ? MISSED : "truth", dashed: lost,
      colour: lost ? DATA.palette.outcomes[MISSED] : TRUTH_COLOUR, width: byOutcome ? (lost ? 2 : 1) : 3,
      label: lost || !byOutcome ? shortened(prompt.truth.labels[index] ?? "") : "",
      says: objectName(prompt, index) + (byOutcome ? (lost ? ": missed" : ": found") : ""),
    };
  });
}

function predictionShape(prompt, rollout, index) {
  const outcome = OUTCOMES[rollout.outcomes[index]];
  return {
    kind: "prediction", index, box: rollout.boxes[index], outcome, hit: outcome !== "false", width: 2.5,
    colour: DATA.palette.outcomes[outcome], label: `${index + 1} ${shortened(rollout.labels[index] ?? "")}`.trim(),
    says: describePrediction(prompt, rollout, index), object: rollout.nearest[index]?.[0],
  };
}

/** The selected rollout by outcome: what was found first, so that errors lie on top. */
function outcomeShapes(prompt, rollout) {
  const objects = objectShapes(prompt, rollout, true);
  const predictions = rollout.outcomes.map((_, index) => predictionShape(prompt, rollout, index));
  const order = ["truth", ...OUTCOMES, MISSED];
  const rank = (shape) => order.indexOf(shape.outcome);
  const hidden = (shape) => STATE.off.has(shape.outcome) || (shape.outcome === "truth" && !STATE.truth);
  return [...objects, ...predictions].filter((shape) => !hidden(shape)).sort((a, b) => rank(a) - rank(b));
}

/** Every rollout that is not hidden, each in its own colour, the selected one on top; then the objects. */
function rolloutShapes(prompt, side) {
  const chosen = STATE.rollouts[side];
  const order = prompt.rollouts.map((_, index) => index).filter((index) => !STATE.hidden[side].has(index));
  order.sort((a, b) => (a === chosen) - (b === chosen));
  const predictions = order.flatMap((place) => {
    const rollout = prompt.rollouts[place];
    const hits = new Set(rollout.pairs.map((match) => match[0]));
    return rollout.boxes.map((box, index) => ({
      kind: "prediction", index, box, hit: hits.has(index), width: place === chosen ? 3 : 2, colour: colourOf(place),
      label: place === chosen ? `${index + 1} ${shortened(rollout.labels[index] ?? "")}`.trim() : "",
      says: `rollout ${place + 1}, ${describePrediction(prompt, rollout, index)}`,
    }));
  });
  return [...predictions, ...(STATE.truth ? objectShapes(prompt, null, false) : [])];
}

function shapesOf(prompt, side) {
  return STATE.every ? rolloutShapes(prompt, side) : outcomeShapes(prompt, prompt.rollouts[STATE.rollouts[side]]);
}
