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

const MEASURED = /^image\/(png|jpeg|bmp)$/; // of the others a browser does not tell how many frames there are
const APNG_CHUNK = "acTL"; // stands before the first pixels of an animated PNG
const HEAD_BYTES = 65_536;

/** The size of a still picture that this browser can read, as the API names it; null where it cannot tell. */
export async function measure(file) {
  if (!MEASURED.test(file.type)) return null;
  if (file.type === "image/png" && (await file.slice(0, HEAD_BYTES).text()).includes(APNG_CHUNK)) return null;
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
    return { input_width: image.naturalWidth, input_height: image.naturalHeight, input_frames: 1 };
  } catch {
    return null; // the service says what is wrong with it
  } finally {
    URL.revokeObjectURL(image.src);
  }
}
