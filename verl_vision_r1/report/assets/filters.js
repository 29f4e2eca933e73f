// The filters, and the prompts that pass them.

/** The indices of the rollouts that pass, by prompt index; only prompts with at least one. */
let passing = new Map();
const MOST_CATEGORIES = 1000;

function criteria() {
  return ["total", ...unique(DATA.prompts.flatMap((prompt) => Object.keys(prompt.rollouts[0].criteria)))];
}

/** The value of a criterion under the current thresholds. */
function valueOf(rollout, criterion) {
  return criterion === "total" ? rollout.total : (rollout.criteria[criterion] || [null])[0];
}

/** The value of a name in its filter: in quotes, so that any name differs from `EVERY`. */
function quoted(name) {
  return JSON.stringify(name);
}

function categoryOf(label) {
  return (label ?? "").trim().toLowerCase();
}

function offer(name, values, keyOf = String) {
  const select = FORM.elements[name];
  const keyed = values.map((value, index) => [value === EVERY && index === 0 ? EVERY : keyOf(value), value]);
  select.replaceChildren(...keyed.map(([value, text]) => element("option", { value }, shortened(String(text)))));
}

function offerAll() {
  const steps = unique(DATA.prompts.map((prompt) => prompt.step)).sort((a, b) => a - b);
  const refusals = unique(DATA.prompts.flatMap((prompt) => prompt.rollouts.map((rollout) => rollout.refusal)));
  const categories = unique(DATA.prompts.flatMap((prompt) => prompt.truth.labels.map(categoryOf)));
  offer("kind", [EVERY, ...unique(DATA.prompts.map((prompt) => prompt.kind))]);
  offer("step", [EVERY, ...steps]);
  offer("source", [EVERY, ...unique(DATA.prompts.map((prompt) => prompt.source)).sort()], quoted);
  offer("outcome", [EVERY, ...OUTCOMES, MISSED, ...Object.keys(REFUSALS).filter((name) => refusals.includes(name))]);
  offer("category", [EVERY, ...categories.sort().slice(0, MOST_CATEGORIES)], quoted);
  offer("flag", [EVERY, "none", ...unique(DATA.prompts.flatMap((prompt) => prompt.flags)).sort()]);
  offer("criterion", criteria());
  offer("since", [BEFORE, ...steps]);
}

function filters() {
  const values = Object.fromEntries(new FormData(FORM));
  const bound = (text, otherwise) => (text === "" || Number.isNaN(Number(text)) ? otherwise : Number(text));
  return { ...values, least: bound(values.least, -Infinity), most: bound(values.most, Infinity), text: values.text.toLowerCase() };
}

/** Whether a rollout has the outcome, of the category if both are chosen. */
function outcomePasses(prompt, rollout, { outcome, category }) {
  if (outcome === EVERY && category === EVERY) return true;
  const same = (label) => category === EVERY || quoted(categoryOf(label)) === category;
  const found = rollout.labels.length || category === EVERY
    ? rollout.outcomes.some((code, index) => (outcome === EVERY || OUTCOMES[code] === outcome) && same(rollout.labels[index]))
    : false;
  if (found) return true;
  if (outcome === MISSED) return rollout.missed.some((index) => same(prompt.truth.labels[index]));
  if (outcome === EVERY || REFUSALS[outcome]) {
    return (outcome === EVERY || rollout.refusal === outcome) && (category === EVERY || prompt.truth.labels.some(same));
  }
  return false;
}

function rolloutPasses(prompt, rollout, wanted, found) {
  const value = valueOf(rollout, wanted.criterion);
  const bounded = wanted.least > -Infinity || wanted.most < Infinity;
  if (bounded && (value === null || value < wanted.least || value > wanted.most)) return false;
  if (wanted.flag === "none" && rollout.flags.length) return false;
  if (wanted.flag !== EVERY && wanted.flag !== "none" && !rollout.flags.includes(wanted.flag)) return false;
  if (!outcomePasses(prompt, rollout, wanted)) return false;
  if (found) return true;
  rollout.searched ??= rollout.text.toLowerCase();
  return rollout.searched.includes(wanted.text);
}

function promptPasses(prompt, wanted) {
  const keys = { kind: prompt.kind, step: String(prompt.step), source: quoted(prompt.source) };
  return Object.entries(keys).every(([name, key]) => wanted[name] === EVERY || wanted[name] === key);
}

function applyFilters() {
  const wanted = filters();
  passing = new Map();
  for (const prompt of DATA.prompts) {
    if (!prompt.listed || !promptPasses(prompt, wanted)) continue;
    const found = prompt.searched.includes(wanted.text);
    const kept = prompt.rollouts.map((_, index) => index)
      .filter((index) => rolloutPasses(prompt, prompt.rollouts[index], wanted, found));
    if (kept.length) passing.set(prompt.index, new Set(kept));
  }
}
