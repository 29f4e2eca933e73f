// The switches above the pictures, and the selection of prompts, rollouts and runs.

function button(text, act, pressed) {
  const made = element("button", { type: "button" }, text);
  if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", act);
  return made;
}

/** Acts on the view, then shows and stores it. */
function changing(change) {
  return () => { change(); showDetail(); remember(); };
}

const setLabels = (choice) => changing(() => { STATE.labels = choice; });
const nextLabels = changing(() => { STATE.labels = LABELS[(LABELS.indexOf(STATE.labels) + 1) % LABELS.length]; });
const showEvery = changing(() => { STATE.every = true; STATE.hidden = [new Set(), new Set()]; });
const showOnly = changing(() => { STATE.every = false; });
const toggleLarge = changing(() => { STATE.large = !STATE.large; });
const unzoom = () => { resetView(); viewChanged(); };

function truthSwitch(prompt) {
  const truth = element("input", { type: "checkbox", id: "truth" });
  truth.checked = STATE.truth;
  truth.addEventListener("change", changing(() => { STATE.truth = truth.checked; }));
  const labels = prompt.truth.boxes.length ? `${prompt.truth.boxes.length} objects` : prompt.truth.count ?? (prompt.truth.labels.join(", ") || "no objects");
  const colour = element("span", { class: "colour", style: `background:${TRUTH_COLOUR}` });
  return element("label", { class: "switch" }, truth, colour, `ground truth: ${labels}`);
}

function group(title, ...buttons) {
  return element("span", { class: "group" }, title, ...buttons);
}

function showSwitches(prompt) {
  const labels = LABELS.map((choice) => button(choice, setLabels(choice), STATE.labels === choice));
  fill("switches",
    group("", button("this rollout, by outcome", showOnly, !STATE.every), button("all rollouts", showEvery, STATE.every)),
    group("labels ", ...labels),
    group("zoom ", button("\u2212", () => zoom(1 / ZOOM_STEP)), button("+", () => zoom(ZOOM_STEP)), button("reset", unzoom)),
    button(STATE.large ? "back to the list" : "large", toggleLarge, STATE.large),
    truthSwitch(prompt));
}

function choosePrompt(prompt, rollouts = [0, 0]) {
  if (prompt?.image !== STATE.prompt?.image) resetView();
  STATE.prompt = prompt;
  STATE.side = prompt?.run ?? 0;
  const shown = prompt ? sides() : [];
  STATE.rollouts = [0, 1].map((side) => (shown[side] ? Math.min(rollouts[side] ?? 0, shown[side].rollouts.length - 1) : 0));
  STATE.hidden = [new Set(), new Set()];
  showDetail();
  markChosen();
  markHighlight();
  remember();
}

function chooseRollout(index, side = STATE.side) {
  STATE.rollouts[side] = index;
  STATE.hidden[side].delete(index);
  STATE.side = side;
  showDetail();
  remember();
}

function chooseSide(side) {
  if (!BOTH || side === STATE.side || !sides()[side]) return;
  STATE.side = side;
  DATA.runs.forEach((_, index) => document.getElementById(at("side", index)).classList.toggle("active", index === side));
}

function stepRollout(count) {
  const place = STATE.rollouts[STATE.side] + count;
  if (STATE.prompt && place >= 0 && place < sides()[STATE.side].rollouts.length) chooseRollout(place);
}

function toggle(index, side) {
  const hidden = STATE.hidden[side];
  hidden.has(index) ? hidden.delete(index) : hidden.add(index);
  showDetail();
}
