/* "Data on a circle": what an infinitely wide ReLU network draws on an arc without data, with biases and without. */
(() => {
  "use strict";
  const N = 48;
  const ANGLES = Array.from({ length: N }, (_, i) => (360 * (i + 0.5)) / N - 180); // degrees, as in the lesson
  const LINE = Float64Array.from({ length: 361 }, (_, i) => i - 180);
  const K = Array.from({ length: 17 }, (_, k) => k);
  const NARROW = 15; // degrees: the smallest arc, and the widest is twenty times as wide
  const RIDGE = 1e-9; // without biases the kernel is singular
  const { coefficients, nudft } = fpc.engine();
  const radians = (angle) => (Math.PI * angle) / 180;

  /* Tangent kernel of the first layer at this angle: fpcourse's kernels.basri_kernel. */
  function kernel(angle, bias) {
    const cosine = Math.cos(radians(angle));
    const apart = Math.PI - Math.acos(fpc.clip(cosine, -1, 1));
    return bias ? ((cosine + 1) * apart) / (4 * Math.PI) : (cosine * apart) / (2 * Math.PI);
  }

  /* Its eigenvalues for the uniform measure: kernels.circle_eigenvalues / 2 pi. */
  function rate(k, bias) {
    const odd = k % 2 === 1;
    const plain = k === 1 ? Math.PI / 4 : odd ? 0 : (2 * (k * k + 1)) / (Math.PI * (k * k - 1) ** 2);
    const ramp = k === 0 ? Math.PI / 4 : odd ? 1 / (Math.PI * k * k) : 0;
    return (bias ? plain / 2 + ramp : plain) / (2 * Math.PI);
  }

  const wave = (k, angle) => Math.cos(k * radians(angle));

  /* The end of training on the wave outside of the arc. */
  function chosen({ from, to, k, bias }) {
    const seen = ANGLES.filter((angle) => angle < from || angle > to);
    const gram = Float64Array.from(seen.flatMap((p, i) => seen.map((q, j) => kernel(p - q, bias) + (i === j ? RIDGE : 0))));
    const { weights } = coefficients(gram, seen.map((angle) => wave(k, angle)));
    const at = (angle) => weights.reduce((sum, weight, j) => sum + weight * kernel(angle - seen[j], bias), 0);
    return { seen, weights, at };
  }

  /* |f^(k)|^2 / lambda_k, for k and -k together. */
  function prices({ seen, weights }, bias, ks) {
    const { abs } = nudft(seen.map((angle) => angle / 360), weights, ks);
    return ks.map((k, i) => (k ? 2 : 1) * rate(k, bias) * (seen.length * abs[i]) ** 2);
  }

  fpc.figure("circle", {
    title: "Data on a circle, with an arc missing: which function will a wide network choose?",
    controls: {
      bias: { label: "biases", value: true, live: true },
      k: { label: "wave cos kθ, k =", value: 6, values: K.slice(1, 13), live: true },
      from: { value: -60, hidden: true, live: true },
      to: { value: 60, hidden: true, live: true },
    },

    setup(lab) {
      const space = lab.panel({
        title: "the chosen function (drag the arc)",
        label: "Data, missing arc and the function through the data",
        height: 290,
        x: { label: "angle θ, degrees", range: [-180, 180], ticks: [-180, -90, 0, 90, 180] },
        y: { range: [-1.8, 1.8], ticks: [-1, 0, 1] },
      });
      const cost = lab.panel({
        title: "price × spectrum",
        label: "Price times spectrum at each frequency",
        height: 290,
        x: { label: "frequency k", range: [-0.7, 16.7], ticks: K.filter((k) => k % 2 === 0) },
        y: { label: "|f̂|² / λ, in units of the wave's", range: [0, 1.15], ticks: [0, 0.5, 1] },
      });
      lab.keys({ target: "data and the wave", theory: "network at the end of training", noise: "no data" });

      /* An end of the arc, in degrees; the ends keep apart. */
      function ends() {
        const from = fpc.clip(Math.round(lab.state.from) || 0, -180, 180 - NARROW);
        return { from, to: fpc.clip(Math.round(lab.state.to) || 0, from + NARROW, Math.min(180, from + 20 * NARROW)) };
      }
      function move(end, angle) {
        const { from, to } = ends();
        const [low, high] = end === "from" ? [to - 20 * NARROW, to - NARROW] : [from + NARROW, from + 20 * NARROW];
        lab.set(end, fpc.clip(Math.round(angle), Math.max(-180, low), Math.min(180, high)));
      }
      const grips = ["from", "to"].map((end) =>
        lab.grip(space, `the arc ${end === "from" ? "begins" : "ends"}`, (angle) => move(end, angle), (dx) => move(end, lab.state[end] + 5 * dx)),
      );
      space.svg.append(...grips);

      function redraw() {
        const { bias, k } = lab.state;
        const { from, to } = ends();
        const network = chosen({ from, to, k, bias });
        const ys = LINE.map(network.at);
        space.begin();
        space.bar((from + to) / 2, -1.8, 1.8, space.px(to) - space.px(from), "noise", { style: 'stroke="none" opacity="0.25"' });
        space.line(LINE, LINE.map((angle) => wave(k, angle)), "target", 'stroke-width="1.2" stroke-dasharray="2 3"');
        space.line(LINE, ys, "theory", 'stroke-width="2.5"');
        space.dots(network.seen, network.seen.map((angle) => wave(k, angle)), "target", 2.5);
        space.end();
        [from, to].forEach((angle, i) => lab.hold(grips[i], space, angle, 1.5, `${angle} degrees`, "x"));

        const whole = 1 / (2 * rate(k, bias)); // price of the wave
        const size = (cost.px(1) - cost.px(0)) * 0.6;
        const parts = prices(network, bias, K).map((price) => price / whole);
        cost.begin();
        K.forEach((j) => {
          if (rate(j, bias)) cost.bar(j, 0, parts[j], size, "theory", { style: 'stroke="none"' });
          else cost.text(j, 0, "∞", 'dy="-4" text-anchor="middle"');
        });
        if (Number.isFinite(whole)) cost.bar(k, 0, 1, size, "target", { style: 'fill-opacity="0" stroke-dasharray="3 3"' });
        cost.end();

        const hidden = LINE.filter((angle) => angle > from && angle < to);
        const norm = (value) => Math.sqrt(hidden.reduce((sum, angle) => sum + value(angle) ** 2, 0));
        const error = Math.round((100 * norm((angle) => network.at(angle) - wave(k, angle))) / norm((angle) => wave(k, angle)));
        const all = prices(network, bias, Array.from({ length: 400 }, (_, j) => j)).reduce((sum, price) => sum + price, 0);
        const price = Number.isFinite(whole) ? `The price of this function is ${Math.round((100 * all) / whole)} % of the wave's.` : "The network cannot represent this wave: its price is infinite.";
        lab.status(`${network.seen.length} of ${N} points, ${bias ? "with" : "without"} biases, ${to - from}° missing: there the error is ${error} % of the wave. ${price}`);
        clearTimeout(lab.soon);
        lab.soon = setTimeout(() => lab.say(lab.words.textContent), 700);
      }

      return { restart: async () => redraw(), redraw, chosen, rate, prices };
    },
  });
})();
