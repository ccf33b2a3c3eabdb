// Moving pictures: the camera, and the frames of a video file.

import { pause } from "./server.js";

/** What a browser's refusal of the camera means. */
const REFUSALS = {
  NotAllowedError: "The camera may not be used: allow it in the browser's settings of this page.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is in use by another program.",
};

/** A frame of a video element as a JPEG. */
export async function grab(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
}

/** Show the camera in a video element; throws an Error with a sentence. */
export async function startCamera(video) {
  if (!navigator.mediaDevices) {
    throw new Error("A browser gives the camera to pages of this machine or over HTTPS only.");
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia(
      { video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    throw new Error(REFUSALS[error.name] ?? `The camera cannot be used: ${error.message}`);
  }
  await video.play();
}

export function stopCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

/** Open a video file in a video element, at its first frame; throws an Error with a sentence. */
export async function openVideo(video, file) {
  closeVideo(video);
  video.src = URL.createObjectURL(file);
  await new Promise((done, failed) => {
    video.onloadeddata = done;
    video.onerror = () => failed(new Error(
      `${file.name} cannot be played by this browser: detect in it with ssdreg-detect.`));
  });
}

export function closeVideo(video) {
  if (!video.src) return;
  URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}

/** How long a frame that a browser tells of is waited for; on a page that is hidden none is told. */
const patience = () => (document.hidden ? 500 : 5000);

/**
 * Move a paused video to a time in seconds, and wait until its frame is there.
 *
 * "seeked" alone comes before the frame now and then: what is drawn is the one before it. A
 * browser that tells of frames must be asked before it is moved, and tells of none where the video
 * is there already.
 */
export async function seek(video, time) {
  const target = Math.max(0, Math.min(time, video.duration));
  // browsers keep whole microseconds
  if (!video.seeking && Math.abs(video.currentTime - target) < 2e-6) return;
  const moved = new Promise((done) => { video.onseeked = done; });
  const shown = video.requestVideoFrameCallback &&
    new Promise((done) => { video.requestVideoFrameCallback(done); });
  video.currentTime = target;
  await moved;
  await Promise.race([shown, pause(patience())]);
}

/** The time in seconds between two frames, from the first that are played; 1/25 where unknown. */
export async function frameTime(video) {
  if (!video.requestVideoFrameCallback) return 0.04;
  const begin = video.currentTime;
  const times = [];
  await new Promise((done) => {
    const timer = setTimeout(done, 3 * patience());
    video.onended = done;
    const note = (_, frame) => {
      times.push(frame.mediaTime);
      if (times.length < 8) return void video.requestVideoFrameCallback(note);
      clearTimeout(timer);
      done();
    };
    video.requestVideoFrameCallback(note);
    video.play().catch(done);
  });
  video.pause();
  await seek(video, begin);
  const steps = times.slice(1).map((time, at) => time - times[at]).filter((step) => step > 0.001);
  return steps.length ? Math.min(...steps) : 0.04;
}
