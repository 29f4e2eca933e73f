// The data of the page, the selection, and how it is shown.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FORM = document.getElementById("filters");
const EVERY = "all";
const BEFORE = "previous step";
const OUTCOMES = Object.keys(DATA.palette.outcomes).slice(0, -1);
const MISSED = "missed";
const BOTH = DATA.runs.length > 1;
/** What is said of a completion that refuses, or should have; the value of a sample without objects is in the data. */
const REFUSALS = { "rightly refused": "found", "wrongly refused": MISSED, "answered a negative": "false" };

/** Each run has its own selected rollout and hidden rollouts; `side` is the run that the keys act on. */
const STATE = {
  prompt: null, side: 0, rollouts: [0, 0], hidden: [new Set(), new Set()],
  truth: true, every: false, labels: "auto", off: new Set(), large: false,
};

DATA.prompts.forEach((prompt, index) => {
  prompt.index = index;
  const about = [prompt.source, prompt.image_id, prompt.question, prompt.subject, prompt.prompt, ...prompt.truth.labels];
  prompt.searched = about.join("\n").toLowerCase();
  prompt.flags = unique(prompt.rollouts.flatMap((rollout) => rollout.flags));
});

function unique(values) {
  return [...new Set(values)];
}

function pairOf(prompt) {
  return prompt.pair === null ? null : DATA.prompts[prompt.pair];
}

/** The selected prompt in each run; null where a run does not have it. */
function sides() {
  const { prompt } = STATE;
  if (!BOTH) return [prompt];
  return prompt.run ? [pairOf(prompt), prompt] : [prompt, pairOf(prompt)];
}

/** The selected rollout of a run. */
function rolloutOf(side) {
  return sides()[side]?.rollouts[STATE.rollouts[side]];
}

/** The numbers of each outcome of a rollout, and of its missed objects. */
function countsOf(rollout) {
  const counts = Object.fromEntries([...OUTCOMES, MISSED].map((name) => [name, 0]));
  for (const code of rollout.outcomes) counts[OUTCOMES[code]] += 1;
  counts[MISSED] = rollout.missed.length;
  return counts;
}

/** The change of the mean reward since an earlier step; null if that step does not have the prompt. */
function computeChanges() {
  const since = FORM.elements.since.value;
  const earlier = new Map();
  const ordered = [...DATA.prompts].sort((a, b) => a.step - b.step);
  for (const prompt of ordered) {
    const key = `${prompt.run} ${prompt.kind} ${prompt.identity}`;
    const before = earlier.get(key);
    prompt.change = before === undefined ? null : prompt.mean - before.mean;
    if (since === BEFORE || String(prompt.step) === since) earlier.set(key, prompt);
  }
}
