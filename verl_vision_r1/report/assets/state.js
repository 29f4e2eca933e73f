// The selection, and the prompts that pass the filters.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FORM = document.getElementById("filters");
const STATE = { prompt: null, rollout: 0, hidden: new Set(), truth: true };
const EVERY = "all";
const BEFORE = "previous step";

/** The indices of the rollouts that pass, by prompt index; only prompts with at least one. */
let passing = new Map();

DATA.prompts.forEach((prompt, index) => {
  prompt.index = index;
  const about = [prompt.source, prompt.image_id, prompt.question, prompt.subject, prompt.prompt, ...prompt.truth.labels];
  prompt.searched = about.join("\n").toLowerCase();
  prompt.flags = [...new Set(prompt.rollouts.flatMap((rollout) => rollout.flags))];
});

function unique(values) {
  return [...new Set(values)];
}

function criteria() {
  return ["total", ...unique(DATA.prompts.flatMap((prompt) => Object.keys(prompt.rollouts[0].criteria)))];
}

/** The value of a criterion under the current thresholds. */
function valueOf(rollout, criterion) {
  return criterion === "total" ? rollout.total : (rollout.criteria[criterion] || [null])[0];
}

/** The value of a data source in its filter: in quotes, so that a source of any name differs from `EVERY`. */
function keyOfSource(source) {
  return JSON.stringify(source);
}

function offer(name, values, keyOf = String) {
  const select = FORM.elements[name];
  const keyed = values.map((value, index) => [value === EVERY && index === 0 ? EVERY : keyOf(value), value]);
  select.replaceChildren(...keyed.map(([value, text]) => element("option", { value }, String(text))));
}

function offerAll() {
  const steps = unique(DATA.prompts.map((prompt) => prompt.step)).sort((a, b) => a - b);
  offer("kind", [EVERY, ...unique(DATA.prompts.map((prompt) => prompt.kind))]);
  offer("step", [EVERY, ...steps]);
  offer("source", [EVERY, ...unique(DATA.prompts.map((prompt) => prompt.source)).sort()], keyOfSource);
  offer("flag", [EVERY, "none", ...unique(DATA.prompts.flatMap((prompt) => prompt.flags)).sort()]);
  offer("criterion", criteria());
  offer("since", [BEFORE, ...steps]);
}

function filters() {
  const values = Object.fromEntries(new FormData(FORM));
  const bound = (text, otherwise) => (text === "" || Number.isNaN(Number(text)) ? otherwise : Number(text));
  return { ...values, least: bound(values.least, -Infinity), most: bound(values.most, Infinity), text: values.text.toLowerCase() };
}

function rolloutPasses(rollout, wanted, found) {
  const value = valueOf(rollout, wanted.criterion);
  const bounded = wanted.least > -Infinity || wanted.most < Infinity;
  if (bounded && (value === null || value < wanted.least || value > wanted.most)) return false;
  if (wanted.flag === "none" && rollout.flags.length) return false;
  if (wanted.flag !== EVERY && wanted.flag !== "none" && !rollout.flags.includes(wanted.flag)) return false;
  if (found) return true;
  rollout.searched ??= rollout.text.toLowerCase();
  return rollout.searched.includes(wanted.text);
}

function promptPasses(prompt, wanted) {
  const keys = { kind: prompt.kind, step: String(prompt.step), source: keyOfSource(prompt.source) };
  return Object.entries(keys).every(([name, key]) => wanted[name] === EVERY || wanted[name] === key);
}

function applyFilters() {
  const wanted = filters();
  passing = new Map();
  for (const prompt of DATA.prompts) {
    if (!promptPasses(prompt, wanted)) continue;
    const found = prompt.searched.includes(wanted.text);
    const kept = prompt.rollouts.map((_, index) => index).filter((index) => rolloutPasses(prompt.rollouts[index], wanted, found));
    if (kept.length) passing.set(prompt.index, new Set(kept));
  }
}

/** The change of the mean reward since an earlier step; null if that step does not have the prompt. */
function computeChanges() {
  const since = FORM.elements.since.value;
  const earlier = new Map();
  const ordered = [...DATA.prompts].sort((a, b) => a.step - b.step);
  for (const prompt of ordered) {
    const key = `${prompt.kind} ${prompt.identity}`;
    const before = earlier.get(key);
    prompt.change = before === undefined ? null : prompt.mean - before.mean;
    if (since === BEFORE || String(prompt.step) === since) earlier.set(key, prompt);
  }
}

/** Stores the filters and the selection in the URL, so that a reloaded page keeps them. */
function remember() {
  const chosen = STATE.prompt && [STATE.prompt.kind, STATE.prompt.step, STATE.prompt.identity];
  const values = { ...Object.fromEntries(new FormData(FORM)), chosen, rollout: STATE.rollout };
  history.replaceState(null, "", "#" + encodeURIComponent(JSON.stringify(values)));
}

function recall() {
  try {
    const values = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    for (const [name, value] of Object.entries(values)) {
      const field = FORM.elements[name];
      if (field && typeof value === "string") field.value = value;
      if (field && field.selectedIndex === -1) field.selectedIndex = 0;
    }
    return values;
  } catch {
    return {};
  }
}
