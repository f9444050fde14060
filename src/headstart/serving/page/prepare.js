// A file on its way to the server: seen once, for a small picture of it and to learn whether it is too large.

import { count, megabytes } from "./make.js";

const THUMBNAIL = 560; // pixels of the longer side: a card on a screen with two for each
const QUALITY = 0.92;
/** Bytes that a request has besides its pictures, at most. */
export const OVERHEAD = 4096;
const TRIES = 6;
const STUBBORN = "and this browser cannot make it smaller.";

/**
 * What is sent of a file, and what is shown.
 * @param {File} file
 * @param {{body_bytes: number, pixels: number}} limits
 * @returns {Promise<{blob: Blob, preview: Blob|null, note: string, error: string}>} `note` says that it was made
 *   smaller; with an `error` it cannot be sent.
 */
export async function prepare(file, limits) {
  const room = limits.body_bytes - OVERHEAD;
  const pixels = await open(file);
  if (!pixels) return { blob: file, preview: null, note: "", error: await unseen(file, room, limits) };
  const preview = await drawn(pixels, Math.min(1, THUMBNAIL / Math.max(pixels.width, pixels.height)), 0.85);
  const sent = await fitted(file, pixels, room, limits);
  pixels.close();
  return { preview, ...sent };
}

/** Its pixels, upright as EXIF wants it; null where this browser cannot read it: the server may. */
async function open(file) {
  return createImageBitmap(file).catch(() => null);
}

/** What is wrong with a file that this browser cannot see, if anything. */
async function unseen(file, room, limits) {
  if (file.size > room) {
    return `It has ${megabytes(file.size)}, the server takes ${megabytes(limits.body_bytes)}, ${STUBBORN}`;
  }
  const there = await file.slice(0, 1).arrayBuffer().then(() => true, () => false);
  return there ? "" : "It is not where it was: the browser can no longer read it.";
}

async function fitted(file, pixels, room, limits) {
  const area = pixels.width * pixels.height;
  if (file.size <= room && area <= limits.pixels) return { blob: file, note: "", error: "" };
  let scale = Math.min(1, Math.sqrt(limits.pixels / area) * 0.999);
  for (let tried = 0; tried < TRIES; tried += 1) {
    const blob = await drawn(pixels, scale, QUALITY);
    if (blob && blob.size <= room) return { blob, note: smaller(file, pixels, scale, limits), error: "" };
    scale *= 0.7;
  }
  return { blob: file, note: "", error: `It is larger than the server takes, ${STUBBORN}` };
}

function smaller(file, { width, height }, scale, limits) {
  const most = width * height > limits.pixels ? count(limits.pixels, "pixel", "pixels") : megabytes(limits.body_bytes);
  const [from, to] = [1, scale].map((by) => `${side(width, by)} x ${side(height, by)}`);
  return `Sent as ${to} pixels rather than ${from}: the server takes at most ${most}.`;
}

const side = (pixels, scale) => Math.max(1, Math.floor(pixels * scale));

/** A JPEG of them; null where the browser has no memory for it. */
async function drawn(pixels, scale, quality) {
  try {
    const canvas = new OffscreenCanvas(side(pixels.width, scale), side(pixels.height, scale));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(pixels, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/jpeg", quality });
  } catch {
    return null;
  }
}
