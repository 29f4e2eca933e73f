// The selected prompt: in each run its picture, its rollouts, and the completion and matches of the selected rollout.

/** The id of an element of a run's side. */
function at(name, side) {
  return side ? `${name}-against` : name;
}

function makeSides() {
  const made = DATA.runs.map((run, side) => {
    const part = (tag, name) => element(tag, { id: at(name, side), class: name });
    const title = BOTH ? [element("h3", { class: `run${side + 1}` }, run.name)] : [];
    const section = element("section", { class: "side", id: at("side", side) }, ...title, part("p", "absent"),
      part("div", "legend"), part("div", "picture"), part("table", "rollouts"), part("h3", "which"),
      part("pre", "completion"), part("table", "matches"), part("p", "missed"));
    section.addEventListener("click", () => chooseSide(side));
    return section;
  });
  fill("sides", ...made);
  DATA.runs.forEach((_, side) => {
    const picture = document.getElementById(at("picture", side));
    document.getElementById(at("completion", side)).setAttribute("dir", "auto");
    listenToPicture(picture);
    picture.addEventListener("pointermove", (event) => point(side, event));
    picture.addEventListener("pointerleave", () => leave(side));
  });
}

function row(cells, header = false) {
  return element("tr", {}, ...cells.map((cell) => (cell instanceof Node ? cell : element(header ? "th" : "td", {}, String(cell)))));
}

function textCell(text) {
  return element("td", { class: "text", dir: "auto" }, text);
}

function refinedAndRaw(values) {
  if (!values) return "";
  const [refined, raw] = values;
  const cell = element("td", {}, number(refined));
  if (refined !== raw) cell.append(" ", element("span", { class: "raw", title: "without refinement" }, `(${number(raw)})`));
  return cell;
}

/** How a rollout is recognised: by its outcomes, or by its colour where all are drawn. */
function markOf(rollout, index, side) {
  if (!STATE.every) {
    const counts = Object.entries(countsOf(rollout)).filter(([, count]) => count);
    if (!counts.length && rollout.refusal) counts.push([REFUSALS[rollout.refusal], 1]);
    const parts = counts.map(([name, count]) => element("span", { style: `flex:${count};background:${DATA.palette.outcomes[name]}` }));
    const title = rollout.refusal || counts.map(([name, count]) => `${count} ${name}`).join(", ");
    return element("td", { class: "toggle" }, element("span", { class: "bar", title }, ...parts));
  }
  const box = element("input", { type: "checkbox", "aria-label": `boxes of rollout ${index + 1}` });
  box.checked = !STATE.hidden[side].has(index);
  box.addEventListener("click", (event) => { event.stopPropagation(); toggle(index, side); });
  return element("td", { class: "toggle" }, box, " ", element("span", { class: "colour", style: `background:${colourOf(index)}` }));
}

function showRollouts(prompt, side) {
  const names = Object.keys(prompt.rollouts[0].criteria);
  const heading = row(["", "rollout", "total", ...names, "boxes", "matched", "flags"], true);
  const kept = passing.get(prompt.index);
  const rows = prompt.rollouts.map((rollout, index) => {
    const flags = element("td", { class: "text" }, ...rollout.flags.map((flag) => element("span", { class: "flag" }, flag)));
    const values = names.map((name) => refinedAndRaw(rollout.criteria[name]));
    const cells = [index + 1, number(rollout.total), ...values, rollout.predicted, rollout.pairs.length, flags];
    const made = row([markOf(rollout, index, side), ...cells]);
    made.classList.toggle("chosen", index === STATE.rollouts[side]);
    made.classList.toggle("passing", Boolean(kept?.has(index)) && kept.size < prompt.rollouts.length);
    made.addEventListener("click", () => chooseRollout(index, side));
    return made;
  });
  fill(at("rollouts", side), heading, ...rows);
}

function showCompletion(prompt, side) {
  const rollout = prompt.rollouts[STATE.rollouts[side]];
  const stage = rollout.numbers.xi0 === undefined ? "" :
    `, stage ${rollout.numbers.stage}: xi0 ${rollout.numbers.xi0}, xi1 ${rollout.numbers.xi1}, xi2 ${rollout.numbers.xi2}`;
  const step = BOTH ? `step ${prompt.step}, ` : "";
  fill(at("which", side), `Rollout ${STATE.rollouts[side] + 1}, ${step}line ${rollout.line} of ${prompt.step}.jsonl${stage}`);
  const more = rollout.length - rollout.text.length;
  fill(at("completion", side), rollout.text, ...(more > 0 ? [`\n[${more} more characters in ${prompt.step}.jsonl]`] : []));
}

function outcomeCell(rollout, index) {
  const name = OUTCOMES[rollout.outcomes[index]] ?? "";
  return element("td", { class: "text" }, element("span", { class: "colour", style: `background:${DATA.palette.outcomes[name]}` }), ` ${name}`);
}

/** With more boxes the table shows these first: its layout takes longer than the picture. */
const FIRST_ROWS = 100;

function showMatches(prompt, side, most = FIRST_ROWS) {
  const rollout = prompt.rollouts[STATE.rollouts[side]];
  const points = prompt.task === "pointing";
  const matches = new Map(rollout.pairs.map((match) => [match[0], match]));
  const rows = rollout.boxes.slice(0, most).map((box, index) => {
    const match = matches.get(index);
    const object = match ? `${match[1] + 1} ${prompt.truth.labels[match[1]]}` : "unmatched";
    const stated = rollout.confidences ? [number(rollout.confidences[index], 2)] : [];
    const place = (points ? box.slice(0, 2) : box).map((value) => value.toFixed(1)).join(", ");
    return row([index + 1, textCell(rollout.labels[index] ?? ""), outcomeCell(rollout, index), ...stated, place,
      textCell(object), match ? number(match[2]) : "", match ? (match[3] ? "yes" : "no") : ""]);
  });
  const stated = rollout.confidences ? ["confidence"] : [];
  const [kind, place, measure] = points ? ["point", "xy", "nearness"] : ["box", "xyxy", "IoU"];
  const heading = row([kind, "label", "outcome", ...stated, `${place}, original-image pixels`, "matched object", measure, "same label"], true);
  const rest = rollout.boxes.length > most ? [row([button(`all ${rollout.boxes.length}`, () => showMatches(prompt, side, Infinity))])] : [];
  fill(at("matches", side), ...(rows.length ? [heading, ...rows, ...rest] : []));
  const missed = rollout.missed.map((index) => `${index + 1} ${prompt.truth.labels[index]}`);
  fill(at("missed", side), missed.length ? "Missed objects: " + missed.join(", ") : "");
}

/** The outcomes of the selected rollout: how many of each, and whether they are drawn. */
function showLegend(prompt, side) {
  const rollout = prompt.rollouts[STATE.rollouts[side]];
  const drawn = !STATE.every && prompt.truth.boxes.length + rollout.outcomes.length > 0;
  const chips = Object.entries(drawn ? countsOf(rollout) : {}).map(([name, count]) => {
    const chip = button("", () => { STATE.off.has(name) ? STATE.off.delete(name) : STATE.off.add(name); showDetail(); remember(); });
    const mark = element("span", { class: name === MISSED ? "colour dashed" : "colour", style: `--own:${DATA.palette.outcomes[name]}` });
    chip.append(mark, ` ${name} `, element("span", { class: "count" }, String(count)));
    chip.dataset.outcome = name;
    chip.setAttribute("aria-pressed", String(!STATE.off.has(name)));
    chip.classList.toggle("none", !count);
    return chip;
  });
  fill(at("legend", side), ...chips);
}

function showSide(prompt, side) {
  const parts = ["legend", "rollouts", "which", "completion", "matches", "missed"];
  for (const name of parts) document.getElementById(at(name, side)).hidden = !prompt;
  document.getElementById(at("side", side)).classList.toggle("active", BOTH && side === STATE.side);
  fill(at("absent", side), prompt ? "" : "This prompt is not among those of this run.");
  drawPicture(side);
  if (!prompt) return;
  showLegend(prompt, side);
  showRollouts(prompt, side);
  showCompletion(prompt, side);
  showMatches(prompt, side);
}

function showDetail() {
  const { prompt } = STATE;
  document.getElementById("detail").hidden = !prompt;
  document.body.classList.toggle("large", STATE.large && Boolean(prompt));
  if (!prompt) return;
  fill("heading", `${prompt.kind}, step ${prompt.step}, ${prompt.source}, image ${prompt.image_id}`);
  const { note } = DATA.images[prompt.image];
  const missing = note && `  [${note}]`;
  fill("asked", `${prompt.prompt.trim()}${missing}\n${prompt.width} x ${prompt.height} pixels, predictions in the frame ${prompt.frame}`);
  showSwitches(prompt);
  sides().forEach((each, side) => showSide(each, side));
}
