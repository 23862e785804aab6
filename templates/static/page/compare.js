// <before-after>: two pictures under one divider or side by side, with zoom and pan by mouse, touch and keyboard.
//
// Both pictures are placed by the same numbers; the divider stays where it is on the screen and clips the upper one. The
// divider is a real range input, so that arrow keys, screen readers and switch devices work without code of ours.

import { percent } from "./format.js";
import { ShownPicture } from "./picture.js";

const CLOSEST = 16; // device pixels for one of the picture's, at most
const SLOP = 8; // CSS pixels that a finger moves before it counts as a drag
const NARROW = 560;

export class BeforeAfter extends HTMLElement {
  #zoom = 1; // 1 is the whole picture
  #x = 0; // offset of the pictures' centre from the pane's centre, in CSS pixels
  #y = 0;
  #pointers = new Map();
  #pinch = 0;
  #drag = null; // "slide", "pan", or "wait" for a finger that may become either
  #sides = [];
  #beside = false;
  #rewinding = false;

  connectedCallback() {
    if (this.frame) return;
    const template = document.getElementById("before-after-template");
    this.append(template.content.cloneNode(true));
    const part = (name) => this.querySelector(`.ba-${name}`);
    this.frame = part("frame");
    this.panes = [part("before"), part("after")];
    this.tags = [part("tag-before"), part("tag-after")];
    this.line = part("line");
    this.range = this.querySelector("input[type=range]");
    this.level = part("level");
    this.range.addEventListener("input", () => this.#split());
    this.frame.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    this.frame.addEventListener("pointerdown", (event) => this.#onDown(event));
    this.frame.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
      this.frame.addEventListener(name, (event) => this.#onUp(event));
    this.frame.addEventListener("dblclick", (event) => this.#onDouble(event));
    const buttons = {
      in: () => this.zoomBy(1.5), out: () => this.zoomBy(1 / 1.5), fit: () => this.reset(), one: () => this.oneToOne(),
      "beside-button": () => this.putBeside(), again: () => this.rewind(),
    };
    for (const [name, deed] of Object.entries(buttons)) part(name).addEventListener("click", deed);
    const hold = part("hold");
    hold.addEventListener("pointerdown", () => this.hold(true));
    for (const name of ["pointerup", "pointercancel", "pointerleave", "blur"]) hold.addEventListener(name, () => this.hold(false));
    hold.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && this.hold(true));
    hold.addEventListener("keyup", () => this.hold(false));
    new ResizeObserver(() => this.#draw()).observe(this.frame);
    this.#split();
  }

  /** Show two pictures (sources of viewer.js). Both are drawn at the second one's size, `width` × `height` pixels. */
  show({ before, after, width, height }) {
    this.clear();
    Object.assign(this, { natural: [width, height], sources: [before, after] });
    this.querySelector(".ba-again").hidden = !(before.animated && after.animated);
    this.range.value = 50;
    this.#zoom = 1;
    this.#x = this.#y = 0;
    this.#shape();
    this.#split();
    this.#sides = this.sources.map((source, index) => new ShownPicture(this.panes[index], source, () => this.#news()));
    this.#draw();
  }

  clear() {
    for (const side of this.#sides) side.close();
    this.#sides = [];
    this.#rewinding = this.inStep = false;
    this.said = "";
    this.hold(false);
  }

  reset() {
    this.#zoom = 1;
    this.#x = this.#y = 0;
    this.#draw();
  }

  /** Show one device pixel for each of the picture's. */
  oneToOne() {
    this.#zoomTo(1 / (this.#fit() * devicePixelRatio));
  }

  zoomBy(factor, clientX, clientY) {
    this.#zoomTo(this.#zoom * factor, clientX, clientY);
  }

  panBy(dx, dy) {
    this.#x += dx;
    this.#y += dy;
    this.#draw();
  }

  /** Put the pictures side by side, or under one divider again. */
  putBeside(on = !this.#beside) {
    this.#beside = on;
    this.frame.classList.toggle("ba-beside", on);
    this.querySelector(".ba-beside-button").setAttribute("aria-pressed", on);
    this.range.disabled = on;
    this.hold(false);
    this.#shape();
    this.#split();
    this.#draw();
  }

  /** Show the first picture alone while it is held. */
  hold(on) {
    this.frame.classList.toggle("ba-holding", on);
  }

  /** Start both animations from their first frame, at the same moment. */
  async rewind() {
    if (this.#rewinding) return;
    this.#rewinding = true;
    const sides = this.#sides;
    try {
      const images = await Promise.all(sides.map((side) => side.rewound()));
      if (sides === this.#sides) sides.forEach((side, index) => side.put(images[index]));
    } finally {
      this.#rewinding = false;
    }
  }

  /** Do what a key stands for; returns whether it stands for anything. */
  press(key) {
    const step = 48;
    const shortcuts = {
      "+": () => this.zoomBy(1.5),
      "=": () => this.zoomBy(1.5),
      "-": () => this.zoomBy(1 / 1.5),
      0: () => this.reset(),
      1: () => this.oneToOne(),
      s: () => this.putBeside(),
      r: () => this.rewind(),
      o: () => this.hold(true),
      ArrowLeft: () => this.panBy(step, 0),
      ArrowRight: () => this.panBy(-step, 0),
      ArrowUp: () => this.panBy(0, step),
      ArrowDown: () => this.panBy(0, -step),
    };
    shortcuts[key]?.();
    return key in shortcuts;
  }

  #pane() {
    return [this.panes[1].clientWidth, this.panes[1].clientHeight];
  }

  /** CSS pixels for one of the picture's when all of it is seen. */
  #fit() {
    const [width, height] = this.#pane();
    return Math.min(width / this.natural[0], height / this.natural[1]);
  }

  #shape() {
    if (!this.natural) return;
    const ratio = this.natural[0] / this.natural[1];
    const stacked = this.#beside && this.clientWidth < NARROW;
    this.frame.classList.toggle("ba-stacked", stacked);
    this.frame.style.aspectRatio = !this.#beside ? ratio : stacked ? ratio / 2 : ratio * 2;
  }

  #zoomTo(wanted, clientX, clientY) {
    if (!this.natural) return;
    const box = this.#boxAt(clientX, clientY);
    const px = (clientX ?? box.left + box.width / 2) - box.left - box.width / 2;
    const py = (clientY ?? box.top + box.height / 2) - box.top - box.height / 2;
    const one = 1 / (this.#fit() * devicePixelRatio);
    const zoom = Math.min(Math.max(4, one * CLOSEST), Math.max(Math.min(1, one), wanted));
    const real = zoom / this.#zoom;
    this.#x = px - (px - this.#x) * real; // the point under the pointer stays under it
    this.#y = py - (py - this.#y) * real;
    this.#zoom = zoom;
    this.#draw();
  }

  /** The pane under a point. */
  #boxAt(clientX, clientY) {
    const [before, after] = this.panes.map((pane) => pane.getBoundingClientRect());
    const inBefore = this.#beside && clientX < before.right && clientY < before.bottom;
    return inBefore ? before : after;
  }

  #draw() {
    const [paneWidth, paneHeight] = this.#pane();
    if (!this.natural || !paneWidth) return;
    const fit = this.#fit();
    const [stageWidth, stageHeight] = this.natural.map((side) => side * fit);
    const [width, height] = [stageWidth * this.#zoom, stageHeight * this.#zoom];
    const slackX = Math.max(0, (width - paneWidth) / 2);
    const slackY = Math.max(0, (height - paneHeight) / 2);
    this.#x = Math.min(slackX, Math.max(-slackX, this.#x));
    this.#y = Math.min(slackY, Math.max(-slackY, this.#y));
    const view = {
      width, height, stageWidth, stageHeight, paneWidth, paneHeight, density: devicePixelRatio, zoomed: this.#zoom !== 1,
      left: paneWidth / 2 + this.#x - width / 2, top: paneHeight / 2 + this.#y - height / 2,
    };
    for (const side of this.#sides) side.draw(view);
    this.frame.classList.toggle("ba-zoomed", slackX + slackY > 0);
    this.level.textContent = percent(fit * this.#zoom * devicePixelRatio);
  }

  /** Say what is shown: a preview is called one until the picture itself is there. */
  #news() {
    const words = this.#sides.map((side) => {
      if (side.state === "full" || side.state === "missing") return "";
      if (side.state === "waiting") return gettext("loading …");
      return side.loading || side.tiles ? gettext("preview, loading …") : gettext("preview");
    });
    if (this.#sides.length < 2) return;
    this.tags.forEach((tag, index) => {
      tag.textContent = [this.sources[index].label, words[index]].filter(Boolean).join(" · ");
    });
    this.#sides.forEach((side, index) => (this.panes[index].dataset.state = side.state));
    const said = words.some(Boolean) ? gettext("Preview") : gettext("All pixels are shown");
    if (said !== this.said) this.dispatchEvent(new CustomEvent("news", { detail: (this.said = said) }));
    const animated = this.#sides.every((side) => side.blob && side.state === "full");
    if (animated && !this.inStep) {
      this.inStep = true;
      this.rewind();
    }
  }

  #split() {
    const share = Number(this.range.value);
    this.panes[1].style.clipPath = this.#beside ? "none" : `inset(0 0 0 ${share}%)`;
    this.line.style.left = `${share}%`;
  }

  #slideTo(clientX) {
    const box = this.frame.getBoundingClientRect();
    this.range.value = (100 * (clientX - box.left)) / box.width;
    this.#split();
  }

  #onWheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * 0.0015), event.clientX, event.clientY);
  }

  #onDouble(event) {
    if (this.#zoom !== 1) this.reset();
    else this.#zoomTo(1 / (this.#fit() * devicePixelRatio), event.clientX, event.clientY);
  }

  #onDown(event) {
    if (event.button > 0) return;
    this.frame.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size > 1) {
      // Two fingers zoom, and what the first of them did to the divider is undone.
      if (this.#drag === "slide") {
        this.range.value = this.shareBefore;
        this.#split();
      }
      this.#drag = null;
      this.#pinch = this.#spread();
      return;
    }
    this.down = event;
    this.shareBefore = this.range.value;
    // Near the divider a drag moves it; elsewhere it pans, or moves the divider too while there is nothing to pan.
    const line = this.line.getBoundingClientRect();
    const near = Math.abs(event.clientX - (line.left + line.width / 2)) < 28;
    const slides = !this.#beside && (near || !this.frame.classList.contains("ba-zoomed"));
    this.#drag = slides ? (event.pointerType === "touch" ? "wait" : "slide") : "pan";
    if (this.#drag === "slide") this.#slideTo(event.clientX);
  }

  #onMove(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size === 2) {
      const spread = this.#spread();
      const [a, b] = [...this.#pointers.values()];
      if (this.#pinch > 0) this.zoomBy(spread / this.#pinch, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2);
      this.#pinch = spread;
      this.panBy((event.clientX - last.clientX) / 2, (event.clientY - last.clientY) / 2);
      return;
    }
    if (this.#drag === "wait" && Math.abs(event.clientX - this.down.clientX) > SLOP) this.#drag = "slide";
    if (this.#drag === "slide") this.#slideTo(event.clientX);
    if (this.#drag === "pan") this.panBy(event.clientX - last.clientX, event.clientY - last.clientY);
  }

  #onUp(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    this.#pinch = 0;
    this.#drag = this.#pointers.size === 1 && this.#drag === null ? "pan" : null; // the finger that is left pans
  }

  #spread() {
    const [a, b] = [...this.#pointers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  }
}

customElements.define("before-after", BeforeAfter);
