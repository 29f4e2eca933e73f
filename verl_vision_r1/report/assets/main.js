// Startup and event handlers.

function refilter() {
  applyFilters();
  table.draw();
  if (!STATE.prompt || !passing.has(STATE.prompt.index)) {
    const [first] = listed();
    choosePrompt(first === undefined ? null : DATA.prompts[first], first === undefined ? 0 : firstPassing(DATA.prompts[first]));
  } else {
    showDetail();
    remember();
  }
}

function changed(name) {
  if (name === "since") {
    computeChanges();
    table.rows().invalidate("data");
  }
  if (name === "source") drawCurves();
  refilter();
}

const KEYS = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
  l: () => stepRollout(1), ArrowRight: () => stepRollout(1), h: () => stepRollout(-1), ArrowLeft: () => stepRollout(-1),
  t: () => document.getElementById("truth")?.click(), o: showOnly, a: showEvery,
  "/": () => FORM.elements.text.focus(),
};

function stepRollout(count) {
  const place = STATE.rollout + count;
  if (STATE.prompt && place >= 0 && place < STATE.prompt.rollouts.length) chooseRollout(place);
}

function listen() {
  FORM.addEventListener("input", (event) => changed(event.target.name));
  FORM.addEventListener("submit", (event) => event.preventDefault());
  FORM.addEventListener("reset", () => setTimeout(() => { computeChanges(); table.rows().invalidate("data"); drawCurves(); refilter(); }));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.activeElement.blur();
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key] || !STATE.prompt && event.key !== "/") return;
    event.preventDefault();
    KEYS[event.key]();
  });
}

/** Reload the page at regular intervals while the run adds rollouts. */
function follow() {
  if (!DATA.refresh) return;
  const label = document.getElementById("following");
  label.hidden = false;
  setInterval(() => label.firstElementChild.checked && location.reload(), 1000 * DATA.refresh);
}

function start() {
  fill("notes", ...DATA.notes.map((note) => element("li", {}, note)));
  offerAll();
  const { chosen, rollout } = recall();
  computeChanges();
  applyFilters();
  makeTable();
  table.draw();
  drawCurves();
  const same = (prompt) => chosen && prompt.kind === chosen[0] && prompt.step === chosen[1] && prompt.identity === chosen[2];
  const found = DATA.prompts.find(same);
  if (found && passing.has(found.index)) choosePrompt(found, rollout);
  else refilter();
  listen();
  follow();
}

start();
