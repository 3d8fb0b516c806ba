/** Pictures for a message: made small enough for a request, kept as data URLs. */

const LONGEST_SIDE = 1568;
/** Characters of a data URL; a request may have 4 MB. */
const LARGEST = 900_000;
export const MOST_IMAGES = 4;

export class ImageError extends Error {}

/** A picture as a data URL of at most 900,000 characters. */
export async function toDataUrl(file: Blob): Promise<string> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new ImageError("This file is not a picture that the browser can read.");
  });
  try {
    const keep = file.type === "image/png" || file.type === "image/jpeg" || file.type === "image/webp";
    if (keep && Math.max(bitmap.width, bitmap.height) <= LONGEST_SIDE && file.size < (LARGEST * 3) / 4) {
      return await read(file);
    }
    let scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    for (;;) {
      const url = draw(bitmap, scale);
      if (url.length <= LARGEST) return url;
      scale *= 0.75;
    }
  } finally {
    bitmap.close();
  }
}

function draw(bitmap: ImageBitmap, scale: number): string {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  if (!context) throw new ImageError("The picture could not be made smaller.");
  // JPEG has no transparency.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

function read(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new ImageError("The picture could not be read."));
    reader.readAsDataURL(file);
  });
}
