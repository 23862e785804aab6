// The two lists of the page: what is in work, in the order of work, and what has ended, newest first; and how far it is.

import { seconds } from "./format.js";
import { forget, remember } from "./history.js";

const byId = (id) => document.getElementById(id);

export class WorkList {
  /** `onEnd({done, failed})` is called when nothing is in work any more. */
  constructor(announce, onEnd) {
    Object.assign(this, { announce, onEnd });
    this.cards = new Map(); // root element -> Card
    this.round = new Set(); // the cards that were in work since nothing last was
    this.since = 0;
    this.cleared = [];
    this.title = document.title;
    byId("clear").addEventListener("click", () => this.clear());
    byId("undo").addEventListener("click", () => this.undo());
    document.addEventListener("click", (event) => this.#closeMenus(event.target));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#closeMenus(null));
    document.addEventListener("visibilitychange", () => !document.hidden && this.refresh());
  }

  get all() {
    return [...this.cards.values()];
  }

  /** The finished cards in the page's order. */
  get finished() {
    return [...byId("results").children].map((root) => this.cards.get(root)).filter((card) => card?.done);
  }

  add(card) {
    this.cards.set(card.root, card);
    this.changed(card);
  }

  changed(card) {
    if (card.removed) this.cards.delete(card.root);
    const moved = !card.removed && this.#place(card);
    if (card.live && this.round.size === 0) this.since = Date.now();
    if (card.live) this.round.add(card);
    if (card.removed) this.round.delete(card);
    this.refresh();
    if (moved && card.focused) {
      // The button that had it may be gone with the state: then the first of those that came.
      const heir = card.focused.checkVisibility() ? card.focused : card.root.querySelector("button:not([hidden])");
      heir?.focus();
    }
  }

  /** Put a card into its list, which takes the focus from it. Returns whether it moved. */
  #place(card) {
    const list = byId(card.state === "chosen" ? "ready" : card.live ? "queue" : "results");
    if (card.root.parentElement === list) return false;
    if (list.id === "results") list.prepend(card.root);
    else list.append(card.root);
    return true;
  }

  /** Close the open menus of cards, but for the one that `within` lies in; a keyboard's focus goes back to its button. */
  #closeMenus(within) {
    for (const menu of document.querySelectorAll("details.more[open]")) {
      if (within && menu.contains(within)) continue;
      if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
      menu.open = false;
    }
  }

  refresh() {
    const live = this.all.filter((card) => card.live);
    const ended = this.all.filter((card) => card.ended).length;
    byId("empty").hidden = this.cards.size > 0;
    byId("in-work").hidden = live.length === 0;
    byId("ended").hidden = ended === 0 && this.cleared.length === 0;
    byId("all").hidden = this.all.filter((card) => card.done).length < 2;
    byId("clear").hidden = ended === 0;
    const total = this.round.size;
    byId("summary").textContent = live.length ? [this.#count(live, total), this.#left(live)].filter(Boolean).join(" · ") : "";
    const mark = live.length ? `(${total - live.length}/${total}) ` : document.hidden && this.justEnded ? "✓ " : "";
    if (!document.hidden) this.justEnded = false;
    document.title = mark + this.title;
    if (live.length || total === 0) return;
    const done = [...this.round].filter((card) => card.done).length;
    const failed = [...this.round].filter((card) => card.state === "failed").length;
    this.round.clear();
    this.justEnded = true;
    if (document.hidden) document.title = `✓ ${this.title}`;
    this.onEnd({ done, failed });
  }

  #count(live, total) {
    return total > 1 ? interpolate(gettext("%s of %s finished"), [total - live.length, total]) : "";
  }

  /** The time until all have ended: what the service says of each, or else the pace of this round so far. */
  #left(live) {
    const known = live.map((card) => card.job?.eta_seconds).filter((each) => Number.isFinite(each));
    let left = known.length === live.length ? Math.max(...known) : null;
    const ended = this.round.size - live.length;
    if (left === null && ended > 1) left = ((Date.now() - this.since) / 1000 / ended) * live.length;
    return left === null || left <= 0 ? "" : interpolate(gettext("about %s left"), [seconds(left)]);
  }

  clear() {
    this.cleared = [...byId("results").children].map((root) => this.cards.get(root));
    for (const card of this.cleared) {
      this.cards.delete(card.root);
      card.root.remove();
      if (card.id) forget(card.id);
    }
    const count = this.cleared.length;
    byId("undo-text").textContent = interpolate(
      ngettext("%s picture left the list. Results stay on the server until its clean-up.", "%s pictures left the list. Results stay on the server until its clean-up.", count),
      [count],
    );
    byId("undo-bar").hidden = false;
    this.refresh();
    byId("undo").focus();
  }

  undo() {
    for (const card of this.cleared.reverse()) {
      this.cards.set(card.root, card);
      byId("results").prepend(card.root);
      if (card.id) remember(card.id, card.name);
    }
    this.cleared = [];
    byId("undo-bar").hidden = true;
    this.refresh();
    byId("clear").focus();
  }
}
