// Text of users and models is inserted as text, never as markup.

/** Creates an element with attributes and children; strings become text nodes. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Replaces the children of an element. */
function fill(id, ...children) {
  document.getElementById(id).replaceChildren(...children);
}

/** Escapes text for DataTables, which inserts cells as HTML. */
function escaped(text) {
  const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(text).replace(/[&<>"']/g, (sign) => signs[sign]);
}

function number(value, digits = 3) {
  if (value === null || value === undefined) return "";
  const shown = value.toFixed(digits);
  return Number(shown) === 0 ? (0).toFixed(digits) : shown;
}

/** A label on one line, short enough to be drawn on an image. */
function shortened(text, length = 40) {
  const line = Array.from(String(text).replace(/\s+/g, " ").trim());
  return line.length <= length ? line.join("") : line.slice(0, length - 1).join("") + "\u2026";
}
