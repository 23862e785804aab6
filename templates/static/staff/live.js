// Keeps parts of the staff's pages up to date. Without JavaScript they show the moment in which they were loaded.
//
// data-live="ADDRESS": the element's content is replaced by the HTML from there, every few seconds.
// data-live-job="ID": a cell of a job that has not ended; data-live-jobs on an element around them is the address that answers
// {ID: {"cells": {name: html}, "ended": bool}}. A cell's name is its data-cell. data-live-reload: the page is loaded anew at the end.

const PART_MS = 5000;
const JOBS_MS = 1500;
const SLOWEST_MS = 60_000;

/** Call `renew` again and again while the page is seen. After a failure it waits longer, and the element says that it is old. */
function keep(element, every, renew) {
  let failures = 0;
  async function turn() {
    if (!document.hidden) {
      try {
        if ((await renew()) === false) return;
        failures = 0;
      } catch {
        failures += 1; // the server restarts, or the network is away
      }
      element.classList.toggle("stale", failures > 0);
    }
    setTimeout(turn, Math.min(SLOWEST_MS, every * 2 ** failures));
  }
  setTimeout(turn, every);
}

async function ask(address) {
  const answer = await fetch(address, { headers: { "X-Requested-With": "fetch" } });
  if (answer.redirected) throw new Error("logged out"); // the log-in page is no part of this one
  if (!answer.ok) throw new Error(String(answer.status));
  return answer;
}

for (const part of document.querySelectorAll("[data-live]")) {
  keep(part, PART_MS, async () => {
    const html = await (await ask(part.dataset.live)).text();
    // What holds the focus stays, or a person with a keyboard would be thrown to the page's top.
    if (!part.contains(document.activeElement) && html !== part.shown) part.innerHTML = part.shown = html;
  });
}

for (const list of document.querySelectorAll("[data-live-jobs]")) {
  const live = () => [...list.querySelectorAll("[data-live-job]")];
  if (live().length) {
    keep(list, JOBS_MS, async () => {
      const ids = [...new Set(live().map((cell) => cell.dataset.liveJob))];
      if (!ids.length) return false;
      const jobs = await (await ask(`${list.dataset.liveJobs}?${ids.map((id) => `id=${id}`).join("&")}`)).json();
      for (const cell of live()) {
        const job = jobs[cell.dataset.liveJob];
        const html = job?.cells[cell.dataset.cell];
        if (html !== undefined && html !== cell.shown) cell.innerHTML = cell.shown = html;
        if (!job || job.ended) delete cell.dataset.liveJob;
      }
      if (list.hasAttribute("data-live-reload") && !live().length) location.reload();
      return live().length > 0;
    });
  }
}
