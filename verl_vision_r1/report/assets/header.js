// The header: which runs these are, and what is worth looking at.

function factsOf({ name, facts }, index) {
  const cells = facts.map(([key, value]) => element("div", key === "command" ? { class: "command" } : {},
    element("dt", {}, key), element("dd", { title: value }, key === "command" ? element("code", {}, value) : value)));
  const title = BOTH ? [element("h2", { class: `run${index + 1}` }, name)] : [];
  return element("section", { class: "run" }, ...title, element("dl", {}, ...cells));
}

function showRuns() {
  fill("runs", ...DATA.runs.map(factsOf));
  fill("notes", ...DATA.notes.map((note) => element("li", {}, note)));
}

/** Offers what is most worth looking at; `opened` is the one at which the page opened, or null. */
function showHighlights(opened) {
  const buttons = DATA.highlights.map((highlight) => {
    const made = button(`${highlight.name}, ${highlight.figures}`, () => goTo(highlight));
    made.dataset.prompt = highlight.prompt;
    return made;
  });
  const rest = opened ? buttons.slice(1) : buttons;
  const first = opened ? ["Opened at: ", buttons[0]] : [];
  const also = rest.length ? [opened ? " Also: " : "Worth a look: ", ...rest] : [];
  fill("highlights", ...first, ...also);
}

function markHighlight() {
  for (const made of document.querySelectorAll("#highlights button")) {
    made.setAttribute("aria-pressed", String(STATE.prompt?.index === Number(made.dataset.prompt)));
  }
}

/** Selects a prompt of the highlights, whatever the filters. */
function goTo({ prompt, rollout }) {
  if (!passing.has(prompt)) {
    for (const field of fields()) field.value = defaultOf(field);
    filtersReset();
  }
  choosePrompt(DATA.prompts[prompt], [rollout, 0]);
  reveal();
}
