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

function makeTable() {
  const columns = [
    { title: "kind", data: "kind", render: shownText },
    { title: "step", data: "step", ...NUMERIC },
    { title: "source", data: "source", render: shownText },
    { title: "prompt", data: about, render: shownText },
    { title: "reward", data: "mean", render: shownNumber, ...NUMERIC },
    { title: "std", data: "std", render: shownNumber, ...NUMERIC },
    { title: "change", data: "change", render: shownNumber, ...NUMERIC },
    { title: "flags", data: (prompt) => prompt.flags.length, ...NUMERIC },
  ];
  const layout = { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging" };
  table = new DataTable("#prompts", {
    data: DATA.prompts, columns, layout, order: [[1, "desc"]], pageLength: LENGTH, deferRender: true, autoWidth: false,
    language: { info: "_START_ to _END_ of _TOTAL_ prompts", infoFiltered: "(of _MAX_)", infoEmpty: "no prompt passes the filters", zeroRecords: "" },
    createdRow: (line, prompt) => line.addEventListener("click", () => choosePrompt(prompt, firstPassing(prompt))),
    drawCallback: () => table && markChosen(),
  });
  table.search.fixed("filters", (_text, _data, index) => passing.has(index));
}

function firstPassing(prompt) {
  return Math.min(...(passing.get(prompt.index) ?? [0]));
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

/** Selects the prompt `count` places further, and turns the page if necessary. */
function move(count) {
  const order = listed();
  if (!order.length) return;
  const now = STATE.prompt ? order.indexOf(STATE.prompt.index) : -1;
  const place = now === -1 ? 0 : Math.min(Math.max(now + count, 0), order.length - 1);
  const prompt = DATA.prompts[order[place]];
  const page = Math.floor(place / LENGTH);
  if (table.page() !== page) table.page(page).draw("page");
  choosePrompt(prompt, firstPassing(prompt));
  document.querySelector("#prompts tr.chosen")?.scrollIntoView({ block: "nearest" });
}
