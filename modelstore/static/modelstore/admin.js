// Moves the progress bars of the model pages while something is on its way. Without JavaScript the pages still work.
"use strict";

const POLL_MS = 1000;

document.addEventListener("DOMContentLoaded", () => {
  const place = document.querySelector("[data-model-poll]");
  if (!place) return;
  const badges = [...document.querySelectorAll("[data-model-state]")];
  const bars = [...document.querySelectorAll("[data-model-progress]")];
  const shown = new Set(badges.map((badge) => badge.dataset.modelState));
  const busyAtFirst = bars.some((bar) => !bar.hidden);

  async function poll() {
    const response = await fetch(place.dataset.modelPoll, { headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const models = await response.json();
    for (const bar of bars) {
      const model = models[bar.dataset.modelProgress];
      bar.hidden = !model?.pending;
      if (model?.pending) bar.value = model.percent ?? 0;
    }
    for (const badge of badges) {
      const model = models[badge.dataset.modelState];
      if (!model) continue;
      const word = badge.firstElementChild;
      const label = model.label[0].toUpperCase() + model.label.slice(1);
      word.textContent = model.percent === null ? label : `${label} ${model.percent} %`;
      word.className = `badge badge-${model.state}`;
    }
    const busy = Object.entries(models).some(([pk, model]) => shown.has(pk) && model.pending);
    if (busy) setTimeout(poll, POLL_MS);
    else location.reload(); // sizes, dates, buttons and errors have changed too
  }

  if (busyAtFirst) setTimeout(poll, POLL_MS);
});
