// The model picker: what can be used now, and a download with its progress for what cannot.

import { call } from "./api.js";
import { bytes, percent } from "./format.js";

const POLL_MS = 700;
/** The groups of the list, in their order. */
const USES = ["photo", "illustration", "text", "restore"];
const BUSY = new Set(["requested", "downloading"]);

export class ModelPicker {
  /** `last`: the model that this browser chose last; it is preselected where it is still usable. */
  constructor(root, announce, last) {
    this.select = root.querySelector("[data-model]");
    this.about = root.querySelector("[data-model-about]");
    this.offer = root.querySelector("[data-model-offer]");
    this.licence = root.querySelector("[data-model-licence]");
    this.button = root.querySelector("[data-model-download]");
    this.bar = root.querySelector("[data-model-progress]");
    this.state = root.querySelector("[data-model-state]");
    this.announce = announce;
    this.last = last;
    this.known = new Map();
    this.watched = new Set();
    this.listeners = [];
    this.select.addEventListener("change", () => this.#show());
    this.button.addEventListener("click", () => this.download());
  }

  get current() {
    return this.known.get(this.select.value);
  }

  /** Choose a model as if somebody had. */
  choose(name) {
    this.select.value = name;
    this.select.dispatchEvent(new Event("input", { bubbles: true }));
    this.select.dispatchEvent(new Event("change", { bubbles: true }));
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  /** What to do where a download is for keys only. */
  onKeyNeeded(listener) {
    this.keyNeeded = listener;
  }

  /** Read the list and preselect the model of the last visit, the server's own, or the first usable one, unless one is chosen. */
  async load() {
    const { available_models: list } = await call("GET", "/models");
    const chosen = this.select.value;
    this.select.replaceChildren();
    for (const model of list) {
      this.known.set(model.name, model);
      this.#group(model).append(new Option(model.name, model.name));
      if (BUSY.has(model.status)) this.#watch(model.name);
    }
    const preferred = [chosen, this.last, this.select.dataset.default].find((name) => this.known.get(name)?.available);
    this.select.value = preferred ?? list.find((model) => model.available)?.name ?? list[0]?.name ?? "";
    this.#show();
  }

  async download(name = this.select.value) {
    this.button.disabled = true;
    this.state.textContent = gettext("Asking for the download …");
    try {
      await call("POST", "/models/download", { json: { models: [name] }, prefer: "respond-async" });
      this.#watch(name);
    } catch (error) {
      if (error.status === 401) this.keyNeeded();
      this.state.textContent = error.status === 401 ? "" : error.message;
    } finally {
      this.button.disabled = false;
    }
  }

  async #watch(name) {
    if (this.watched.has(name)) return;
    this.watched.add(name);
    try {
      for (;;) {
        const model = await call("GET", `/models/${encodeURIComponent(name)}`);
        this.known.set(name, { ...model, busy: BUSY.has(model.status) });
        this.#show(); // also when it is only the partner of the chosen one
        if (!BUSY.has(model.status)) {
          if (model.available) {
            const chosen = this.select.value; // moving the chosen option would choose another
            const option = [...this.select.options].find((each) => each.value === name);
            const before = option.parentElement;
            this.#group(model).append(option);
            if (!before.children.length) before.remove();
            this.select.value = chosen;
            this.#show();
            this.announce(interpolate(gettext("%s is ready."), [name]));
          } else {
            this.announce(interpolate(gettext("The download of %s failed."), [name]));
          }
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    } catch (error) {
      this.state.textContent = error.message;
    } finally {
      this.watched.delete(name);
    }
  }

  /** By use, and ready models before those that have to be downloaded first: the name alone fits into the field. */
  #group({ available, use }) {
    const names = { photo: gettext("Photos"), illustration: gettext("Illustrations"), text: gettext("Text"), restore: gettext("Restoration") };
    const known = USES.includes(use) ? use : USES[0];
    const place = USES.indexOf(known) + (available ? 0 : USES.length);
    const groups = [...this.select.children].filter((each) => each.dataset.place);
    let group = groups.find((each) => Number(each.dataset.place) === place);
    if (!group) {
      const label = available ? names[known] : interpolate(gettext("%s, not downloaded yet"), [names[known]]);
      group = Object.assign(document.createElement("optgroup"), { label });
      group.dataset.place = place;
      this.select.insertBefore(group, groups.find((each) => Number(each.dataset.place) > place) ?? null);
    }
    return group;
  }

  /** The licence, before a download: whoever fetches a file takes it on its terms. */
  #showLicence(model) {
    const licence = model.licence || gettext("not told");
    this.licence.replaceChildren(interpolate(gettext("Licence: %s"), [licence]));
    if (model.non_commercial) {
      const mark = Object.assign(document.createElement("strong"), { className: "mark", textContent: gettext("Non-commercial") });
      this.licence.append(" ", mark);
    }
    if (model.author) this.licence.append(" · ", interpolate(gettext("by %s"), [model.author]));
    for (const [address, text] of [[model.homepage, gettext("About it")], [model.example, gettext("Example")]]) {
      if (!address) continue;
      const link = Object.assign(document.createElement("a"), { href: address, textContent: text, rel: "noreferrer noopener", target: "_blank" });
      this.licence.append(" · ", link);
    }
  }

  #show() {
    const model = this.current;
    if (!model) return;
    // How tiles of an imported network join is for whoever chose it; the others' are known to be good.
    const tiles = ["imported", "catalog"].includes(model.origin) ? model.tiles : "";
    const terms = model.available && model.non_commercial ? gettext("Non-commercial") : "";
    this.about.textContent = [model.description, tiles, terms].filter(Boolean).join(" · ");
    this.offer.hidden = model.available;
    this.#showLicence(model);
    const busy = BUSY.has(model.status);
    this.button.hidden = busy;
    this.button.textContent = interpolate(gettext("Download (%s)"), [bytes(model.size_bytes)]);
    this.bar.hidden = !busy;
    const { bytes_done: done, bytes_total: total } = model.download ?? {};
    if (busy && total) {
      this.bar.value = done / total;
      this.state.textContent = `${percent(done / total)} · ${bytes(done)} / ${bytes(total)}`;
    } else if (busy) {
      this.bar.removeAttribute("value");
      this.state.textContent = gettext("Waiting for the download to start …");
    } else {
      this.state.textContent = model.error || gettext("This model is not on this server yet.");
    }
    for (const listener of this.listeners) listener(model);
  }
}
