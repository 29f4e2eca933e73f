// The address: `#kind=training&step=60&prompt=...&rollout=2&filter.flag=truncated`. Unknown keys and values are ignored.

const PREFIX = "filter.";

function fields() {
  return [...FORM.elements].filter((field) => field.name);
}

function defaultOf(field) {
  return field.options ? field.options[0]?.value ?? "" : "";
}

/** What the address says of the selection; what is as at first is left out. */
function selection() {
  const { prompt } = STATE;
  if (!prompt) return [];
  const chosen = [["kind", prompt.kind], ["step", prompt.step], ["prompt", prompt.identity]];
  if (prompt.run) chosen.push(["run", prompt.run + 1]);
  sides().forEach((side, index) => side && chosen.push([index ? "against" : "rollout", STATE.rollouts[index] + 1]));
  return chosen;
}

function appearance() {
  const shown = [];
  if (STATE.every) shown.push(["show", "all"]);
  if (!STATE.truth) shown.push(["truth", "no"]);
  if (STATE.labels !== "auto") shown.push(["labels", STATE.labels]);
  if (STATE.off.size) shown.push(["hide", [...STATE.off].join(",")]);
  if (STATE.large) shown.push(["large", "yes"]);
  if (VIEW.scale > 1) shown.push(["zoom", [VIEW.scale, VIEW.x, VIEW.y].map((value) => Number(value.toFixed(3))).join(",")]);
  return shown;
}

/** Stores the selection, its appearance and the filters in the address, so that a reloaded page keeps them. */
function remember() {
  const filtered = fields().filter((field) => field.value !== defaultOf(field)).map((field) => [PREFIX + field.name, field.value]);
  const hash = "#" + new URLSearchParams([...selection(), ...appearance(), ...filtered]);
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

function recallFilters(values) {
  for (const field of fields()) {
    const value = values.get(PREFIX + field.name);
    field.value = value ?? defaultOf(field);
    if (field.selectedIndex === -1 || (field.type === "number" && !field.value)) field.value = defaultOf(field);
  }
}

function recallAppearance(values) {
  STATE.every = values.get("show") === "all";
  STATE.truth = values.get("truth") !== "no";
  STATE.labels = LABELS.includes(values.get("labels")) ? values.get("labels") : "auto";
  STATE.off = new Set((values.get("hide") ?? "").split(",").filter((name) => [...OUTCOMES, MISSED].includes(name)));
  STATE.large = values.get("large") === "yes";
  const [scale, x, y] = (values.get("zoom") ?? "").split(",").map(Number);
  if (Number.isFinite(scale + x + y)) setView(scale, x, y);
  else resetView();
}

/** The prompt that the address names: every part of it that is known narrows the choice; the last step is first. */
function recallPrompt(values) {
  const keys = { prompt: "identity", kind: "kind", step: "step" };
  const wanted = Object.entries(keys).filter(([name]) => values.has(name));
  if (!wanted.length) return null;
  const run = values.get("run") === "2" ? 1 : 0;
  const same = (prompt) => prompt.listed && prompt.run === run && wanted.every(([name, key]) => String(prompt[key]) === values.get(name));
  return DATA.prompts.findLast(same) ?? null;
}

/** Restores what the address says; returns the prompt, if it names one, and the rollouts. */
function recall() {
  const values = new URLSearchParams(location.hash.slice(1));
  recallFilters(values);
  recallAppearance(values);
  const rollouts = ["rollout", "against"].map((name) => Math.max(Math.trunc(Number(values.get(name) ?? 1)) - 1 || 0, 0));
  return { prompt: recallPrompt(values), rollouts, empty: location.hash.length < 2 };
}
