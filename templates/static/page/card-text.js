// What a card says of its picture: facts, and how far it is.

import { bytes, percent, pixels, seconds } from "./format.js";

/** Size of the file, model, pixels before and after, time: what is known of a card's picture, in one line. */
export function factsOf(card, job) {
  return [
    card.file && !job.input_width ? bytes(card.file.size) : "",
    job.model ?? card.fields.model,
    sizes(card, job),
    card.done && job.result_bytes ? bytes(job.result_bytes) : "",
    card.done && job.processing_time_seconds != null ? seconds(job.processing_time_seconds) : "",
  ].filter(Boolean).join(" · ");
}

/** Sizes before and after; those that were foreseen for as long as nobody knows better. */
function sizes(card, job) {
  const plan = card.plan ?? {};
  const from = pixels(job.input_width ?? plan.input_width, job.input_height ?? plan.input_height);
  const to = pixels(job.result_width ?? plan.output_width, job.result_height ?? plan.output_height);
  return [from, to].filter(Boolean).join(" → ");
}

/** What is to be expected of a picture that was not started. */
function outlook(card) {
  if (card.refusal) return gettext("Not possible so");
  if (!card.modelReady(card.fields.model)) return gettext("Starts once its model is downloaded");
  const time = card.plan?.seconds;
  if (time == null) return gettext("Ready to start");
  return time < 1 ? gettext("Takes less than a second") : interpolate(gettext("Takes about %s"), [seconds(time)]);
}

/** How far a card's picture is. */
export function stateText(card, job) {
  const share = tileShare(job);
  switch (card.state) {
    case "chosen": return outlook(card);
    case "waiting": return card.modelReady(card.fields.model)
      ? gettext("Waiting to upload")
      : interpolate(gettext("Waiting for the model %s"), [card.fields.model]);
    case "offline": return gettext("Waiting for the server");
    case "uploading": return interpolate(gettext("Uploading %s"), [percent(card.uploaded ?? 0)]);
    case "held": return card.throttled
      ? gettext("As many as this server takes at a time; going on soon")
      : gettext("The server's queue is full; trying again soon");
    case "queued": return job.queue_position
      ? [interpolate(gettext("Waiting, place %s in the queue"), [job.queue_position]), left(job)].filter(Boolean).join(" · ")
      : gettext("Waiting for a worker");
    case "processing": {
      if (job.cancel_requested) return gettext("Cancelling …");
      if (share === null) return gettext("Preparing");
      const tiles = interpolate(gettext("Tile %s of %s"), [job.progress.tiles_done, job.progress.tiles_total]);
      return [tiles, left(job)].filter(Boolean).join(" · ");
    }
    case "completed": return gettext("Finished");
    case "failed": return gettext("Failed");
    case "cancelled": return gettext("Cancelled");
    default: return card.state;
  }
}

function left(job) {
  return job.eta_seconds == null ? "" : interpolate(gettext("%s left"), [seconds(job.eta_seconds)]);
}

/** The share of the tiles that are done, 0 to 1; null where none are counted yet. */
export function tileShare(job) {
  const { tiles_done: done, tiles_total: total } = job.progress ?? {};
  return total ? done / total : null;
}
