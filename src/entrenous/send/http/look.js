"use strict";
// Held down it is shown, let go it is veiled; left, it is gone. Works with keys as with a finger.
const root = document.documentElement;
root.classList.add("script");
const end = root.dataset.end;

function tellEnd() { if (end) navigator.sendBeacon(end); }
function gone() {
  document.body.replaceChildren();
  document.title = "";
}
function leave() {
  gone();
  tellEnd();
  location.replace("about:blank");
}

function release() {
  for (const veil of document.querySelectorAll(".veil.held")) {
    veil.classList.remove("held");
    for (const media of veil.querySelectorAll("video, audio")) media.pause();
  }
}
function hold(veil) {
  veil.classList.add("held");
  for (const media of veil.querySelectorAll("video, audio")) media.play().catch(() => {});
}

for (const veil of document.querySelectorAll(".veil")) {
  for (const media of veil.querySelectorAll("video, audio")) media.controls = false;
  veil.addEventListener("pointerdown", () => hold(veil));
  veil.addEventListener("contextmenu", (event) => event.preventDefault());
  veil.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") { event.preventDefault(); hold(veil); }
  });
  veil.addEventListener("keyup", release);
}
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, release);
addEventListener("blur", release);
document.addEventListener("visibilitychange", release);

let shifts = [];
addEventListener("keydown", (event) => {
  if (event.key !== "Shift") { shifts = []; return; }
  if (event.repeat) return;
  shifts = [...shifts.slice(-2), event.timeStamp];
  if (shifts.length === 3 && shifts[2] - shifts[0] < 1500) leave();
});
document.getElementById("leave")?.form.addEventListener("submit", (event) => {
  event.preventDefault();
  leave();
});
if (root.dataset.seconds) {
  setTimeout(leave, 1000 * Number(root.dataset.seconds));
  addEventListener("pagehide", () => { gone(); tellEnd(); });
}
