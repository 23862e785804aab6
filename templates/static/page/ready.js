// What is chosen but not started: what each picture would become, how long all of them take, and the start.

import { call, send } from "./api.js";
import { megapixels, money, seconds } from "./format.js";
import { measure } from "./pictures.js";

const QUIET_MS = 250; // after the last change of an option, before the service is asked
const SENT_TO_MEASURE_BYTES = 25_000_000; // larger files of formats that a browser cannot read are not sent twice
const ASKED = ["model", "outscale", "longest_side", "width", "height", "format", "denoise_strength"];
/** Codes of errors of the file itself: no option changes them, so it is not sent again. */
const FAULTS = new Set(["image_invalid", "image_rejected"]);
const AT_ONCE = 6; // questions under way
const byId = (id) => document.getElementById(id);

export class Ready {
  /** `fields()`: the options as they are chosen now; `usable(model)`: whether a model is on the server; `begin(cards)` starts. */
  constructor(form, list, { fields, usable, begin }) {
    Object.assign(this, { form, list, fields, usable, round: 0, timer: 0 });
    form.addEventListener("input", () => this.later());
    // Enter in a size means "this size", not "go": what it makes of the pictures is seen first.
    form.addEventListener("keydown", (event) => event.key === "Enter" && event.target.type === "number" && event.preventDefault());
    addEventListener("beforeunload", (event) => this.cards.length && event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      begin(this.startable);
    });
    byId("ready-clear").addEventListener("click", () => this.cards.forEach((card) => card.remove()));
  }

  get cards() {
    return this.list.all.filter((card) => card.state === "chosen");
  }

  /** The pictures that the service would accept, as far as it is known. */
  get startable() {
    return this.cards.filter((card) => !card.refusal);
  }

  /** Estimate anew, soon: options may change many times in a second, while a slider is dragged. */
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#estimate(), QUIET_MS);
    this.show();
  }

  async #estimate() {
    const round = ++this.round;
    const answers = new Map(); // a folder of photographs of one size is one question
    const cards = this.cards[Symbol.iterator]();
    const ask = async () => {
      for (const card of cards) {
        if (round !== this.round) return; // the options have changed meanwhile
        card.fields = this.fields();
        const asked = this.usable(card.fields.model) && !this.#wrong();
        const { plan = null, refusal = null } = asked ? await this.#plan(card, answers) : {};
        if (round !== this.round) return;
        if (card.state === "chosen") card.foresee(plan, refusal);
        this.show();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
  }

  /** What is wrong with a size, in the browser's words; "" where all is well. */
  #wrong() {
    const control = this.form.querySelector("input:invalid");
    return control ? `${control.getAttribute("aria-label")}: ${control.validationMessage}` : "";
  }

  /** Ask what would become of a picture: {plan}, {refusal} of the service, or {} where nobody can tell before the upload. */
  async #plan(card, answers) {
    if (card.fault) return { refusal: card.fault };
    try {
      card.size ??= card.file && (await measure(card.file));
      if (!card.size) return { plan: await this.#planByFile(card) };
      const asked = { ...card.size };
      for (const name of ASKED) if (card.fields[name]) asked[name] = card.fields[name];
      const query = new URLSearchParams(asked).toString();
      if (!answers.has(query)) answers.set(query, call("GET", `/estimate?${query}`));
      return { plan: await answers.get(query) };
    } catch (error) {
      if (FAULTS.has(error.code)) card.fault = error.message;
      // Of anything else, a limit of calls for one, nothing is learned: what was known stays.
      return [400, 413, 422].includes(error.status) ? { refusal: error.message } : { plan: card.plan, refusal: card.refusal };
    }
  }

  async #planByFile(card) {
    if (card.file?.size > SENT_TO_MEASURE_BYTES) return null;
    const plan = await send("/jobs?dry_run=true", card.form(), () => {}).promise;
    card.size = { input_width: plan.input_width, input_height: plan.input_height, input_frames: plan.input_frames };
    return plan;
  }

  show() {
    const { cards, startable } = this;
    byId("ready-section").hidden = cards.length === 0;
    const button = byId("start");
    button.hidden = startable.length === 0;
    button.textContent = interpolate(ngettext("Start %s picture", "Start %s pictures", startable.length), [startable.length]);
    const plans = startable.map((card) => card.plan).filter(Boolean);
    byId("ready-sum").textContent = this.#wrong() || (plans.length && plans.length === startable.length ? this.#sum(plans) : "");
  }

  #before(count, wait) {
    const jobs = interpolate(ngettext("%s job before", "%s jobs before", count), [count]);
    return wait === null ? jobs : `${jobs} (${interpolate(gettext("about %s"), [seconds(wait)])})`;
  }

  /** What all of them cost; "" where the service has no tariff, or does not know what one takes. */
  #price(plans) {
    if (plans.some((plan) => !plan.price)) return "";
    // Prices come with six digits behind the point.
    return money(plans.reduce((sum, plan) => sum + BigInt(plan.price.replace(".", "")), 0n), plans[0].currency);
  }

  #sum(plans) {
    const pixels = plans.reduce((sum, plan) => sum + plan.output_width * plan.output_height * plan.input_frames, 0);
    const time = plans.every((plan) => plan.seconds !== null) ? plans.reduce((sum, plan) => sum + plan.seconds, 0) : null;
    const before = Math.max(...plans.map((plan) => plan.jobs_ahead));
    return [
      megapixels(pixels),
      time === null ? "" : interpolate(gettext("about %s"), [seconds(time)]),
      this.#price(plans),
      before ? this.#before(before, plans[0].wait_seconds) : "",
    ].filter(Boolean).join(" · ");
  }
}
