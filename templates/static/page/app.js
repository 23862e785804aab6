// Wires the page together: files in, cards out, one upload after the other.

import { ApiError, apiKey, call, saveArchive, url } from "./api.js";
import { Card } from "./card.js";
import { takeFiles } from "./intake.js";
import { forget, remembered } from "./history.js";
import { ModelPicker } from "./models.js";
import { recallOptions, rememberOptions } from "./options.js";
import { Restorer } from "./restorer.js";
import { Viewer } from "./viewer.js";

const UPLOADS_AT_ONCE = 2;
const IDS_PER_ARCHIVE = 200; // the service's limit: the ids must fit into an address
const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("page-config").textContent);
const cards = new Map(); // root element -> Card, newest first on the page
let uploading = 0;

function announce(text) {
  byId("announcer").textContent = text; // a polite live region: screen readers say it when they are free
}

// --- Options ----------------------------------------------------------------------------------------------------------

const form = byId("options");
const last = recallOptions(form);
const picker = new ModelPicker(form, announce, last.model);
const restorer = new Restorer(form, picker, last.restorer);
rememberOptions(form);

function chosenFields() {
  const data = new FormData(form);
  const fields = { model: restorer.before(picker.select.value) };
  for (const name of ["outscale", "format", "quality", "denoise_strength", "strip_metadata"]) {
    const control = form.elements[name];
    const value = data.get(name);
    if (value && !control.closest("[hidden]")) fields[name] = value;
  }
  if (data.get("lossless") && !form.elements.lossless.closest("[hidden]")) fields.lossless = "true";
  return fields;
}

function fitOptions() {
  const format = form.elements.format.value;
  byId("quality-field").hidden = !["jpeg", "webp", "avif", "jxl"].includes(format);
  byId("lossless-field").hidden = !["webp", "avif", "jxl"].includes(format);
  byId("quality-value").textContent = form.elements.quality.value;
  byId("denoise-value").textContent = form.elements.denoise_strength.value;
}

form.addEventListener("input", fitOptions);
form.addEventListener("submit", (event) => event.preventDefault());
picker.onChange((model) => {
  // Without the partner's weights a strength would be refused, so it is offered only with them.
  const partner = picker.known.get(model.denoise_partner);
  byId("denoise-field").hidden = !(model.supports_denoise_strength && partner?.available);
  byId("denoise-offer").hidden = !(model.available && partner && !partner.available);
  byId("denoise-download").disabled = partner?.busy ?? false;
  form.elements.outscale.options[0].text =
    model.scale === 1
      ? gettext("The same size")
      : !model.scale // a listed file that was not downloaded, so nobody knows yet
      ? gettext("The model's own")
      : interpolate(gettext("%s× (the model's own)"), [model.scale]);
});
byId("denoise-download").addEventListener("click", () => picker.download(picker.current.denoise_partner));
fitOptions();

// --- Cards ------------------------------------------------------------------------------------------------------------

function addCard(card) {
  cards.set(card.root, card);
  byId("results").prepend(card.root);
  refresh();
}

function changed(card) {
  if (card.removed) cards.delete(card.root);
  refresh();
  pump();
}

function refresh() {
  const finished = [...cards.values()].filter((card) => card.done);
  byId("empty").hidden = cards.size > 0;
  byId("all").hidden = finished.length < 2;
  byId("clear").hidden = ![...cards.values()].some((card) => ["completed", "failed", "cancelled"].includes(card.state));
}

function pump() {
  for (const card of cards.values()) {
    if (uploading >= UPLOADS_AT_ONCE) return;
    if (card.state !== "waiting") continue;
    uploading += 1;
    card.submit().finally(() => {
      uploading -= 1;
      pump();
    });
  }
}

function accept(files) {
  const model = picker.current;
  if (!model?.available) {
    showProblem(gettext("Choose a model that is ready, or download this one first."));
    return;
  }
  showProblem("");
  for (const file of files) {
    if (file.size > config.maxUploadBytes) {
      showProblem(interpolate(gettext("%s is larger than %s MB, the most this server accepts."), [file.name, config.maxUploadBytes / 1e6]));
      continue;
    }
    addCard(new Card({ file, name: file.name, fields: chosenFields(), onChange: changed, onCompare: compare, announce }));
  }
  pump();
}

function showProblem(text) {
  byId("problem").hidden = !text;
  byId("problem").textContent = text;
}

takeFiles(byId("drop"), byId("files"), accept);

byId("clear").addEventListener("click", () => {
  for (const card of [...cards.values()])
    if (["completed", "failed", "cancelled"].includes(card.state)) card.remove();
  announce(gettext("The list is cleared. Results stay on the server until its clean-up."));
});

byId("all").addEventListener("click", async () => {
  const ids = [...cards.values()].filter((card) => card.done).map((card) => card.id);
  try {
    for (let at = 0; at < ids.length; at += IDS_PER_ARCHIVE) await saveArchive(ids.slice(at, at + IDS_PER_ARCHIVE));
  } catch (error) {
    showProblem(error.message);
  }
});

// --- Before and after -------------------------------------------------------------------------------------------------

const viewer = new Viewer(byId("viewer"), () => [...byId("results").children].map((root) => cards.get(root)).filter((card) => card?.done));
const compare = (card) => viewer.open(card);

// --- Access -----------------------------------------------------------------------------------------------------------

const keyForm = byId("key-form");

/** Ask for a key; `refusal` says why the last one, or none, will not do. Without `desk` there is no use in the rest. */
function askForKey(refusal, { desk = false } = {}) {
  byId("desk").hidden = !desk;
  byId("key-known").hidden = true;
  byId("key-problem").hidden = !refusal;
  byId("key-problem").textContent = refusal;
  keyForm.hidden = false;
  keyForm.elements.key.focus();
}

async function start() {
  if (config.needsKey && !apiKey.get()) return askForKey("");
  try {
    await picker.load();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return askForKey(apiKey.get() ? error.message : "");
    byId("desk").hidden = false;
    showProblem(error.message);
    return;
  }
  keyForm.hidden = true;
  byId("desk").hidden = false;
  byId("key-known").hidden = !apiKey.get();
  showProblem("");
  await restore();
}

picker.onKeyNeeded(() => askForKey(gettext("Downloading a model needs a key that allows it."), { desk: true }));

async function restore() {
  for (const { id, name } of remembered().reverse()) {
    if ([...cards.values()].some((card) => card.id === id)) continue;
    try {
      const job = await call("GET", `/jobs/${id}`);
      const card = new Card({ job, name, onChange: changed, onCompare: compare, announce });
      addCard(card);
      if (["queued", "processing"].includes(job.status)) card.watch();
    } catch (error) {
      if (error.status === 404) forget(id); // cleaned up meanwhile
    }
  }
}

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey.set(keyForm.elements.key.value.trim());
  keyForm.reset();
  start();
});

byId("key-forget").addEventListener("click", () => {
  apiKey.set("");
  location.reload(); // what the key has shown goes with it
});

byId("docs-link").href = url("").replace("/v1", "/docs");
refresh();
start();
