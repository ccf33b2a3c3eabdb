// What the page shows of its state: the stage, the classes, the objects, the strip.

import { draw, fitted } from "./drawing.js";

export const at = (id) => document.getElementById(id);

function made(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Draw the picture on the stage with what the filters leave; nothing without one. */
export function showStage(picture, filters, colors, marked = null) {
  const drawn = Boolean(picture?.bitmap);
  at("canvas").hidden = !drawn;
  at("empty").hidden = Boolean(picture);
  at("failure").hidden = picture?.state !== "failed";
  at("failure").textContent = picture?.error ?? "";
  if (!drawn) return;
  const stage = at("stage");
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = fitted(picture.size, [stage.clientWidth - 4,
    Math.max(stage.clientHeight - 4, 240)]);
  const canvas = at("canvas");
  const objects = filters.shown(picture.objects);
  draw(canvas, picture.bitmap, Math.round(width * ratio), Math.round(height * ratio), picture.size,
    objects, colors, marked);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${picture.name}: ${sentence(objects)}`);
}

/** What was found, in words: "3 RBC, 1 WBC". */
export function sentence(objects) {
  const counts = new Map();
  for (const found of objects) counts.set(found.class, (counts.get(found.class) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ") || "nothing found";
}

/** Make the boxes of the classes, once for a model; `changed` is called when one is switched. */
export function listClasses(model, colors, filters, changed) {
  const list = at("classes");
  list.replaceChildren(list.querySelector("legend"));
  const all = made("label");
  const every = made("input", "", { type: "checkbox" });
  every.checked = true;
  all.append(every, "all");
  if (model.classes.length > 1) list.append(all);
  const boxes = model.classes.map((name) => {
    const label = made("label", "", { "data-class": name });
    const box = made("input", "", { type: "checkbox" });
    box.checked = !filters.hidden.has(name);
    box.addEventListener("change", () => {
      if (box.checked) filters.hidden.delete(name); else filters.hidden.add(name);
      changed();
    });
    const swatch = made("span", "", { class: "swatch" });
    swatch.style.background = colors.get(name);
    label.append(box, swatch, name, made("span", "", { class: "count" }));
    list.append(label);
    return box;
  });
  every.addEventListener("change", () => {
    for (const box of boxes) box.checked = every.checked;
    filters.hidden = new Set(every.checked ? [] : model.classes);
    changed();
  });
}

/** Write the counts beside the classes, and the table of objects; `mark` is called with a row's. */
export function listObjects(picture, filters, mark) {
  const counts = filters.counts(picture?.objects ?? []);
  for (const label of at("classes").querySelectorAll("[data-class]")) {
    label.querySelector(".count").textContent = counts.get(label.dataset.class) ?? "";
  }
  const table = at("objects");
  const objects = picture ? filters.shown(picture.objects) : [];
  table.hidden = !picture || picture.state === "failed";
  table.caption.textContent = picture
    ? `${picture.name}, ${picture.size ? picture.size.join(" x ") : ""}: ${sentence(objects)}` : "";
  table.tBodies[0].replaceChildren(...objects.slice(0, 200).map((found) => {
    const row = made("tr");
    row.append(made("td", found.class), made("td", found.score.toFixed(3)),
      made("td", found.box.map((value) => Math.round(value)).join(", ")));
    row.addEventListener("pointerenter", () => mark(found));
    row.addEventListener("pointerleave", () => mark(null));
    return row;
  }));
}

const MARKS = { waiting: "waits", asked: "...", failed: "failed" };

/** Show a picture in the strip; made once and kept with the picture. */
export function showThumbnail(picture, current, filters, choose) {
  if (!picture.button) {
    picture.button = made("button", "", { type: "button" });
    const image = made("img", "", { alt: "" });
    image.src = URL.createObjectURL(picture.blob);
    // what the browser cannot show stays an empty frame with its mark
    image.addEventListener("error", () => { image.hidden = true; }, { once: true });
    picture.button.append(image, made("span", "", { class: "mark" }));
    picture.button.addEventListener("click", () => choose(picture));
    at("strip").append(picture.button);
  }
  const count = filters.shown(picture.objects).length;
  picture.button.className = picture.state;
  picture.button.title = picture.name;
  picture.button.setAttribute("aria-label", `${picture.name}: ${picture.error || count}`);
  picture.button.setAttribute("aria-current", String(current));
  picture.button.querySelector(".mark").textContent = MARKS[picture.state] ?? count;
}

export function removeThumbnail(picture) {
  URL.revokeObjectURL(picture.button?.querySelector("img").src ?? "");
  picture.button?.remove();
}
