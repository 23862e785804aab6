// Wires the page together: files in, cards out, one upload after the other.

import { alive, ApiError, apiKey, call, saveArchive, url } from "./api.js";
import { Card } from "./card.js";
import { connection } from "./connection.js";
import { seconds } from "./format.js";
import { forget, KEY as HISTORY, remembered } from "./history.js";
import { takeFiles } from "./intake.js";
import { WorkList } from "./list.js";
import { ModelPicker } from "./models.js";
import { notify, offerNotifications } from "./notify.js";
import { chosenFields, fitOptions, recallOptions, rememberOptions } from "./options.js";
import { Presets } from "./presets.js";
import { Ready } from "./ready.js";
import { Restorer } from "./restorer.js";
import { Viewer } from "./viewer.js";

const UPLOADS_AT_ONCE = 2;
const IDS_PER_CALL = 200; // the service's limit: the ids must fit into an address
const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("page-config").textContent);
let uploading = 0;

function announce(text) {
  byId("announcer").textContent = text; // a polite live region: screen readers say it when they are free
}

// --- Options ----------------------------------------------------------------------------------------------------------

const form = byId("options");
const last = recallOptions(form);
const picker = new ModelPicker(form, announce, last.model);
const restorer = new Restorer(form, picker, last.restorer);
new Presets(byId("presets"), form, picker);
rememberOptions(form);
const fieldsNow = () => ({ model: restorer.before(picker.select.value), ...chosenFields(form) });
form.addEventListener("input", () => fitOptions(form));
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
fitOptions(form);
if (matchMedia("(max-width: 820px)").matches) byId("more-options").open = false;

// --- Cards ------------------------------------------------------------------------------------------------------------

const list = new WorkList(announce, ({ done, failed }) => {
  const parts = [interpolate(ngettext("%s picture is finished.", "%s pictures are finished.", done), [done])];
  if (failed) parts.push(interpolate(ngettext("%s picture failed.", "%s pictures failed.", failed), [failed]));
  notify(byId("notify"), parts.join(" "), document.querySelector("link[rel=icon]").href);
});
offerNotifications(byId("notify"), byId("notify-hint"));

function newCard(facts) {
  list.add(new Card({ ...facts, onChange: changed, onCompare: compare, onAgain: (file) => accept([file]), announce, ready: isReady }));
}

/** Whether a model, or every member of a chain, is on the server. */
function isReady(model) {
  return model.split("+").every((member) => picker.known.get(member)?.available);
}

function changed(card) {
  list.changed(card);
  ready.show();
  pump();
}

/** Send what waits, in its order; pictures whose model is still to come are passed over until it is there. */
function pump() {
  for (const card of list.all) {
    if (uploading >= UPLOADS_AT_ONCE) return;
    if (card.state !== "waiting" || !isReady(card.fields.model)) continue;
    uploading += 1;
    card.submit().finally(() => {
      uploading -= 1;
      pump();
    });
  }
}

const ready = new Ready(form, list, { fields: fieldsNow, usable: isReady, begin });
picker.onChange(() => {
  for (const card of list.all) if (card.state === "waiting") card.render();
  ready.later();
  pump();
});

/** Send the chosen pictures with the options as they are now. */
function begin(cards) {
  const fields = fieldsNow();
  for (const card of cards) {
    if (JSON.stringify(card.fields) !== JSON.stringify(fields)) card.plan = null; // it was foreseen with others
    card.fields = fields;
    card.set("waiting");
  }
  pump();
}

function accept(files) {
  if (!picker.current) return;
  showProblem(picker.current.available ? "" : gettext("This model is not on the server yet. Your pictures wait here until it is downloaded."));
  for (const file of files) {
    if (file.size > config.maxUploadBytes) {
      showProblem(interpolate(gettext("%s is larger than %s MB, the most this server accepts."), [file.name, config.maxUploadBytes / 1e6]));
      continue;
    }
    take({ file, name: file.name });
  }
}

/** A new picture: it waits for the start, unless everything is started at once. */
function take(facts) {
  newCard({ ...facts, fields: fieldsNow(), state: form.elements.at_once.checked ? "waiting" : "chosen" });
  ready.later();
  pump();
}

byId("address-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const address = byId("address").value.trim();
  take({ address, name: new URL(address).pathname.split("/").pop() || address });
  event.target.reset();
});

function showProblem(text) {
  byId("problem").hidden = !text;
  byId("problem").textContent = text;
}

takeFiles(byId("drop"), byId("files"), accept);

byId("all").addEventListener("click", async () => {
  const ids = list.finished.map((card) => card.id);
  try {
    for (let at = 0; at < ids.length; at += IDS_PER_CALL) await saveArchive(ids.slice(at, at + IDS_PER_CALL));
  } catch (error) {
    showProblem(error.message);
  }
});

// --- Before and after -------------------------------------------------------------------------------------------------

const viewer = new Viewer(byId("viewer"), () => list.finished);
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
    if (error.status !== 0) return showProblem(error.message);
    await connection.back(); // the banner says it
    return start();
  }
  keyForm.hidden = true;
  byId("desk").hidden = false;
  byId("key-known").hidden = !apiKey.get();
  showProblem("");
  await restore();
}

picker.onKeyNeeded(() => askForKey(gettext("Downloading a model needs a key that allows it."), { desk: true }));

/** Show the jobs that this browser remembers and this page does not show yet, oldest first, by a call for many. */
async function restore() {
  const shown = new Set(list.all.map((card) => card.id));
  const missing = remembered().filter(({ id }) => !shown.has(id)).reverse();
  for (let at = 0; at < missing.length; at += IDS_PER_CALL) {
    const some = missing.slice(at, at + IDS_PER_CALL);
    const answer = await call("GET", `/jobs?limit=${IDS_PER_CALL}&ids=${some.map(({ id }) => id).join(",")}`);
    const jobs = new Map(answer.jobs.map((job) => [job.job_id, job]));
    for (const { id, name } of some) {
      const job = jobs.get(id);
      if (!job) forget(id); // cleaned up meanwhile
      else if (!list.all.some((card) => card.id === id)) newCard({ job, name });
    }
  }
  for (const card of list.all) if (card.id && card.live && !card.watched) card.watch();
}

// Another tab of this browser sent pictures, or took them from its list.
addEventListener("storage", async (event) => {
  if (event.key !== HISTORY) return;
  const kept = new Set(remembered().map(({ id }) => id));
  for (const card of list.all) if (card.id && !card.live && !kept.has(card.id)) card.remove();
  await restore().catch((error) => showProblem(error.message));
});

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

// --- The way to the service -------------------------------------------------------------------------------------------

connection.begin(alive, (lost, left) => {
  byId("lost").hidden = !lost;
  byId("lost-seconds").textContent = interpolate(gettext("Trying again in %s"), [seconds(left)]);
});
byId("lost-now").addEventListener("click", () => connection.look());

byId("docs-link").href = url("").replace("/v1", "/docs");
list.refresh();
start();
