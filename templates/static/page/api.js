// The REST API as the page uses it: one place for addresses, keys and error texts.

import { connection } from "./connection.js";

const config = JSON.parse(document.getElementById("page-config").textContent);
const KEY = "upscaler.key";

/** What the service answered instead of what was asked; `message` is fit to be shown. */
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(complaints(body?.errors) || body?.detail || statusText(status));
    this.status = status;
    this.code = body?.code ?? "";
    this.retryAfter = retryAfter;
  }
}

/** What is wrong with which option, each complaint once, with the option's name on the page. */
function complaints(errors = []) {
  const byMessage = new Map();
  for (const { field, message } of errors) byMessage.set(message, [...(byMessage.get(message) ?? []), label(field)]);
  return [...byMessage].map(([message, fields]) => `${fields.join(", ")}: ${message}`).join("; ");
}

function label(field) {
  const control = document.getElementById(field);
  return control?.getAttribute("aria-label") ?? control?.labels?.[0]?.firstChild.textContent.trim() ?? field;
}

const GATEWAY = new Set([502, 503, 504]); // without a body of ours: a proxy says that nobody is behind it

function statusText(status) {
  if (status === 0) return gettext("The service cannot be reached. Is it running?");
  if (status === 413) return gettext("The file is larger than the service accepts.");
  return interpolate(gettext("The service answered with status %s."), [status]);
}

export const apiKey = {
  get: () => localStorage.getItem(KEY) ?? "",
  set: (value) => (links.clear(), value ? localStorage.setItem(KEY, value) : localStorage.removeItem(KEY)),
};

export function url(path) {
  return config.api + path;
}

export async function alive() {
  const answer = await fetch(url("/health/live"), { cache: "no-store" });
  return !GATEWAY.has(answer.status);
}

export function headers(extra = {}) {
  const all = { Accept: "application/json", ...extra };
  if (apiKey.get()) all.Authorization = `Bearer ${apiKey.get()}`;
  else if (config.csrfToken) all["X-CSRFToken"] = config.csrfToken;
  return all;
}

/** Call the API; returns the parsed body, or throws ApiError. */
export async function call(method, path, { json, signal, prefer } = {}) {
  const extra = json === undefined ? {} : { "Content-Type": "application/json" };
  if (prefer) extra.Prefer = prefer; // RFC 7240
  let response;
  try {
    response = await fetch(url(path), {
      method,
      headers: headers(extra),
      body: json === undefined ? undefined : JSON.stringify(json),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    connection.lose();
    throw new ApiError(0);
  }
  const body = await response.json().catch(() => null);
  if (body === null && GATEWAY.has(response.status)) {
    connection.lose();
    throw new ApiError(0);
  }
  if (!response.ok) throw new ApiError(response.status, body, Number(response.headers.get("Retry-After")) || 0);
  return body;
}

/** Send a form with upload progress (0 to 1), which fetch cannot report. Returns {promise, abort}. */
export function send(path, form, onProgress) {
  const request = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    request.open("POST", url(path));
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    request.addEventListener("load", () =>
      request.status < 300
        ? resolve(request.response)
        : reject(new ApiError(request.status, request.response, Number(request.getResponseHeader("Retry-After")) || 0)),
    );
    request.addEventListener("error", () => reject(new ApiError(0)));
    request.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
    request.send(form);
  });
  return { promise, abort: () => request.abort() };
}

const LINK_MS = 50 * 60_000; // the service's links are good for an hour
const links = new Map(); // job id -> {made, urls}

/**
 * The address of a job's "result", "preview", "input" or "tile" for an <img> or a download. These send no headers, so with a key
 * the service is asked for a signed link; the browser then streams and caches the picture by itself.
 */
export async function pictureUrl(jobId, what) {
  if (!apiKey.get()) return url(`/jobs/${jobId}/${what === "tile" ? "pyramid/tile" : what}`);
  let known = links.get(jobId);
  if (!known || Date.now() - known.made > LINK_MS) {
    known = { made: Date.now(), urls: await call("POST", `/jobs/${jobId}/links`) };
    links.set(jobId, known);
  }
  return known.urls[`${what}_url`];
}

const SHOWN_PIXELS = 40_000_000; // more than browsers show as an <img> without trouble

/**
 * The address of what to show of a finished job: its preview, which is made in the moment after the job's end, or the
 * result itself where no preview comes and the result is not too large.
 */
export async function shownUrl(jobId, job) {
  const preview = await pictureUrl(jobId, "preview");
  for (let attempt = 0; attempt < 20; attempt++) {
    const answer = await fetch(preview, { method: "HEAD" });
    if (answer.status === 200) return preview;
    if (answer.status !== 202) break;
    await new Promise((resolve) => setTimeout(resolve, 1000 * (Number(answer.headers.get("Retry-After")) || 1)));
  }
  return job.result_width * job.result_height > SHOWN_PIXELS ? preview : pictureUrl(jobId, "result");
}

/** Let the browser save what is at `address`, under the name that the service gives it. */
export function save(address, name = "") {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

/** Save the results of several jobs as one ZIP file, which the browser streams to the disk: it may have gigabytes. */
export async function saveArchive(ids) {
  const links = await call("POST", `/jobs/archive/links?ids=${ids.join(",")}`);
  save(links.archive_url);
}
