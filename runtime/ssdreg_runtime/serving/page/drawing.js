// Boxes with names and scores, drawn over a picture.

/** Black or white, whichever has more contrast on a colour written as #rrggbb (WCAG 2.2). */
function inkOn(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(color.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) ** 2 > 1.05 * 0.05 ? "#000000" : "#ffffff";
}

/**
 * Draw a picture and boxes into a canvas of `width` x `height` pixels.
 *
 * `objects` have boxes in pixels of a picture of `size` [width, height]; `marked` is drawn thicker.
 */
export function draw(canvas, picture, width, height, size, objects, colors, marked = null) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, width, height);
  const scale = [width / size[0], height / size[1]];
  const line = Math.max(2, Math.round(Math.hypot(width, height) / 400));
  const font = Math.max(12, Math.round(Math.hypot(width, height) / 70));
  context.font = `${font}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  // the best last, so that they lie on top, and names over the boxes of others
  const drawn = [...objects].reverse().map((found) => ({ found,
    color: colors.get(found.class) ?? "#ffffff",
    box: found.box.map((value, at) => value * scale[at % 2]) }));
  for (const { found, color, box: [left, top, right, bottom] } of drawn) {
    context.lineWidth = found === marked ? 2.5 * line : line;
    context.strokeStyle = color;
    context.strokeRect(left, top, right - left, bottom - top);
  }
  for (const { found, color, box: [left, top] } of drawn) {
    const text = `${found.class} ${found.score.toFixed(2)}`;
    const wide = context.measureText(text).width + font * 0.5;
    const high = font * 1.3;
    const above = top >= high ? top : Math.min(top + high, height);
    const begin = Math.max(0, Math.min(left - line / 2, width - wide));
    context.fillStyle = color;
    context.fillRect(begin, above - high, wide, high);
    context.fillStyle = inkOn(color);
    context.fillText(text, begin + font * 0.25, above - font * 0.1);
  }
}

/** The size of a picture fitted into a room, in whole pixels, enlarged four times at most. */
export function fitted(size, room) {
  const scale = Math.min(room[0] / size[0], room[1] / size[1], 4);
  return size.map((side) => Math.max(1, Math.round(side * scale)));
}
