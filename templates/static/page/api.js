// The REST API as the page uses it: one place for addresses, keys and error texts.

const config = JSON.parse(document.getElementById("page-config").textContent);
const KEY = "upscaler.key";

/** What the service answered instead of what was asked; `message` is fit to be shown. */
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    const fields = (body?.errors ?? []).map((each) => `${each.field}: ${each.message}`).join("; ");
    super(fields || body?.detail || statusText(status));
    this.status = status;
    this.code = body?.code ?? "";
    this.retryAfter = retryAfter;
  }
}

function statusText(status) {
  if (status === 0) return gettext("The service cannot be reached. Is it running?");
  if (status === 413) return gettext("The file is larger than the service accepts.");
  return interpolate(gettext("The service answered with status %s."), [status]);
}

export const apiKey = {
  get: () => localStorage.getItem(KEY) ?? "",
  set: (value) => (value ? localStorage.setItem(KEY, value) : localStorage.removeItem(KEY)),
};

export function url(path) {
  return config.api + path;
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
    throw new ApiError(0);
  }
  const body = await response.json().catch(() => null);
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

/**
 * A picture's address for an <img> or a download. With a key the bytes are fetched, since <img> sends no headers;
 * without one the plain address is best: the browser streams and caches it.
 */
export async function pictureUrl(path) {
  if (!apiKey.get()) return url(path);
  const response = await fetch(url(path), { headers: headers({ Accept: "*/*" }) });
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
  return URL.createObjectURL(await response.blob());
}

/** Save a file under the name that the service gives it. Without a key the browser streams it to the disk by itself. */
export async function save(path) {
  const link = document.createElement("a");
  link.download = "";
  if (apiKey.get()) {
    const response = await fetch(url(path), { headers: headers({ Accept: "*/*" }) });
    if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
    const named = response.headers.get("Content-Disposition")?.match(/filename="([^"]+)"/);
    link.download = named?.[1] ?? "";
    link.href = URL.createObjectURL(await response.blob());
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } else {
    link.href = url(path);
  }
  link.click();
}
