// Keeps the page as the gateway is: asks for the part that changes, which the gateway has rendered and escaped.
"use strict";

const EVERY_MS = 2000;
const PATIENCE_MS = 10000;

const note = document.getElementById("note");
const pause = document.getElementById("pause");
const form = document.getElementById("unlock");

let token = null; // in memory only
let timer = null;
let paused = false;

function place(fresh, id) {
  const shown = document.getElementById(id);
  const found = fresh.getElementById(id);
  // What has not changed stays, and with it what a reader has selected or focused.
  if (found !== null && shown.innerHTML !== found.innerHTML) shown.replaceChildren(...found.childNodes);
  shown.hidden = false;
}

async function ask() {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch("page/live", { headers, signal, cache: "no-store" });
  if (answer.status === 401) {
    lock();
    return;
  }
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  place(fresh, "live");
  place(fresh, "docs");
  if (form !== null) form.hidden = true;
  pause.hidden = false;
  note.textContent = "";
}

function lock() {
  token = null;
  pause.hidden = true;
  if (form === null) {
    note.textContent = "The gateway asks for a token now: reload this page.";
    return;
  }
  for (const id of ["live", "docs"]) {
    document.getElementById(id).replaceChildren();
    document.getElementById(id).hidden = true;
  }
  form.hidden = false;
  note.textContent = "That is no token of this gateway.";
  document.getElementById("token").focus();
}

async function refresh() {
  clearTimeout(timer);
  if (paused || document.hidden || (form !== null && token === null)) return;
  try {
    await ask();
  } catch {
    note.textContent = "The gateway does not answer.";
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, EVERY_MS);
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Resume" : "Pause";
  note.textContent = paused ? "Paused." : "";
  refresh();
});
document.addEventListener("visibilitychange", refresh);
if (form === null) {
  pause.hidden = false;
  refresh();
} else {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("token");
    token = field.value.trim();
    field.value = "";
    refresh();
  });
}
