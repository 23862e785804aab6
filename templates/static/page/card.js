// One picture on the page, from the file that was chosen to the result that can be downloaded.

import { ApiError, call, pictureUrl, save, send, shownUrl } from "./api.js";
import { factsOf, stateText, tileShare } from "./card-text.js";
import { connection } from "./connection.js";
import { follow } from "./events.js";
import { forget, remember } from "./history.js";
import { originalFile, resultAsPng, whenSeen } from "./pictures.js";

const SHOWN_BY_BROWSERS = /^image\/(png|jpeg|webp|gif|avif|bmp)$/;
/** Codes of errors of the file itself: another attempt, with the same choices, ends alike. */
const HOPELESS = new Set(["image_invalid", "image_rejected", "image_too_large", "format_unsupported", "size_unreachable", "chain_refused"]);
const LIVE = new Set(["waiting", "uploading", "held", "offline", "queued", "processing"]);
const PARTS = [
  "name", "facts", "stage", "bar", "notes", "error", "thumb", "compare", "download", "cancel", "retry", "more", "again", "copy", "delete", "remove",
];
const SHOWN_FORMATS = new Set(["png", "jpeg", "webp", "gif", "avif", "bmp"]);
const THUMB_PIXELS = 40_000_000; // of an original that a browser makes a small picture of
const BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==";
const FULL_QUEUE_WAIT_SECONDS = 5;

export class Card {
  /** `file` (or `address`, of a picture that the service fetches) and `fields` for a new picture, or `job` (as the API gives it) for one of the history. */
  constructor({ file = null, address = null, fields = {}, job = null, state = "waiting", name, onChange, onCompare, onAgain, announce, ready = () => true }) {
    Object.assign(this, { file, address, fields, job, name, onChange, onCompare, onAgain, announce, modelReady: ready });
    this.state = job ? job.status : state;
    this.uploaded = null; // share of the upload, 0 to 1
    this.stopper = new AbortController();
    this.root = document.getElementById("card-template").content.firstElementChild.cloneNode(true);
    const part = (word) => this.root.querySelector(`[data-${word}]`);
    this.parts = Object.fromEntries(PARTS.map((word) => [word, part(word)]));
    this.parts.name.textContent = name;
    this.parts.cancel.addEventListener("click", () => this.cancel());
    this.parts.retry.addEventListener("click", () => this.retry());
    this.parts.remove.addEventListener("click", () => this.remove());
    this.parts.again.addEventListener("click", () => this.again());
    this.parts.copy.addEventListener("click", () => this.copy());
    this.parts.delete.addEventListener("click", () => this.delete());
    this.parts.delete.addEventListener("blur", () => this.#ask(false));
    this.parts.compare.addEventListener("click", () => this.onCompare(this));
    this.parts.download.addEventListener("click", () => this.save());
    this.parts.thumb.src = BLANK; // without a source some browsers draw the sign of a broken picture
    this.parts.thumb.addEventListener("error", () => (this.parts.thumb.src = BLANK)); // a format browsers lack
    if (file && SHOWN_BY_BROWSERS.test(file.type)) this.parts.thumb.src = this.localUrl = URL.createObjectURL(file);
    else if (job && !this.done) this.#showOriginal();
    this.render();
  }

  /** Whether something is still to come: it waits, is sent, or is worked on. */
  get live() {
    return LIVE.has(this.state);
  }

  get ended() {
    return !this.live && this.state !== "chosen";
  }

  get id() {
    return this.job?.job_id ?? null;
  }

  get done() {
    return this.state === "completed";
  }

  /** Upload, then follow the job. Resolves when the upload ended, whatever its end: the next upload may begin. */
  async submit() {
    this.set("uploading");
    try {
      const answer = await this.#sendPatiently(this.form());
      this.job = { job_id: answer.job_id, status: "queued" };
      remember(answer.job_id, this.name);
      this.set("queued");
      this.watch();
    } catch (error) {
      if (error.name === "AbortError") this.set("cancelled");
      else this.fail(error);
    }
  }

  /** The submission as a form. */
  form() {
    const form = new FormData();
    if (this.file) form.append("image", this.file, this.file.name);
    else form.append("image_url", this.address);
    for (const [field, value] of Object.entries(this.fields)) form.append(field, value);
    return form;
  }

  /** Show what the picture would become, or why the service would refuse it. */
  foresee(plan, refusal) {
    Object.assign(this, { plan, refusal });
    this.render();
  }

  async #sendPatiently(form) {
    for (let unanswered = 0; ; ) {
      const upload = send("/jobs", form, (share) => this.set("uploading", share));
      this.stopper.signal.addEventListener("abort", upload.abort, { once: true });
      try {
        return await upload.promise;
      } catch (error) {
        if (error.status === 0 && unanswered++ < 2) {
          // Lost on the way, or refused before it was read, which browsers do not tell apart: so not for ever.
          connection.lose();
          this.set("offline");
          await connection.back(this.stopper.signal);
          continue;
        }
        // A full queue, or one's own part of it, empties by itself; the picture waits here, in the browser, meanwhile.
        const full = ["queue_full", "queued_jobs_limit"];
        if (!(error instanceof ApiError && [...full, "rate_limited", "throttled"].includes(error.code))) throw error;
        this.throttled = !full.includes(error.code);
        this.set("held");
        const wait = (error.retryAfter || FULL_QUEUE_WAIT_SECONDS) * 1000;
        await new Promise((resolve) => setTimeout(resolve, wait));
        this.stopper.signal.throwIfAborted();
      }
    }
  }

  async watch() {
    this.watched = true;
    try {
      const job = await follow(this.id, (news) => this.update(news), this.stopper.signal);
      this.update(job);
      if (job.status === "completed") this.announce(interpolate(gettext("%s is finished."), [this.name]));
      if (job.status === "failed") this.announce(interpolate(gettext("%s failed."), [this.name]));
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    } finally {
      this.watched = false;
    }
  }

  update(job) {
    this.job = { ...this.job, ...job };
    this.set(this.job.status);
  }

  fail(error) {
    this.problem = error.message;
    this.code = error.code;
    this.set("failed");
    this.announce(`${this.name}: ${error.message}`);
  }

  /** Show a trouble that leaves the job as it is: a finished picture stays finished when its download stumbles. */
  mention(error) {
    this.notice = error.message;
    this.render();
    this.announce(`${this.name}: ${error.message}`);
  }

  set(state, share = null) {
    this.state = state;
    this.uploaded = share;
    this.focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    this.notice = null;
    if (state !== "failed") this.problem = null;
    this.render();
    this.onChange(this);
  }

  async save() {
    try {
      save(await pictureUrl(this.id, "result"));
    } catch (error) {
      this.mention(error);
    }
  }

  async cancel() {
    if (this.state === "chosen") return this.remove();
    if (!this.id) {
      this.stopper.abort();
      this.set("cancelled");
      return;
    }
    this.parts.cancel.disabled = true;
    try {
      this.update(await call("POST", `/jobs/${this.id}/cancel`));
    } catch (error) {
      this.mention(error);
    } finally {
      this.parts.cancel.disabled = false;
    }
  }

  async retry() {
    if (!this.id) {
      this.stopper = new AbortController();
      this.set("waiting");
      this.onChange(this);
      return;
    }
    try {
      this.update(await call("POST", `/jobs/${this.id}/retry`));
      this.watch();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Take the same picture once more, with the options that are chosen now. */
  async again() {
    this.parts.more.open = false;
    try {
      const file = this.file ?? (await originalFile(this.id, this.name));
      this.onAgain(file);
    } catch (error) {
      this.mention(error);
    }
  }

  /** Copy the result to the clipboard, which takes PNG alone. */
  async copy() {
    this.parts.more.open = false;
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": resultAsPng(this.id) })]);
      this.announce(interpolate(gettext("%s is in the clipboard."), [this.name]));
    } catch {
      this.mention(new Error(gettext("This browser does not copy the picture. Download it instead.")));
    }
  }

  /** Delete the job with its files: the first click asks, the second does it. */
  async delete() {
    if (!this.asked) return this.#ask(true);
    try {
      await call("DELETE", `/jobs/${this.id}`);
    } catch (error) {
      if (error.status !== 404) return this.mention(error);
    }
    this.announce(interpolate(gettext("%s is deleted from the server."), [this.name]));
    this.remove();
  }

  #ask(asked) {
    this.asked = asked;
    this.parts.delete.textContent = asked ? gettext("Delete for good?") : gettext("Delete from the server");
    this.parts.delete.classList.toggle("danger", asked);
  }

  remove() {
    this.stopper.abort();
    if (this.localUrl) URL.revokeObjectURL(this.localUrl);
    if (this.id) forget(this.id);
    this.removed = true;
    this.root.remove();
    this.onChange(this);
  }

  render() {
    const job = this.job ?? {};
    this.root.dataset.state = this.state;
    const { live } = this;
    this.parts.stage.textContent = stateText(this, job);
    const chosen = this.state === "chosen";
    this.parts.bar.hidden = !live || this.state === "waiting";
    const share = this.state === "uploading" ? this.uploaded : this.state === "processing" ? tileShare(job) : null;
    if (share === null) this.parts.bar.removeAttribute("value");
    else this.parts.bar.value = share;
    const problem = this.notice ?? this.problem ?? (this.state === "failed" ? job.error : chosen ? this.refusal : null);
    this.parts.error.hidden = !problem;
    this.parts.error.textContent = problem ?? "";
    this.parts.facts.textContent = factsOf(this, job);
    const notes = this.done ? job.report?.notes ?? [] : [];
    this.parts.notes.hidden = notes.length === 0;
    this.parts.notes.replaceChildren(...notes.map((note) => {
      const item = document.createElement("li");
      item.textContent = note;
      return item;
    }));
    const kept = !this.id || job.input_available !== false; // else the service deleted the picture when the job ended
    this.parts.compare.hidden = !this.done || !kept;
    this.parts.download.hidden = !this.done;
    this.parts.cancel.hidden = !live && !chosen;
    this.parts.cancel.textContent = chosen ? gettext("Remove") : gettext("Cancel");
    const again = this.state === "cancelled" || (this.state === "failed" && !HOPELESS.has(this.code ?? job.error_code));
    this.parts.retry.hidden = !again || !kept || (!this.id && !this.file && !this.address);
    this.parts.more.hidden = live || chosen;
    this.parts.copy.hidden = !(this.done && navigator.clipboard?.write);
    this.parts.again.hidden = !(this.file || (this.id && kept));
    this.parts.delete.hidden = !this.id;
    if (this.done && !this.ready) {
      this.ready = true;
      whenSeen(this.root, () => this.#showResult());
    }
  }

  async #showOriginal() {
    const { input_format: format, input_width: width, input_height: height } = this.job;
    if (!SHOWN_FORMATS.has(format) || width * height > THUMB_PIXELS) return;
    this.parts.thumb.src = await pictureUrl(this.id, "input").catch(() => BLANK);
  }

  async #showResult() {
    try {
      if (!this.job.report) this.job = { ...this.job, ...(await call("GET", `/jobs/${this.id}`)) };
      this.render(); // a list of jobs tells no notes
      this.parts.thumb.src = await shownUrl(this.id, this.job);
    } catch (error) {
      this.mention(error);
    }
  }
}
