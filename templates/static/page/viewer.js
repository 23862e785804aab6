// The dialog around the comparison: what is compared with what, the way from picture to picture, keys and focus.

import { apiKey, headers, pictureUrl, shownUrl } from "./api.js";
import "./compare.js";
import { bytes, pixels } from "./format.js";

const ANIMATED = new Set(["gif", "png", "webp", "avif"]); // a TIFF's frames are pages

export class Viewer {
  /** `finished()` returns the cards that can be looked at, in the page's order. */
  constructor(dialog, finished) {
    Object.assign(this, { dialog, finished });
    const part = (name) => dialog.querySelector(`[data-${name}]`);
    this.parts = Object.fromEntries(
      ["title", "facts", "other", "other-field", "previous", "next", "place", "download", "close", "help", "help-button", "said"].map(
        (name) => [name, part(name)],
      ),
    );
    this.pair = dialog.querySelector("before-after");
    this.parts.previous.addEventListener("click", () => this.go(-1));
    this.parts.next.addEventListener("click", () => this.go(1));
    this.parts.close.addEventListener("click", () => dialog.close());
    this.parts.download.addEventListener("click", () => this.card.save());
    this.parts["help-button"].addEventListener("click", () => this.toggleHelp());
    this.parts.other.addEventListener("change", () => this.#show());
    this.pair.addEventListener("news", (event) => (this.parts.said.textContent = event.detail));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // a click on the backdrop
    dialog.addEventListener("keydown", (event) => this.#onKey(event));
    dialog.addEventListener("keyup", (event) => event.key === "o" && this.pair.hold(false));
    dialog.addEventListener("close", () => {
      this.pair.clear();
      this.card.parts.compare.focus();
    });
  }

  open(card) {
    this.card = card;
    if (!this.dialog.open) this.dialog.showModal();
    this.#choices();
    this.#show();
    this.pair.frame.focus();
  }

  /** Go to the next finished picture (1) or the previous one (-1). */
  go(step) {
    const cards = this.finished();
    const next = cards[cards.indexOf(this.card) + step];
    if (!next) return;
    this.card = next;
    this.#choices();
    this.#show();
  }

  toggleHelp() {
    this.parts.help.hidden = !this.parts.help.hidden;
    this.parts["help-button"].setAttribute("aria-expanded", !this.parts.help.hidden);
  }

  /** Offer the other results of the same picture beside the original. */
  #choices() {
    const { job } = this.card;
    const twins = this.finished().filter((card) => card !== this.card && card.job.input_sha256 === job.input_sha256);
    const original = new Option(gettext("The original"), "");
    this.parts.other.replaceChildren(original, ...twins.map((card) => new Option(resultName(card), card.id)));
    this.parts["other-field"].hidden = twins.length === 0;
  }

  #show() {
    const { card } = this;
    const { job } = card;
    const cards = this.finished();
    const at = cards.indexOf(card);
    this.parts.title.textContent = card.name;
    this.parts.facts.textContent = [
      `${pixels(job.input_width, job.input_height)} → ${pixels(job.result_width, job.result_height)}`,
      job.model, job.result_format?.toUpperCase(), bytes(job.result_bytes),
    ].filter(Boolean).join(" · ");
    this.parts.place.textContent = cards.length > 1 ? interpolate(gettext("%s of %s"), [at + 1, cards.length]) : "";
    for (const name of ["previous", "next"]) this.parts[name].hidden = cards.length < 2;
    this.parts.previous.disabled = at <= 0;
    this.parts.next.disabled = at >= cards.length - 1;
    const other = cards.find((each) => each.id === this.parts.other.value);
    this.pair.show({
      before: other ? resultOf(other, resultName(other)) : inputOf(card),
      after: resultOf(card, other ? resultName(card) : this.pair.dataset.afterLabel),
      width: job.result_width,
      height: job.result_height,
    });

    function inputOf({ id, file, localUrl, name }) {
      const label = gettext("Before");
      const animated = job.input_frames > 1 && ANIMATED.has(job.input_format);
      return {
        label, alt: `${label}: ${name}`, jobId: id, picture: "input", format: job.input_format, animated,
        pixels: job.input_width * job.input_height,
        full: () => localUrl ?? pictureUrl(id, "input"),
        blob: async (signal) => file ?? (await blobOf(id, "input", signal)),
      };
    }
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    if (target.matches("select")) return;
    // On the divider's own input the arrow keys belong to the divider.
    if (target.matches("input") && /^(Arrow|Page|Home|End)/.test(key)) return;
    const own = {
      n: () => this.go(1), PageDown: () => this.go(1), p: () => this.go(-1), PageUp: () => this.go(-1),
      "?": () => this.toggleHelp(),
    };
    if (key in own) own[key]();
    else if (!this.pair.press(key)) return;
    event.preventDefault();
  }
}

function resultName({ job }) {
  return [job.model, pixels(job.result_width, job.result_height), job.result_format?.toUpperCase()].join(" · ");
}

function resultOf({ id, job, name }, label) {
  return {
    label, alt: `${label}: ${name}`, jobId: id, picture: "result", format: job.result_format, bytes: job.result_bytes,
    animated: job.input_frames > 1 && ANIMATED.has(job.result_format),
    pixels: job.result_width * job.result_height,
    preview: () => shownUrl(id, job),
    full: () => pictureUrl(id, "result"),
    blob: (signal) => blobOf(id, "result", signal),
  };
}

async function blobOf(id, what, signal) {
  const address = await pictureUrl(id, what);
  const answer = await fetch(address, { signal, headers: apiKey.get() ? {} : headers({ Accept: "*/*" }) });
  if (!answer.ok) throw new Error(gettext("The picture cannot be fetched"));
  return answer.blob();
}
