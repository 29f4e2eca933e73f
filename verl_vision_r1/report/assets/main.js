// Startup and event handlers.

function refilter() {
  applyFilters();
  table.draw();
  const kept = STATE.prompt && passing.get(STATE.prompt.index);
  if (kept?.has(STATE.rollouts[0])) {
    showDetail();
    remember();
    return;
  }
  const next = kept ? STATE.prompt : DATA.prompts[listed()[0]];
  choosePrompt(next ?? null, next && firstPassing(next));
}

function changed(name) {
  if (name === "since") {
    computeChanges();
    table.rows().invalidate("data");
  }
  if (name === "source") drawCurves();
  refilter();
}

function filtersReset() {
  computeChanges();
  table.rows().invalidate("data");
  drawCurves();
  refilter();
}

const KEYS = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
  l: () => stepRollout(1), ArrowRight: () => stepRollout(1), h: () => stepRollout(-1), ArrowLeft: () => stepRollout(-1),
  t: () => document.getElementById("truth")?.click(), o: showOnly, a: showEvery, n: nextLabels, f: toggleLarge,
  "+": () => zoom(ZOOM_STEP), "=": () => zoom(ZOOM_STEP), "-": () => zoom(1 / ZOOM_STEP), 0: unzoom,
  s: () => chooseSide(1 - STATE.side), "/": () => FORM.elements.text.focus(),
};

function listen() {
  FORM.addEventListener("input", (event) => changed(event.target.name));
  FORM.addEventListener("submit", (event) => event.preventDefault());
  FORM.addEventListener("reset", () => setTimeout(filtersReset));
  window.addEventListener("hashchange", openAddress);
  window.addEventListener("resize", () => { placeDetail(); viewChanged(); });
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

/** Keeps the selected prompt below the filters, which may take several lines. */
function placeDetail() {
  document.documentElement.style.setProperty("--filters", `${FORM.offsetHeight}px`);
}

/** Shows what the address names; without one, what is most worth looking at. */
function openAddress() {
  const { prompt, rollouts, empty } = recall();
  const view = { ...VIEW };
  const [best] = empty ? DATA.highlights : [];
  computeChanges();
  applyFilters();
  table.rows().invalidate("data").draw();
  drawCurves();
  showHighlights(best);
  if (best) choosePrompt(DATA.prompts[best.prompt], [best.rollout, 0]);
  else if (prompt && passing.has(prompt.index)) choosePrompt(prompt, rollouts);
  else return refilter();
  setView(view.scale, view.x, view.y);
  viewChanged();
  reveal();
}

function start() {
  showRuns();
  offerAll();
  makeSides();
  placeDetail();
  computeChanges();
  makeTable();
  openAddress();
  listen();
  follow();
}

start();
