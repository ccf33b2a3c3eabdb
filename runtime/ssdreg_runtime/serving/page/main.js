// The page's state, and what the keys, the buttons and the server do to it.

import { closeVideo, frameTime, grab, openVideo, seek, startCamera, stopCamera } from "./camera.js";
import { saveCsv, saveJson, savePicture } from "./downloads.js";
import { Filters } from "./filters.js";
import { LocalDetector } from "./local.js";
import { Picture, Queue } from "./pictures.js";
import { asPng, detect, listModels, pause, Refused, returned, setToken } from "./server.js";
import { at, listClasses, listObjects, removeThumbnail, sentence, showStage, showThumbnail }
  from "./view.js";

const filters = new Filters();
const video = at("video");
const pictures = [];
let models = [];
let model = null;
let colors = new Map();
/** The picture, or the frame of the camera or of a video, that is on the stage. */
let current = null;
/** pictures, camera or video */
let mode = "pictures";
/** Frames of the open video that were detected, by number. */
let frames = new Map();
let videoFile = null;
/** The number of the frame on the stage, and seconds between two frames. */
let frameNumber = 0;
let step = 0.04;
let running = false;
/** Files that came before the server said what models it has. */
const early = [];

/** The detector in this browser; null where the server detects. */
let local = null;

const detected = (blob) => (local ? local.detect(blob) : detect(model.name, blob));

const queue = new Queue(detected, (blob) => asPng(model.name, blob),
  pictureChanged, (reason) => {
    at("away").textContent = reason;
    at("away").hidden = !reason;
  });

// What is shown

function show() {
  showStage(current, filters, colors);
  listObjects(current, filters, (found) => showStage(current, filters, colors, found));
  for (const picture of pictures) showThumbnail(picture, picture === current, filters, choose);
  at("strip").hidden = !pictures.length;
  for (const row of document.querySelectorAll(".adding")) row.hidden = !current;
  at("live").hidden = mode !== "camera";
  at("frames").hidden = mode !== "video";
  const done = downloadable();
  for (const button of document.querySelectorAll("[data-download]")) {
    button.disabled = button.dataset.download === "png"
      ? !current?.bitmap || current.state !== "done" : !done.length;
  }
  at("threshold-value").textContent = filters.threshold.toFixed(2);
}

function say(text) {
  at("status").textContent = text;
}

function downloadable() {
  if (mode === "video") {
    return [...frames].sort(([one], [other]) => one - other).map(([, frame]) => frame);
  }
  return pictures.filter((picture) => picture.state === "done");
}

function pictureChanged(picture) {
  if (picture.state === "done") {
    say(`${picture.name}: ${sentence(filters.shown(picture.objects))}`);
  } else if (picture.state === "failed") {
    say(`${picture.name}: ${picture.error}`);
  }
  show();
}

// Pictures

function choose(picture) {
  leave();
  current = picture;
  show();
  picture?.button?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function add(name, blob) {
  const picture = new Picture(name, blob);
  picture.model = model;
  pictures.push(picture);
  queue.add(picture);
  return picture;
}

function addFiles(files) {
  if (!model) early.push(...files);
  if (!model || !files.length) return;
  const films = files.filter((file) => file.type.startsWith("video/"));
  const added = files.filter((file) => !films.includes(file))
    .map((file) => add(file.name || "pasted", file));
  if (added.length) choose(added[0]);
  if (films.length) startVideo(films[0]);
  if (films.length > 1) say("One video is shown at a time: the first was opened.");
}

function remove(picture) {
  const place = pictures.indexOf(picture);
  if (place < 0) return;
  queue.drop(picture);
  removeThumbnail(picture);
  pictures.splice(place, 1);
  choose(pictures[Math.min(place, pictures.length - 1)] ?? null);
}

// The camera and videos

function leave() {
  running = false;
  if (mode === "camera") stopCamera(video);
  if (mode === "video") closeVideo(video);
  mode = "pictures";
}

/** Have a frame detected and show it; null when it may be asked again, false when it may not. */
async function detectFrame(name) {
  const was = mode;
  const frame = new Picture(name, await grab(video));
  await frame.open();
  try {
    frame.objects = (await detected(frame.blob)).objects;
  } catch (error) {
    say(error.message);
    return error instanceof Refused && error.passing ? null : false;
  }
  if (mode !== was) return false;
  frame.state = "done";
  current = frame;
  show();
  return frame;
}

async function camera() {
  choose(null);
  try {
    await startCamera(video);
  } catch (error) {
    say(error.message);
    return;
  }
  mode = "camera";
  running = true;
  say("Space takes a picture.");
  while (running && mode === "camera") {
    const frame = await detectFrame("camera");
    if (frame === false) break;
    await pause(frame ? 0 : 1000);
  }
}

async function take() {
  const taken = add(`camera ${new Date().toLocaleTimeString()}.jpg`, await grab(video));
  choose(taken);
}

async function startVideo(file) {
  choose(null);
  try {
    await openVideo(video, file);
  } catch (error) {
    say(error.message);
    return;
  }
  mode = "video";
  videoFile = file;
  frames = new Map();
  step = await frameTime(video);
  await showFrame(0);
}

const lastFrame = () => Math.max(0, Math.round(video.duration / step) - 1);

async function showFrame(number) {
  frameNumber = Math.max(0, Math.min(number, lastFrame()));
  // into the middle of its time, where rounding leads to no other
  await seek(video, (frameNumber + 0.5) * step);
  const time = (frameNumber * step).toFixed(2);
  at("frame-time").textContent = `${time} of ${video.duration.toFixed(2)} s`;
  const known = frames.get(frameNumber);
  if (known) {
    current = known;
    show();
    return known;
  }
  const frame = await detectFrame(`${videoFile.name} ${time} s`);
  if (frame) {
    frames.set(frameNumber, frame);
    show();
  }
  return frame;
}

async function allFrames() {
  running = !running;
  at("frame-all").textContent = running ? "Stop" : "All frames";
  while (running && mode === "video") {
    const frame = await showFrame(frameNumber);
    if (frame === false) break;
    if (frame === null) { await pause(1000); continue; }
    say(`${frames.size} frames: ${sentence(filters.shown(frame.objects))}`);
    if (frameNumber === lastFrame()) break;
    frameNumber += 1;
  }
  running = false;
  at("frame-all").textContent = "All frames";
}

// Settings

/** Detect in the browser, or let the server, and do so anew for what is there. */
async function setLocal(wanted) {
  at("local").disabled = true;
  try {
    local = null;
    if (wanted) {
      say("The model is fetched and opened.");
      local = await LocalDetector.open(model);
      say("Pictures stay in this browser.");
    }
  } catch (error) {
    say(`The model cannot run in this browser: ${error.message}`);
  }
  at("local").checked = Boolean(local);
  at("local").disabled = false;
  frames = new Map();
  for (const picture of pictures) queue.add(picture);
}

function useModel(name) {
  model = models.find((each) => each.name === name) ?? models[0];
  local = null;
  at("local").checked = false;
  at("local-label").hidden = !model.in_browser;
  colors = new Map(model.classes.map((each, number) => [each, model.colors[number]]));
  filters.hidden.clear();
  frames = new Map();
  listClasses(model, colors, filters, show);
  for (const picture of pictures) {
    if (picture.model !== model) {
      picture.model = model;
      picture.objects = [];
      queue.add(picture);
    }
  }
  show();
}

function setThreshold(value) {
  filters.threshold = Math.min(1, Math.max(0, Math.round(value * 100) / 100));
  at("threshold").value = filters.threshold;
  show();
}

const THEME = "ssdreg-theme";

/** The theme that was chosen, else that of the system. */
function theme() {
  return localStorage.getItem(THEME)
    ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function showTheme() {
  document.documentElement.dataset.theme = theme();
  at("theme").textContent = theme() === "dark" ? "Light" : "Dark";
}

function switchTheme() {
  localStorage.setItem(THEME, theme() === "dark" ? "light" : "dark");
  showTheme();
}

async function start() {
  try {
    models = await listModels();
  } catch (error) {
    if (error.status === 401) {
      at("token-form").hidden = false;
      at("token").focus();
      return;
    }
    at("away").hidden = false;
    at("away").textContent = `${error.message} It is asked again until it does.`;
    await returned();
    at("away").hidden = true;
    return start();
  }
  at("token-form").hidden = true;
  at("model").replaceChildren(...models.map((each) => new Option(each.name)));
  useModel(models[0].name);
  addFiles(early.splice(0));
}

// What happens

const open = () => at("files").click();
const chosen = () => pictures.indexOf(current);
const KEYS = {
  o: open, c: camera, t: switchTheme, "?": () => at("keys").showModal(),
  "+": () => setThreshold(filters.threshold + 0.05),
  "=": () => setThreshold(filters.threshold + 0.05),
  "-": () => setThreshold(filters.threshold - 0.05),
  ArrowLeft: () => pictures.length && choose(pictures[Math.max(0, chosen() - 1)]),
  ArrowRight: () => pictures.length && choose(pictures[Math.min(pictures.length - 1, chosen() + 1)]),
  ",": () => mode === "video" && showFrame(frameNumber - 1),
  ".": () => mode === "video" && showFrame(frameNumber + 1),
  " ": () => { if (mode === "camera") take(); else if (mode === "video") allFrames(); },
  Delete: () => remove(current),
  Escape: () => mode === "pictures" || choose(pictures.at(-1) ?? null),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("keys").open) return;
  // what a control does with its own keys stays its own
  if (event.target.matches("input:not([type=checkbox]), select")) return;
  if (event.key === " " && event.target.matches("button, input")) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || !model) return;
  event.preventDefault();
  act();
});

for (const [id, act] of Object.entries({
  open, "open-more": open, camera, "camera-more": camera, take, theme: switchTheme,
  stop: KEYS.Escape, help: KEYS["?"], "frame-back": KEYS[","], "frame-next": KEYS["."],
  "frame-all": allFrames,
})) at(id).addEventListener("click", () => act());

at("files").addEventListener("change", (event) => {
  addFiles([...event.target.files]);
  event.target.value = "";
});
at("threshold").addEventListener("input", (event) => setThreshold(Number(event.target.value)));
at("local").addEventListener("change", (event) => setLocal(event.target.checked));
at("model").addEventListener("change", (event) => useModel(event.target.value));
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(at("token").value);
  start();
});
document.addEventListener("paste", (event) => addFiles([...event.clipboardData.files]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("stage").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("stage").classList.remove("over");
  addFiles([...event.dataTransfer.files]);
});
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => {
    const { download } = button.dataset;
    if (download === "json") saveJson(model.name, downloadable(), filters);
    if (download === "csv") saveCsv(downloadable(), filters);
    if (download === "png") savePicture(current, filters, colors);
  });
}
new ResizeObserver(() => showStage(current, filters, colors)).observe(at("stage"));

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();
start();
