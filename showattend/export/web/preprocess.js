// From a picture to the network's bytes, with the arithmetic of Pillow's `resize(…, BICUBIC, box, reducing_gap=3)`, so that a browser
// and Python see the same pixels, but for large JPEG files, which Python decodes at a fraction of their size. Pictures are {width, height, data}, three bytes a pixel.

const PRECISION = 22; // bits after the point in the integer weights of Pillow's resampling
const MARGIN = 256 / 224; // as data/transforms.py

/** An image file as a picture, upright, transparent parts on white. */
export async function readPicture(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close(); // a photo of 48 megapixels takes 192 MB
  const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data, data = new Uint8Array(canvas.width * canvas.height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) for (let n = 0; n < 3; n++) data[to++] = rgba[from + n];
  return { width: canvas.width, height: canvas.height, data };
}

/** The part of a picture that the network sees: left, upper, right, lower. */
export function cropBox({ width, height }, { resize }) {
  if (resize === "stretch") return [0, 0, width, height];
  const side = Math.min(width, height) / MARGIN, left = (width - side) / 2, upper = (height - side) / 2;
  return [left, upper, left + side, upper + side];
}

/** The network's bytes, (3,S,S). */
export function toPixels(picture, preprocessing) {
  const side = preprocessing.image_size, square = resize(picture, side, cropBox(picture, preprocessing));
  const pixels = new Uint8Array(3 * side * side);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++)
      for (let channel = 0; channel < 3; channel++)
        pixels[(channel * side + y) * side + (preprocessing.flip ? side - 1 - x : x)] = square.data[3 * (y * side + x) + channel];
  return pixels;
}

function resize(picture, side, [left, upper, right, lower]) {
  const factors = [right - left, lower - upper].map((length) => Math.trunc(length / side / 3) || 1);
  if (Math.max(...factors) > 1) {
    const [x, y] = [(right - left) / side, (lower - upper) / side].map((scale) => 1.5 * scale);
    const safe = [Math.max(0, Math.trunc(left - x)), Math.max(0, Math.trunc(upper - y))];
    safe.push(Math.min(picture.width, Math.ceil(right + x)), Math.min(picture.height, Math.ceil(lower + y)));
    picture = reduce(picture, factors, safe);
    [left, right] = [left, right].map((edge) => (edge - safe[0]) / factors[0]);
    [upper, lower] = [upper, lower].map((edge) => (edge - safe[1]) / factors[1]);
  }
  if (picture.width !== side || left || right !== side) picture = resample(picture, side, left, right, true);
  if (picture.height !== side || upper || lower !== side) picture = resample(picture, side, upper, lower, false);
  return picture;
}

/** Means of whole cells of pixels; those at the right and lower edges may be smaller. */
function reduce(picture, [across, down], [left, upper, right, lower]) {
  const width = Math.ceil((right - left) / across), height = Math.ceil((lower - upper) / down), data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const x0 = left + x * across, y0 = upper + y * down, x1 = Math.min(x0 + across, right), y1 = Math.min(y0 + down, lower);
      const count = (x1 - x0) * (y1 - y0), factor = Math.floor(2 ** 24 / count);
      for (let channel = 0; channel < 3; channel++) {
        let sum = Math.floor(count / 2);
        for (let row = y0; row < y1; row++) for (let at = x0; at < x1; at++) sum += picture.data[3 * (row * picture.width + at) + channel];
        data[3 * (y * width + x) + channel] = Math.floor((sum * factor) / 2 ** 24);
      }
    }
  return { width, height, data };
}

function cubic(x) {
  x = Math.abs(x);
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/** For each of `count` outputs the first input and the integer weights of it and those that follow. */
function taps(size, start, end, count) {
  [start, end] = [start, end].map(Math.fround); // Pillow's boxes are of single precision
  const scale = Math.fround(end - start) / count, stretch = Math.max(1, scale), support = 2 * stretch;
  return Array.from({ length: count }, (_, n) => {
    const center = start + (n + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5)), last = Math.min(size, Math.trunc(center + support + 0.5));
    const weights = Array.from({ length: last - first }, (_, at) => cubic((at + first - center + 0.5) * (1 / stretch)));
    const total = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((w) => Math.trunc((w / total) * 2 ** PRECISION + (w < 0 ? -0.5 : 0.5))) };
  });
}

/** Bicubic resampling along one axis. */
function resample({ width, height, data }, count, start, end, across) {
  const rows = taps(across ? width : height, start, end, count), result = { width: across ? count : width, height: across ? height : count };
  const out = (result.data = new Uint8ClampedArray(3 * result.width * result.height)), stride = across ? 3 : 3 * width;
  for (let y = 0; y < result.height; y++)
    for (let x = 0; x < result.width; x++) {
      const { first, weights } = rows[across ? x : y], from = across ? 3 * (y * width + first) : 3 * (first * width + x);
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (PRECISION - 1);
        for (let n = 0; n < weights.length; n++) sum += data[from + n * stride + channel] * weights[n];
        out[3 * (y * result.width + x) + channel] = Math.floor(sum / 2 ** PRECISION);
      }
    }
  return result;
}
