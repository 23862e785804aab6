// Server-sent events of one job, read with fetch: EventSource cannot send an API key, and hides status codes.

import { ApiError, call, headers, url } from "./api.js";

const TERMINAL = new Set(["completed", "failed", "cancelled"]);
const RECONNECT_MS = 2000;
const POLL_MS = { processing: 3000, queued: 8000 };

// A browser opens six connections to a server that speaks HTTP/1.1, and a stream keeps one for as long as its job lives.
// Two streams leave the others to uploads, pictures and buttons; jobs are worked on in their order, so the first two are
// those that move. The rest ask now and then.
const MOST_STREAMS = 2;
let streams = 0;
const turns = []; // callbacks of those who wait for a stream, first come first served

/** Follow a job to its end: `onJob(job)` for every news. Resolves with the finished job; throws ApiError, AbortError. */
export async function follow(jobId, onJob, signal) {
  let lastId = "";
  let pace = POLL_MS.queued;
  const turn = takeTurn();
  try {
    for (;;) {
      let job = null;
      if (turn.mine) {
        try {
          job = await stream(jobId, lastId, (news, id) => {
            lastId = id || lastId;
            onJob(news);
          }, signal);
        } catch (error) {
          // Too many streams (429, 503) or a proxy that cuts them: asking works everywhere.
          if (error.name === "AbortError" || error.status === 404) throw error;
        }
        if (job && TERMINAL.has(job.status)) return job;
        await pause(RECONNECT_MS, signal); // also after a stream that a proxy ended politely
      } else {
        await Promise.race([pause(pace, signal), turn.came]);
      }
      try {
        job = await call("GET", `/jobs/${jobId}`, { signal });
      } catch (error) {
        if (error.name === "AbortError" || error.status === 404) throw error;
        continue; // the service restarts, or is busy: the job is safe there
      }
      pace = POLL_MS[job.status] ?? pace;
      onJob(job);
      if (TERMINAL.has(job.status)) return job;
    }
  } finally {
    turn.giveBack();
  }
}

/** A place among the streams: `mine` once it is there, `came` resolves then. */
function takeTurn() {
  const turn = { mine: streams < MOST_STREAMS };
  let arrive;
  turn.came = new Promise((resolve) => (arrive = resolve));
  const take = () => {
    turn.mine = true;
    arrive();
  };
  if (turn.mine) streams += 1;
  else turns.push(take);
  turn.giveBack = () => {
    if (!turn.mine) return void turns.splice(turns.indexOf(take), 1);
    const next = turns.shift();
    if (next) next();
    else streams -= 1;
  };
  return turn;
}

async function stream(jobId, lastId, onEvent, signal) {
  const extra = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
  const response = await fetch(url(`/jobs/${jobId}/events`), { headers: headers(extra), signal });
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let job = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (!event.data) continue; // a comment: the heartbeat
      job = JSON.parse(event.data);
      onEvent(job, event.id);
      if (TERMINAL.has(job.status)) {
        await reader.cancel();
        return job;
      }
    }
  }
  return job;
}

function parse(block) {
  const event = { id: "", data: "" };
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = line.match(/^([^:]*):? ?(.*)$/);
    if (name === "data") event.data += (event.data && "\n") + value;
    if (name === "id") event.id = value;
  }
  return event;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    }, { once: true });
  });
}
