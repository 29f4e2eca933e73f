// Labels on a picture, where there is room for them: none covers another, an edge of a box, or much of a small box.

const LABELS = ["auto", "all", "none"];
const FONT = 12;
const MOST_AUTOMATIC = 60;
const PEN = document.createElement("canvas").getContext("2d");
PEN.font = `600 ${FONT}px system-ui, sans-serif`;
const widths = new Map();

/** Width of a label in pixels of the screen. */
function widthOf(text) {
  if (!widths.has(text)) widths.set(text, PEN.measureText(text).width + 6);
  return widths.get(text);
}

function overlaps(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/** Whether a label covers an edge of a box, or more than a part of what is in it. */
function covers(label, box) {
  if (!overlaps(label, box)) return false;
  const inside = box[0] <= label[0] && label[2] <= box[2] && box[1] <= label[1] && label[3] <= box[3];
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  return !inside || area(box) < 8 * area(label);
}

/** Candidates for the left upper corner of a label: above its box, below it, and within it at its corners. */
function candidates([x1, y1, x2, y2], width, height) {
  return [[x1, y1 - height - 1], [x2 - width, y1 - height - 1], [x1, y2 + 1], [x2 - width, y2 + 1],
    [x1 + 3, y1 + 3], [x2 - width - 3, y2 - height - 3]];
}

/**
 * Places labels in pixels of the screen.
 *
 * `places` are the boxes on the screen, `size` its width and height. Returns for each shape the left upper corner of
 * its label, or null where it has none. With the choice `all` a label without room covers what is there.
 */
function placeLabels(shapes, places, [width, height], choice) {
  const labelled = shapes.filter((shape) => shape.label).length;
  if (choice === "none" || (choice === "auto" && labelled > MOST_AUTOMATIC)) return shapes.map(() => null);
  const tall = FONT + 4;
  const seen = places.filter((box) => overlaps(box, [0, 0, width, height]));
  const taken = [];
  return shapes.map((shape, index) => {
    if (!shape.label || !overlaps(places[index], [0, 0, width, height])) return null;
    const wide = widthOf(shape.label);
    const within = ([x, y]) => [Math.min(Math.max(x, 0), width - wide), Math.min(Math.max(y, 0), height - tall)];
    const spots = candidates(places[index], wide, tall).map(within);
    const free = ([x, y]) => {
      const label = [x, y, x + wide, y + tall];
      return !taken.some((other) => overlaps(label, other)) && !seen.some((box) => covers(label, box));
    };
    const spot = spots.find(free) ?? (choice === "all" ? spots[0] : null);
    if (spot) taken.push([spot[0], spot[1], spot[0] + wide, spot[1] + tall]);
    return spot;
  });
}

/** Black or white, whichever is readable on a colour. */
function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  return 0.3 * red + 0.59 * green + 0.11 * blue > 125 ? "#000" : "#fff";
}

/** A label at a place of the screen, in the units of the image. */
function labelElements(shape, [x, y], unit, origin) {
  const at = (value, start) => start + value * unit;
  const ground = svg("rect", { class: "label", x: at(x, origin[0]), y: at(y, origin[1]), width: widthOf(shape.label) * unit,
    height: (FONT + 4) * unit, fill: shape.colour });
  const text = svg("text", { x: at(x + 3, origin[0]), y: at(y + FONT, origin[1]), fill: inkOn(shape.colour), "font-size": FONT * unit }, shape.label);
  return [ground, text];
}
