// A generator in plain JavaScript. This file knows nothing of the page: it runs in a worker, a second thread of
// the browser, so that the page never waits for it.
//
// The generator is a row of transposed convolutions (the paper's "conv2d transpose", fractionally-strided
// convolutions). Batch normalisation was put into their weights when the page was written.
//
//     y[o, s i + p, s j + q]  =  bias[o]  +  sum of  x[c, i, j] w[c, o, p, q]  over all c, i, j, p, q
//
// Every pixel (i, j) of the input stamps its filter onto the output, s pixels from the next stamp, and where
// stamps overlap they are added. So there are two steps for each pixel:
//
//     1. its stamp:  stamp[o, p, q] = sum over c of x[c, i, j] w[c, o, p, q]     (a row of a matrix product)
//     2. put it on the output, at row s i and column s j                         (known as "col2im")
//
// Sizes are worked out as in Table V: (size - 1) stride + filter, less what "SAME" padding cuts off.

/** One layer. `x` is Float32Array (channels, size, size); returns (out, outSize, outSize). */
function transposedConvolution(x, layer) {
  const { channels, out, filter, size, outSize, bias } = layer;
  const y = new Float32Array(out * outSize * outSize);
  for (let o = 0; o < out; o++) y.fill(bias[o], o * outSize * outSize, (o + 1) * outSize * outSize);
  const pixel = new Float32Array(channels), stamp = new Float32Array(out * filter * filter);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      for (let c = 0; c < channels; c++) pixel[c] = x[(c * size + i) * size + j];
      makeStamp(stamp, pixel, layer.weight);
      putStamp(y, stamp, i, j, layer);
    }
  }
  return y;
}

/** Step 1. The weights of a channel lie in a row as long as the stamp, and are read in the order they lie in. */
function makeStamp(stamp, pixel, weight) {
  stamp.fill(0);
  // Half of the numbers are 0 after a ReLU: those channels are left out. The others come four at a time,
  // because to read and to write the stamp takes as long as to multiply.
  const length = stamp.length, rows = [], amounts = [];
  for (let c = 0; c < pixel.length; c++) {
    if (pixel[c] !== 0) { rows.push(c * length); amounts.push(pixel[c]); }
  }
  while (rows.length % 4) { rows.push(0); amounts.push(0); }
  for (let n = 0; n < rows.length; n += 4) {
    const a = amounts[n], b = amounts[n + 1], c = amounts[n + 2], d = amounts[n + 3];
    const atA = rows[n], atB = rows[n + 1], atC = rows[n + 2], atD = rows[n + 3];
    for (let k = 0; k < length; k++) {
      stamp[k] += a * weight[atA + k] + b * weight[atB + k] + c * weight[atC + k] + d * weight[atD + k];
    }
  }
}

/** Step 2. What "SAME" padding cuts off is `before` at the top and left; the rest is beyond the other end. */
function putStamp(y, stamp, i, j, { out, filter, stride, before, outSize }) {
  const top = i * stride - before, left = j * stride - before;
  const firstP = Math.max(0, -top), lastP = Math.min(filter, outSize - top);
  const firstQ = Math.max(0, -left), lastQ = Math.min(filter, outSize - left);
  for (let o = 0; o < out; o++) {
    for (let p = firstP; p < lastP; p++) {
      const to = (o * outSize + top + p) * outSize + left, from = (o * filter + p) * filter;
      for (let q = firstQ; q < lastQ; q++) y[to + q] += stamp[from + q];
    }
  }
}

const ACTIVATIONS = {
  relu(x) { for (let n = 0; n < x.length; n++) if (x[n] < 0) x[n] = 0; },
  tanh(x) { for (let n = 0; n < x.length; n++) x[n] = Math.tanh(x[n]); },
};

/** From z, 100 numbers in [-1, 1], to pixels: Uint8ClampedArray (size, size, 4), red, green, blue, opaque. */
function drawFace(layers, z) {
  let x = Float32Array.from(z);
  for (const layer of layers) {
    x = transposedConvolution(x, layer);
    ACTIVATIONS[layer.activation](x);
  }
  const area = x.length / 3, pixels = new Uint8ClampedArray(4 * area).fill(255);
  for (let n = 0; n < area; n++) {
    for (let color = 0; color < 3; color++) pixels[4 * n + color] = (x[color * area + n] + 1) * 127.5; // rounds itself
  }
  return pixels;
}

// How the weights came here: numbers of 16 or 32 bits, one layer after the other, as text (base64).

/** A number of 16 bits: sign, 5 bits of exponent, 10 of fraction (IEEE 754); none is infinite. */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  return exponent ? sign * (1 + fraction) * 2 ** (exponent - 15) : sign * fraction * 2 ** -14;
}

/** Float32Array of the weights of all layers. The bytes are in the order of every common processor, low first. */
function decodeWeights(base64, bits) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
  if (bits === 32) return new Float32Array(bytes.buffer);
  const values = Float32Array.from({ length: 65536 }, (_, number) => fromHalf(number)); // there are no more
  const numbers = new Uint16Array(bytes.buffer), weights = new Float32Array(numbers.length);
  for (let n = 0; n < numbers.length; n++) weights[n] = values[numbers[n]];
  return weights;
}

/** Give each layer its own part of the weights, and the sizes of its input and output. */
function openGenerator({ layers, bits }, base64) {
  const weights = decodeWeights(base64, bits);
  let start = 0, size = 1;
  return layers.map((layer) => {
    const end = start + layer.channels * layer.out * layer.filter ** 2;
    const outSize = (size - 1) * layer.stride + layer.filter - layer.before - layer.after;
    const whole = { ...layer, weight: weights.subarray(start, end), size, outSize };
    [start, size] = [end, outSize];
    return whole;
  });
}

/** In the worker: the first message brings the weights, every other one a z, which is answered by its face. */
function answerMessages() {
  let layers;
  self.onmessage = ({ data }) => {
    if (data.net) { layers = openGenerator(data.net, data.base64); return; }
    const pixels = drawFace(layers, data.z);
    self.postMessage({ token: data.token, pixels }, [pixels.buffer]);
  };
}

if (typeof WorkerGlobalScope !== "undefined") answerMessages();
