// Makes pages quicker to use. Every page works without it, as plain forms.
"use strict";

// Leave quickly: blank at once, tell the server, and leave nothing to go back to.
const leaveForm = document.getElementById("leave"), otherTabs = new BroadcastChannel("leave");
function blank() {
  document.documentElement.classList.add("gone");
  document.title = "";
  location.replace("about:blank");
}
function leave() {
  if (leaveForm) navigator.sendBeacon(leaveForm.action);
  otherTabs.postMessage("leave");
  blank();
}
otherTabs.onmessage = blank;
if (leaveForm) leaveForm.addEventListener("submit", (event) => { event.preventDefault(); leave(); });
let shifts = [];
addEventListener("keydown", (event) => {
  if (event.key !== "Shift") { shifts = []; return; }
  if (event.repeat) return;
  shifts = [...shifts, event.timeStamp].filter((at) => event.timeStamp - at < 1500);
  if (shifts.length >= 3) leave();
});

// A page that the browser kept is loaded anew: it may have been locked since.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// After a page was loaded, screen readers begin at its heading.
const heading = document.querySelector("main h1");
if (heading && !document.querySelector("[autofocus]")) { heading.tabIndex = -1; heading.focus({ preventScroll: true }); }

// A form is sent once, and shows that it is being sent. Reloading the page meanwhile would cancel it.
let isSending = false;
addEventListener("submit", (event) => {
  const form = event.target, button = form.querySelector("button:not([type=button])");
  if (form === leaveForm) return;
  isSending = true;
  if (form.dataset.waits) form.append(Object.assign(document.createElement("p"), { role: "status", textContent: form.dataset.waits }));
  if (button) setTimeout(() => { button.disabled = true; });
});

// While the app is unlocked, a page tells it that the person types, points, listens or writes a recovery sheet down. When the app
// has locked, the page leaves the screen, unless something was typed: that stays, and the app keeps it when it is sent.
const page = document.body.dataset, every = 1000 * page.checkSeconds;
let usedAt = performance.now(), isTyped = false;
async function checkUnlocked(isUsed) {
  const answer = await fetch(page.unlocked, { method: "POST", headers: isUsed ? {} : { "x-live": "1" } }).catch(() => null);
  if (answer?.status === 409 && !isTyped && !isSending) location.replace(page.returnsTo);
}
function use() { if (page.unlocked && performance.now() - usedAt > every) { usedAt = performance.now(); checkUnlocked(true); } }
for (const name of ["keydown", "pointerdown", "input", "scroll", "timeupdate"]) addEventListener(name, use, { capture: true, passive: true });
for (const name of ["input", "change"]) addEventListener(name, (event) => { if (event.target.form) isTyped = true; });
const isWrittenDown = () => document.querySelector("[data-written-down]") && performance.now() < 15 * 60_000;
if (page.unlocked) setInterval(() => isWrittenDown() ? use() : checkUnlocked(false), every);

// What changes by itself is fetched again when the server says that something changed.
const source = document.body.dataset.events && document.querySelector("[data-live]") && new EventSource(document.body.dataset.events);
if (source) source.onmessage = async () => {
  const answer = await fetch(document.querySelector("[data-live]").dataset.live, { headers: { "x-live": "1" } }), text = await answer.text();
  if (isSending) return;
  if (answer.redirected) { location.replace(answer.url); return; }
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
  const shown = document.getElementById("live");
  if (!fresh || fresh.dataset.stage !== shown.dataset.stage) location.reload();
  else if (!shown.isEqualNode(fresh) && mayReplace(shown)) {
    // What was opened stays open.
    for (const box of shown.querySelectorAll("input:checked[id]")) { const same = fresh.querySelector(`#${CSS.escape(box.id)}`); if (same) same.checked = true; }
    for (const more of shown.querySelectorAll("details[open][id]")) { const same = fresh.querySelector(`#${CSS.escape(more.id)}`); if (same) same.open = true; }
    shown.replaceWith(fresh);
  }
};
function mayReplace(shown) {
  const isPlaying = [...shown.querySelectorAll("audio, video")].some((media) => !media.paused);
  const active = document.activeElement;
  return !isPlaying && (!shown.contains(active) || shown === active || active.tagName === "H1");
}

// The strength of a passphrase, while it is typed.
const strength = document.querySelector("[data-strength]");
if (strength) {
  let later;
  strength.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(async () => {
      const answer = await fetch(strength.dataset.strength, { method: "POST", body: new URLSearchParams({ passphrase: strength.value }) });
      document.getElementById("strength").textContent = strength.value && answer.ok ? (await answer.text()).trim() : "";
    }, 300);
  });
}

for (const field of document.querySelectorAll("[data-chooses]")) field.addEventListener("input", () => { document.getElementById(field.dataset.chooses).checked = true; });
// Files are dropped on a field, or pasted.
for (const drop of document.querySelectorAll(".drop")) {
  const field = drop.querySelector("input[type=file]");
  const take = (files) => {
    if (!files.length) return;
    const all = new DataTransfer();
    for (const file of [...(field.multiple ? field.files : []), ...files]) all.items.add(file);
    field.files = all.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); take(event.dataTransfer.files); });
  addEventListener("paste", (event) => take(event.clipboardData.files));
}

// A veil is lifted while it is held down.
addEventListener("pointerdown", (event) => {
  const veil = event.target.closest(".veil");
  if (veil && event.target.closest("img, video, .text")) veil.classList.add("open");
});
for (const name of ["pointerup", "pointercancel", "blur"]) addEventListener(name, () => {
  for (const veil of document.querySelectorAll(".veil.open")) veil.classList.remove("open");
});

// A message that opens once is shown for a limited time, and is gone when its page is left, even if the browser keeps the page.
for (const form of document.querySelectorAll("form[data-seconds]")) {
  setTimeout(() => location.replace(form.dataset.then), 1000 * form.dataset.seconds);
  addEventListener("pagehide", () => { navigator.sendBeacon(form.action, new URLSearchParams({ left: "yes" })); document.getElementById("main").replaceChildren(); });
}

// A voice is recorded, listened to, and added to the files.
for (const recorder of window.MediaRecorder ? document.querySelectorAll(".recorder") : []) {
  const button = recorder.querySelector("button"), says = recorder.querySelector("[role=status]"), start = button.textContent;
  const field = recorder.closest(".drop").querySelector("input[type=file]");
  let recording = null;
  recorder.hidden = false;
  button.addEventListener("click", async () => {
    if (recording) { recording.stop(); return; }
    let sound;
    try { sound = await navigator.mediaDevices.getUserMedia({ audio: true }); }
    catch { says.textContent = recorder.dataset.refused; return; }
    const parts = [], begun = Date.now();
    recording = new MediaRecorder(sound);
    const clock = setInterval(() => { use(); const s = Math.round((Date.now() - begun) / 1000); says.textContent = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`; }, 250);
    recording.addEventListener("dataavailable", (event) => parts.push(event.data));
    recording.addEventListener("stop", () => {
      for (const track of sound.getTracks()) track.stop();
      clearInterval(clock);
      const kind = recording.mimeType.split(";")[0], all = new DataTransfer(), player = document.createElement("audio");
      for (const file of field.files) all.items.add(file);
      all.items.add(new File(parts, `${recorder.dataset.name}.${kind.split("/")[1]}`, { type: kind }));
      field.files = all.files;
      isTyped = true;
      Object.assign(player, { controls: true, src: URL.createObjectURL(new Blob(parts, { type: kind })) });
      player.setAttribute("aria-label", recorder.dataset.name);
      recorder.append(player);
      button.textContent = start;
      recording = null;
    });
    recording.start();
    button.textContent = recorder.dataset.stop;
  });
}

// A slider between two pictures.
for (const slider of document.querySelectorAll("[data-slides]")) {
  const both = slider.closest("[data-compare]").querySelector(".over-each-other");
  slider.addEventListener("input", () => both.style.setProperty("--shown", `${slider.value}%`));
}

// A page that is to be printed.
for (const print of document.querySelectorAll("[data-print]")) {
  print.hidden = false;
  print.addEventListener("click", () => window.print());
}

// A button that only works with a script.
function newButton(words, act) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: words });
  button.addEventListener("click", act);
  return button;
}

// A code is read from a still of the camera, by the server: the form is posted with it.
for (const field of document.querySelectorAll("[data-camera]")) {
  if (!navigator.mediaDevices) continue;
  const start = newButton(field.dataset.camera, async () => {
    const video = document.createElement("video");
    Object.assign(video, { autoplay: true, muted: true, playsInline: true });
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    } catch { start.replaceWith(Object.assign(document.createElement("p"), { textContent: field.dataset.none, role: "alert" })); return; }
    const take = newButton(field.dataset.takes, () => {
      const still = document.createElement("canvas");
      Object.assign(still, { width: video.videoWidth, height: video.videoHeight }).getContext("2d").drawImage(video, 0, 0);
      still.toBlob((blob) => {
        const all = new DataTransfer();
        all.items.add(new File([blob], "still.png", { type: "image/png" }));
        field.files = all.files;
        isTyped = true;
        for (const track of video.srcObject.getTracks()) track.stop();
        video.remove();
        take.replaceWith(start);
        start.focus();
        if ("posts" in field.dataset) field.form.requestSubmit();
      }, "image/png");
    });
    video.setAttribute("aria-label", field.dataset.camera);
    start.replaceWith(video, take);
    take.focus();
  });
  field.closest("label").before(start);
}

// What is to be pasted elsewhere is copied or shared with a button; without script, it is selected by hand.
for (const field of document.querySelectorAll("[data-copied]")) {
  const copy = newButton(field.dataset.copied, async () => {
    field.select();
    await navigator.clipboard.writeText(field.value).catch(() => document.execCommand("copy"));
    copy.textContent = field.dataset.done;
  });
  const share = newButton(field.dataset.share, () => navigator.share({ text: field.value }).catch(() => {}));
  const row = Object.assign(document.createElement("p"), { className: "row" });
  copy.className = share.className = "quiet";
  row.append(copy, ...(field.dataset.share && navigator.share ? [share] : []));
  field.closest("label").after(row);
}
