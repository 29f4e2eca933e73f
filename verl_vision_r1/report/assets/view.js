// Zoom and pan: one view for all pictures, so that two runs stay side by side.

/** `scale` from 1; `x` and `y` are the left upper corner of the view, as fractions of the picture. */
const VIEW = { scale: 1, x: 0, y: 0 };
const MOST_ZOOM = 40;
const ZOOM_STEP = 1.4;

function setView(scale, x, y) {
  VIEW.scale = Math.min(Math.max(scale, 1), MOST_ZOOM);
  const room = 1 - 1 / VIEW.scale;
  VIEW.x = Math.min(Math.max(x, 0), room);
  VIEW.y = Math.min(Math.max(y, 0), room);
}

function resetView() {
  setView(1, 0, 0);
}

let waiting = false;

/** Draws at most once per frame, however many events there are. */
function viewChanged() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawPictures();
    remember();
  });
}

/** Zooms so that a place, in fractions of the visible part, stays where it is. */
function zoom(factor, across = 0.5, down = 0.5) {
  const { scale, x, y } = VIEW;
  const next = Math.min(Math.max(scale * factor, 1), MOST_ZOOM);
  setView(next, x + across / scale - across / next, y + down / scale - down / next);
  viewChanged();
}

/** Where an event is in a picture, in fractions of its visible part. */
function within(event, picture) {
  const frame = picture.getBoundingClientRect();
  return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
}

function listenToPicture(picture) {
  let held = null;
  picture.addEventListener("wheel", (event) => {
    if (VIEW.scale === 1 && event.deltaY >= 0) return; // Nothing to zoom out of: the page scrolls.
    event.preventDefault();
    zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) / 300), ...within(event, picture));
  }, { passive: false });
  picture.addEventListener("dblclick", () => { resetView(); viewChanged(); });
  picture.addEventListener("pointerdown", (event) => {
    if (event.button || VIEW.scale === 1) return;
    held = { at: within(event, picture), x: VIEW.x, y: VIEW.y };
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [across, down] = within(event, picture);
    setView(VIEW.scale, held.x - (across - held.at[0]) / VIEW.scale, held.y - (down - held.at[1]) / VIEW.scale);
    viewChanged();
  });
  for (const name of ["pointerup", "pointercancel"]) picture.addEventListener(name, () => { held = null; });
}
