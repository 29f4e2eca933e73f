// The list of prompts: DataTables (from itables) sorts and pages it.

const NUMERIC = { className: "dt-right", type: "num" };
const LENGTH = 25;
let table;

function shownNumber(value, type) {
  return type === "display" ? number(value) : value ?? -Infinity;
}

function shownText(value, type) {
  return type === "display" ? `<bdi>${escaped(shortened(value, 60))}</bdi>` : value;
}

function about(prompt) {
  return [prompt.image_id, prompt.subject || prompt.question].join(" ");
}

/** The mean reward of a prompt in a run; null if that run does not have it. */
function meanIn(prompt, run) {
  return (prompt.run === run ? prompt : pairOf(prompt))?.mean ?? null;
}

function difference(prompt) {
  const [own, other] = [meanIn(prompt, 0), meanIn(prompt, 1)];
  return own === null || other === null ? null : own - other;
}

/** Two runs leave less room: their means and the difference, without spread, change and flags. */
function columnsOf() {
  const first = [
    { title: "kind", data: "kind", render: shownText },
    { title: "step", data: "step", ...NUMERIC },
    { title: "source", data: "source", render: shownText, visible: !BOTH },
    { title: "prompt", data: about, render: shownText },
  ];
  const numbers = { render: shownNumber, ...NUMERIC };
  if (BOTH) {
    return [...first, { title: "reward", data: (prompt) => meanIn(prompt, 0), ...numbers },
      { title: "against", data: (prompt) => meanIn(prompt, 1), ...numbers }, { title: "difference", data: difference, ...numbers }];
  }
  return [...first, { title: "reward", data: "mean", ...numbers }, { title: "std", data: "std", ...numbers },
    { title: "change", data: "change", ...numbers }, { title: "flags", data: (prompt) => prompt.flags.length, ...NUMERIC }];
}

function makeTable() {
  const layout = { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging" };
  table = new DataTable("#prompts", {
    data: DATA.prompts, columns: columnsOf(), layout, order: [[1, "desc"]], pageLength: LENGTH, deferRender: true, autoWidth: false,
    language: { info: "_START_ to _END_ of _TOTAL_ prompts", infoFiltered: BOTH ? "" : "(of _MAX_)", infoEmpty: "no prompt passes the filters", zeroRecords: "" },
    createdRow: (line, prompt) => line.addEventListener("click", () => choosePrompt(prompt, firstPassing(prompt))),
    drawCallback: () => table && markChosen(),
  });
  table.search.fixed("filters", (_text, _data, index) => passing.has(index));
}

/** The rollouts to select of a prompt: in its own run the first that passes the filters. */
function firstPassing(prompt) {
  const first = Math.min(...(passing.get(prompt.index) ?? [0]));
  return prompt.run ? [0, first] : [first, 0];
}

/** The indices of the listed prompts, in the order of the list. */
function listed() {
  return table.rows({ order: "applied", search: "applied" }).indexes().toArray();
}

function markChosen() {
  for (const line of document.querySelectorAll("#prompts tbody tr")) {
    const prompt = table.row(line).data();
    line.classList.toggle("chosen", Boolean(prompt) && prompt === STATE.prompt);
  }
}

/** Turns to the page of the list with the selected prompt. */
function reveal(order = listed()) {
  const place = order.indexOf(STATE.prompt?.index);
  if (place === -1) return;
  const page = Math.floor(place / LENGTH);
  if (table.page() !== page) table.page(page).draw("page");
  document.querySelector("#prompts tr.chosen")?.scrollIntoView({ block: "nearest" });
}

/** Selects the prompt `count` places further, and turns the page if necessary. */
function move(count) {
  const order = listed();
  if (!order.length) return;
  const now = STATE.prompt ? order.indexOf(STATE.prompt.index) : -1;
  const place = now === -1 ? 0 : Math.min(Math.max(now + count, 0), order.length - 1);
  const prompt = DATA.prompts[order[place]];
  choosePrompt(prompt, firstPassing(prompt));
  reveal(order);
}
