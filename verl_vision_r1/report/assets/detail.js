// The selected prompt: its image and rollouts, and the completion and matches of the selected rollout.

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

function showRollouts(prompt) {
  const names = Object.keys(prompt.rollouts[0].criteria);
  const heading = row(["", "rollout", "total", ...names, "boxes", "matched", "flags"], true);
  const rows = prompt.rollouts.map((rollout, index) => {
    const box = element("input", { type: "checkbox", "aria-label": `boxes of rollout ${index + 1}` });
    box.checked = !STATE.hidden.has(index);
    box.addEventListener("click", (event) => { event.stopPropagation(); toggle(index); });
    const toggled = element("td", { class: "toggle" }, box, " ", element("span", { class: "colour", style: `background:${colourOf(index)}` }));
    const flags = element("td", { class: "text" }, ...rollout.flags.map((flag) => element("span", { class: "flag" }, flag)));
    const values = names.map((name) => refinedAndRaw(rollout.criteria[name]));
    const made = row([toggled, index + 1, number(rollout.total), ...values, rollout.predicted, rollout.pairs.length, flags]);
    made.classList.toggle("chosen", index === STATE.rollout);
    made.classList.toggle("passing", Boolean(passing.get(prompt.index)?.has(index)));
    made.addEventListener("click", () => chooseRollout(index));
    return made;
  });
  fill("rollouts", heading, ...rows);
}

function showCompletion(prompt) {
  const rollout = prompt.rollouts[STATE.rollout];
  const stage = rollout.numbers.xi0 === undefined ? "" :
    `, stage ${rollout.numbers.stage}: xi0 ${rollout.numbers.xi0}, xi1 ${rollout.numbers.xi1}, xi2 ${rollout.numbers.xi2}`;
  fill("which", `Rollout ${STATE.rollout + 1}, line ${rollout.line} of ${prompt.step}.jsonl${stage}`);
  const more = rollout.length - rollout.text.length;
  fill("completion", rollout.text, ...(more > 0 ? [`\n[${more} more characters in ${prompt.step}.jsonl]`] : []));
}

function showMatches(prompt) {
  const rollout = prompt.rollouts[STATE.rollout];
  const points = prompt.task === "pointing";
  const matches = new Map(rollout.pairs.map((match) => [match[0], match]));
  const rows = rollout.boxes.map((box, index) => {
    const match = matches.get(index);
    const object = match ? `${match[1] + 1} ${prompt.truth.labels[match[1]]}` : "unmatched";
    const stated = rollout.confidences ? [number(rollout.confidences[index], 2)] : [];
    const place = (points ? box.slice(0, 2) : box).map((value) => value.toFixed(1)).join(", ");
    return row([index + 1, textCell(rollout.labels[index] ?? ""), ...stated, place,
      textCell(object), match ? number(match[2]) : "", match ? (match[3] ? "yes" : "no") : ""]);
  });
  const stated = rollout.confidences ? ["confidence"] : [];
  const [kind, place, measure] = points ? ["point", "xy", "nearness"] : ["box", "xyxy", "IoU"];
  const heading = row([kind, "label", ...stated, `${place}, original-image pixels`, "object", measure, "same label"], true);
  fill("matches", ...(rows.length ? [heading, ...rows] : []));
  const matched = new Set(rollout.pairs.map((match) => match[1]));
  const missed = prompt.truth.labels.map((label, index) => [label, index]).filter(([, index]) => prompt.truth.boxes.length && !matched.has(index));
  fill("missed", missed.length ? "Missed objects: " + missed.map(([label, index]) => `${index + 1} ${label}`).join(", ") : "");
}

function showSwitches(prompt) {
  const truth = element("input", { type: "checkbox", id: "truth" });
  truth.checked = STATE.truth;
  truth.addEventListener("change", () => { STATE.truth = truth.checked; drawPicture(prompt); });
  const labels = prompt.truth.boxes.length ? `${prompt.truth.boxes.length} objects` : prompt.truth.count ?? (prompt.truth.labels.join(", ") || "no objects");
  fill("switches", element("label", { class: "switch" }, truth, element("span", { class: "colour", style: `background:${GROUND_TRUTH_COLOUR}` }), `ground truth: ${labels}`),
    button("all rollouts", showEvery), button("only this rollout", showOnly));
}

function button(text, act) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}

function showDetail() {
  const prompt = STATE.prompt;
  document.getElementById("detail").hidden = !prompt;
  if (!prompt) return;
  fill("heading", `${prompt.kind}, step ${prompt.step}, ${prompt.source}, image ${prompt.image_id}`);
  const { note } = DATA.images[prompt.image];
  const missing = note && `  [${note}]`;
  fill("asked", `${prompt.prompt.trim()}${missing}\n${prompt.width} x ${prompt.height} pixels, predictions in the frame ${prompt.frame}`);
  showSwitches(prompt);
  drawPicture(prompt);
  showRollouts(prompt);
  showCompletion(prompt);
  showMatches(prompt);
}

function choosePrompt(prompt, rollout = 0) {
  STATE.prompt = prompt;
  STATE.rollout = prompt ? Math.min(Math.max(rollout, 0), prompt.rollouts.length - 1) : 0;
  STATE.hidden = new Set();
  showDetail();
  markChosen();
  remember();
}

function chooseRollout(index) {
  STATE.rollout = index;
  STATE.hidden.delete(index);
  showDetail();
  remember();
}

function toggle(index) {
  STATE.hidden.has(index) ? STATE.hidden.delete(index) : STATE.hidden.add(index);
  drawPicture(STATE.prompt);
  showRollouts(STATE.prompt);
}

function showEvery() {
  STATE.hidden = new Set();
  showDetail();
}

function showOnly() {
  STATE.hidden = new Set(STATE.prompt.rollouts.map((_, index) => index).filter((index) => index !== STATE.rollout));
  showDetail();
}
