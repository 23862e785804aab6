// Pictures of a job as files of this browser, and elements that ask for theirs only when they are looked at.

import { pictureUrl } from "./api.js";

/** The original of a job as it was sent. */
export async function originalFile(jobId, name) {
  const answer = await fetch(await pictureUrl(jobId, "input"));
  if (!answer.ok) throw new Error(gettext("The original is no longer on the server."));
  return new File([await answer.blob()], name);
}

/** The result as PNG, which is all that clipboards take. */
export async function resultAsPng(jobId) {
  const blob = await (await fetch(await pictureUrl(jobId, "result"))).blob();
  if (blob.type === "image/png") return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Call `act` when the element is first on the screen: a long list asks for what is looked at. */
export function whenSeen(element, act) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      act();
    },
    { rootMargin: "300px" },
  );
  observer.observe(element);
}
