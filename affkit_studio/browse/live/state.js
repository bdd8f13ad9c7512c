// What is shown, as numbers: random z, the rule of the sliders, and the way from one face to another.

/** Random numbers in [0, 1) from a seed (Mulberry32, Tommy Ettinger): the same in every browser. */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** 100 numbers, uniform in [-1, 1] as the generator was trained. PyTorch makes other ones from the same seed. */
function sampleZ(seed, length = 100) {
  const random = randomNumbers(seed);
  return Float64Array.from({ length }, () => 2 * random() - 1);
}

const clip = (value, low = -1, high = 1) => Math.min(Math.max(value, low), high);

/** z = clip(truncation * base + sum of amount * direction): the rule of affkit_studio.browse.explore. */
function latent({ base, truncation, amounts }, vectors) {
  const z = base.map((value) => truncation * value);
  for (const [name, amount] of Object.entries(amounts)) {
    if (amount) vectors[name].forEach((value, n) => { z[n] += amount * value; });
  }
  return z.map((value) => clip(value));
}

const lengthOf = (z) => Math.hypot(...z);

/**
 * The point at `fraction` of the way from one z to another on an arc around 0 (slerp, as in affkit_lab.latent.z_arithmetic):
 * on a straight line z would become short, and the generator has seen no short z.
 */
function onTheArc(first, second, fraction) {
  const a = lengthOf(first), b = lengthOf(second);
  const cosine = first.reduce((sum, value, n) => sum + value * second[n], 0) / (a * b);
  const angle = Math.acos(clip(cosine)), sine = Math.sin(angle);
  if (!(sine > 1e-6)) return first.map((value, n) => (1 - fraction) * value + fraction * second[n]); // no one arc
  const wanted = (1 - fraction) * a + fraction * b; // the length changes evenly
  const [p, q] = [Math.sin((1 - fraction) * angle) / sine / a, Math.sin(fraction * angle) / sine / b];
  return first.map((value, n) => wanted * (p * value + q * second[n]));
}
