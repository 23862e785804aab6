// One picture in tiles on a canvas: for what is too large for an <img>, or of a format that browsers cannot show.
//
// The service makes the tiles when they are first asked for. Level 0 is the full size, each next level half of it, and
// the last one is a single tile, which is drawn under the others until they are there.

import { call, pictureUrl } from "./api.js";

const KEPT = 160; // tiles in memory, of one megabyte each
const ASK_AGAIN_MS = 700;

export class Tiles {
  #tiles = new Map(); // "level/column/row" -> <img>, the one that was used last at the end
  #address = "";

  /** `picture`: "result" or "input"; `onNews` is called when something new can be drawn. */
  constructor(jobId, picture, canvas, onNews) {
    Object.assign(this, { jobId, picture, canvas, onNews });
  }

  /** Wait until the tiles are made; throws ApiError where they cannot be, AbortError when nobody looks any more. */
  async load(signal) {
    for (;;) {
      const answer = await call("GET", `/jobs/${this.jobId}/pyramid?picture=${this.picture}`, { signal });
      if (answer.levels) {
        this.sizes = answer;
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
      signal.throwIfAborted();
    }
    const address = await pictureUrl(this.jobId, "tile");
    this.#address = address + (address.includes("?") ? "&" : "?") + `picture=${this.picture}`;
  }

  /**
   * Draw what is seen. `view`: left, top, width, height of the whole picture in the pane; paneWidth, paneHeight; all in
   * CSS pixels; density: device pixels of each. Returns whether every tile in sight is there.
   */
  draw({ left, top, width, height, paneWidth, paneHeight, density }) {
    const { canvas, sizes } = this;
    canvas.width = Math.round(paneWidth * density);
    canvas.height = Math.round(paneHeight * density);
    if (!sizes) return false;
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    const levels = sizes.levels;
    let wanted = levels.length - 1;
    while (wanted > 0 && levels[wanted].width < width * density - 1) wanted -= 1;
    let whole = true;
    for (const number of new Set([levels.length - 1, Math.min(wanted + 1, levels.length - 1), wanted])) {
      const level = levels[number];
      const across = (width * density) / level.width; // device pixels for each of the level's
      const down = (height * density) / level.height;
      const x0 = left * density, y0 = top * density, side = sizes.tile_size;
      const columns = range(-x0 / across, (canvas.width - x0) / across, side, level.columns);
      const rows = range(-y0 / down, (canvas.height - y0) / down, side, level.rows);
      for (const row of rows) {
        for (const column of columns) {
          const tile = this.#tile(number, column, row, number === wanted || number === levels.length - 1);
          if (!tile?.naturalWidth) {
            if (number === wanted) whole = false;
            continue;
          }
          // Edges are rounded, so that neighbours meet without a seam.
          const x = Math.round(x0 + column * side * across), y = Math.round(y0 + row * side * down);
          const right = Math.round(x0 + (column * side + tile.naturalWidth) * across);
          const bottom = Math.round(y0 + (row * side + tile.naturalHeight) * down);
          context.clearRect(x, y, right - x, bottom - y); // transparent pixels hide what was drawn for them before
          context.drawImage(tile, x, y, right - x, bottom - y);
        }
      }
    }
    return whole;
  }

  #tile(level, column, row, wanted) {
    const key = `${level}/${column}/${row}`;
    let tile = this.#tiles.get(key);
    if (!tile && !wanted) return null;
    if (!tile) {
      tile = new Image();
      tile.addEventListener("load", () => this.onNews());
      tile.addEventListener("error", () => this.#tiles.delete(key));
      tile.src = `${this.#address}&level=${level}&column=${column}&row=${row}`;
    }
    this.#tiles.delete(key);
    this.#tiles.set(key, tile);
    if (this.#tiles.size > KEPT) this.#tiles.delete(this.#tiles.keys().next().value);
    return tile;
  }
}

/** The numbers of the tiles of `side` pixels that lie between two places, of `count` in all. */
function range(from, to, side, count) {
  const first = Math.max(0, Math.floor(from / side));
  const last = Math.min(count - 1, Math.ceil(to / side) - 1);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}
