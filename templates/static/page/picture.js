// One side of the comparison: a preview at once, then the picture itself when the preview has too few pixels for what is
// seen. The picture itself is the file where browsers can show it, else tiles of it.

import { Tiles } from "./tiles.js";

const SHOWN_BY_BROWSERS = new Set(["png", "jpeg", "webp", "gif", "avif", "bmp"]);
const MOST_PIXELS = 40_000_000; // more than browsers show as an <img> without trouble
const SMALL_BYTES = 1_500_000; // a file that is not worth a preview

export class ShownPicture {
  #stop = new AbortController();
  #started = false;

  /** `source`: what viewer.js makes of a card; `onNews` is called when there is something new to draw or to say. */
  constructor(root, source, onNews) {
    Object.assign(this, { root, source, onNews });
    this.stage = root.querySelector(".ba-stage");
    this.board = root.querySelector(".ba-board");
    this.canvas = root.querySelector("canvas");
    this.missing = root.querySelector(".ba-missing");
    this.state = root.dataset.state = "waiting"; // then "preview", "full" or "missing"
    this.loading = false; // whether the picture itself is on its way
    this.stage.replaceChildren();
    this.canvas.hidden = this.missing.hidden = true;
    this.canvas.setAttribute("aria-label", source.alt);
    if (source.preview) this.#preview();
    else this.#full();
  }

  close() {
    this.#stop.abort();
    for (const image of this.stage.children) image.removeAttribute("src"); // stops the download
    if (this.blobUrl) URL.revokeObjectURL(this.blobUrl);
  }

  /** Place the picture; ask for its pixels where the preview has too few. `view` as tiles.js takes it, and `zoomed`. */
  draw(view) {
    this.view = view;
    const { left, top, width, height, paneWidth, paneHeight, stageWidth, stageHeight, density } = view;
    this.stage.style.width = `${stageWidth}px`;
    this.stage.style.height = `${stageHeight}px`;
    this.stage.style.transform = `translate(${left}px, ${top}px) scale(${width / stageWidth})`;
    const [x, y] = [Math.max(0, left), Math.max(0, top)];
    this.board.style.inset = `${y}px auto auto ${x}px`; // the checkerboard does not grow with the picture
    this.board.style.width = `${Math.max(0, Math.min(paneWidth, left + width) - x)}px`;
    this.board.style.height = `${Math.max(0, Math.min(paneHeight, top + height) - y)}px`;
    if (this.preview && !this.#started && (view.zoomed || this.preview.naturalWidth < width * density - 1)) this.#full();
    if (!this.tiles?.sizes) return;
    const whole = this.tiles.draw(view);
    if (whole !== (this.state === "full")) {
      this.state = whole ? "full" : "preview";
      this.onNews();
    }
  }

  async #preview() {
    const { source } = this;
    if (source.animated || source.bytes < SMALL_BYTES) return this.#full();
    try {
      const image = await loaded(await source.preview());
      if (this.#stop.signal.aborted || this.state === "full") return;
      this.preview = image;
      this.#show(image, "preview");
      if (this.view) this.draw(this.view);
    } catch {
      this.#full(); // no preview: it may fail alone
    }
  }

  async #full() {
    if (this.#started) return;
    this.#started = this.loading = true;
    this.onNews();
    const { source } = this;
    const signal = this.#stop.signal;
    try {
      if (SHOWN_BY_BROWSERS.has(source.format) && source.pixels <= MOST_PIXELS) {
        try {
          if (source.animated) this.blob = await source.blob(signal);
          const image = await loaded(this.blob ? this.#fresh() : await source.full());
          signal.throwIfAborted();
          this.#show(image, "full");
          return;
        } catch (error) {
          if (signal.aborted) return;
          this.blob = null; // a kind of this format that this browser lacks: tiles will do
        }
      }
      const tiles = new Tiles(source.jobId, source.picture, this.canvas, () => this.view && this.draw(this.view));
      await tiles.load(signal);
      this.tiles = tiles;
      this.canvas.hidden = false;
      this.loading = false;
      if (this.state === "waiting") this.state = "preview";
      if (this.view) this.draw(this.view);
      this.onNews();
    } catch (error) {
      if (signal.aborted) return;
      this.loading = false;
      if (this.state === "waiting") {
        this.state = "missing";
        this.missing.textContent = error.message;
        this.missing.hidden = false;
      }
      this.onNews();
    }
  }

  #show(image, state) {
    image.alt = this.source.alt;
    image.draggable = false;
    this.stage.replaceChildren(image);
    this.state = state;
    if (state === "full") this.loading = false;
    this.onNews();
  }

  #fresh() {
    if (this.blobUrl) URL.revokeObjectURL(this.blobUrl);
    return (this.blobUrl = URL.createObjectURL(this.blob)); // a new address: an animation with a clock of its own
  }

  /** An animation from its first frame, decoded and not yet shown: browsers start its clock when it is shown. */
  async rewound() {
    return this.blob ? loaded(this.#fresh()) : null;
  }

  put(image) {
    if (image) this.#show(image, "full");
  }
}

async function loaded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}
