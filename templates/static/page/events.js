// Server-sent events of one job, read with fetch: EventSource cannot send an API key, and hides status codes.

import { ApiError, call, headers, url } from "./api.js";

const TERMINAL = new Set(["completed", "failed", "cancelled"]);
const RECONNECT_MS = 2000;
const POLL_MS = 3000;

/** Follow a job to its end: `onJob(job)` for every news. Resolves with the finished job; throws ApiError, AbortError. */
export async function follow(jobId, onJob, signal) {
  let lastId = "";
  for (;;) {
    let job;
    try {
      job = await stream(jobId, lastId, (news, id) => {
        lastId = id || lastId;
        onJob(news);
      }, signal);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      // Too many streams (429/503) or a proxy that buffers them: asking now and then works everywhere.
      if (error instanceof ApiError && error.status === 404) throw error;
      await pause(error instanceof ApiError && error.status ? POLL_MS : RECONNECT_MS, signal);
      try {
        job = await call("GET", `/jobs/${jobId}`, { signal });
        onJob(job);
      } catch (again) {
        if (again.name === "AbortError" || again.status === 404) throw again;
      }
    }
    if (job && TERMINAL.has(job.status)) return job;
  }
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
