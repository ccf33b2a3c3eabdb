// What was found, as files: JSON as the server writes it, CSV, and the picture with its boxes.

import { draw } from "./drawing.js";

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** An image of the answer, as `ssdreg-detect --json` has it, with the objects that are shown. */
function answered(picture, filters) {
  return { image: picture.name, width: picture.size[0], height: picture.size[1],
    objects: filters.shown(picture.objects) };
}

export function saveJson(model, pictures, filters) {
  const images = pictures.map((picture) => answered(picture, filters));
  save(new Blob([JSON.stringify({ model, images }, null, 2)], { type: "application/json" }),
    "detections.json");
}

function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvOf(pictures, filters) {
  const rows = [["image", "class", "score", "left", "top", "right", "bottom"]];
  for (const picture of pictures) {
    for (const found of filters.shown(picture.objects)) {
      rows.push([picture.name, found.class, found.score, ...found.box]);
    }
  }
  return rows.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

export function saveCsv(pictures, filters) {
  save(new Blob([csvOf(pictures, filters)], { type: "text/csv" }), "detections.csv");
}

export async function savePicture(picture, filters, colors) {
  const canvas = document.createElement("canvas");
  draw(canvas, picture.bitmap, ...picture.size, picture.size, filters.shown(picture.objects), colors);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  save(blob, `${picture.name.replace(/\.[^.]*$/, "")}-detected.png`);
}
