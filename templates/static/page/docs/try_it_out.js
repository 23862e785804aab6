// "Try it out" succeeds as it stands: where no file was chosen a drawn one is sent, and the examples' ids become those of
// real jobs, made for the purpose where there is none. What was really sent is what the page shows as curl.
"use strict";

const upscalerDocs = (() => {
  const EXAMPLE_JOB = "550e8400-e29b-41d4-a716-446655440000"; // as in jobs/api/docs/examples.py
  const EXAMPLE_BATCH = "7d1c2a70-55a5-4a4e-9d0a-2f0a3f1c9b11";
  const MODEL = "bundled-compact-x4";
  const POLL_MS = 300;

  /** A small picture with something in it. */
  async function drawn(width = 96, height = 64) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const pen = canvas.getContext("2d");
    const sky = pen.createLinearGradient(0, 0, width, height);
    sky.addColorStop(0, "#24346d");
    sky.addColorStop(1, "#faaa68");
    pen.fillStyle = sky;
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = "#fff3c4";
    pen.arc(width * 0.7, height * 0.4, height / 6, 0, 7);
    pen.fill();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve));
    return new File([blob], "drawn.png", { type: "image/png" });
  }

  const call = async (request, method, path, body) => {
    const headers = { ...request.headers, Accept: "application/json" };
    delete headers["Content-Type"]; // the form's own
    const answer = await fetch(`${root(request.url)}${path}`, { method, headers, body });
    return answer.json();
  };
  const root = (url) => url.slice(0, url.indexOf("/api/v1") + "/api/v1".length);

  /** Make a job; a slow one can still be cancelled when the next call arrives. */
  async function make(request, { slow = false, to = "/jobs" } = {}) {
    const form = new FormData();
    const file = await drawn(...(slow ? [1400, 1000] : []));
    form.append(to === "/jobs" ? "image" : "images", file);
    form.append("model", MODEL);
    form.append("reuse", "false");
    if (slow) form.append("tile_size", "32");
    return call(request, "POST", to, form);
  }

  async function until(request, path, good) {
    for (;;) {
      const found = await call(request, "GET", path);
      if (good(found) || found.code) return found;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  const ended = (id) => (request) => until(request, `/jobs/${id}`, (job) => ["completed", "failed", "cancelled"].includes(job.status));

  /** A job that the operation at this address can do something with. */
  async function jobFor(request) {
    const action = request.url.split("?")[0].split("/").pop();
    if (action === "cancel") return (await make(request, { slow: true })).job_id;
    if (action === "retry") {
      const { job_id: id } = await make(request, { slow: true });
      await call(request, "POST", `/jobs/${id}/cancel`);
      await ended(id)(request);
      return id;
    }
    if (request.method !== "DELETE") {
      const { jobs } = await call(request, "GET", "/jobs?status=completed&limit=1");
      if (jobs?.length) return jobs[0].job_id;
    }
    const { job_id: id } = await make(request);
    await ended(id)(request);
    return id;
  }

  async function batchFor(request) {
    const { batch_id: id } = await make(request, { to: "/upscale-batch" });
    await until(request, `/batches/${id}`, (batch) => batch.status !== "processing");
    return id;
  }

  /** Leave out what was left empty, and put a drawn picture where none was chosen. */
  async function fill(form, field) {
    for (const [name, value] of [...form]) if (value === "" || value.size === 0) form.delete(name);
    if (!form.has(field) && !form.has("image_url")) form.set(field, await drawn());
  }

  /** Leave the options of forms empty but for the model: Swagger UI would send a number of its own for each of them. */
  function emptied(spec) {
    for (const name of ["ImageForm", "BatchForm"]) {
      const { properties } = spec.components.schemas[name];
      for (const [key, value] of Object.entries(properties)) {
        value.example = key === "model" ? MODEL : value.type === "array" ? [] : "";
      }
    }
    return spec;
  }

  return {
    responseInterceptor: (given) => {
      const response = responseInterceptor(given);
      if (response.ok && isSchemaUrl(response.url)) response.text = JSON.stringify(emptied(JSON.parse(response.text)));
      return response;
    },
    requestInterceptor: async (given) => {
      const request = requestInterceptor(given); // the page's own: credentials, and the token against forged requests
      if (request.loadSpec) return request;
      if (/\/(upscale|upscale-batch|jobs)(\?|$)/.test(request.url) && request.method === "POST" && request.body instanceof FormData) {
        await fill(request.body, request.url.includes("upscale-batch") ? "images" : "image");
      }
      if (request.url.includes(EXAMPLE_JOB)) request.url = request.url.replaceAll(EXAMPLE_JOB, await jobFor(request));
      if (request.url.includes(EXAMPLE_BATCH)) request.url = request.url.replaceAll(EXAMPLE_BATCH, await batchFor(request));
      if (request.url.includes("/pyramid/tile")) {
        await until(request, new URL(request.url).pathname.match(/\/jobs\/[^/]+\/pyramid/)[0], (answer) => answer.levels);
      }
      return request;
    },
  };
})();
