/* "Which function will it choose?": the end of training by the linear frequency principle, for points to drag. */
(() => {
  "use strict";
  const BOX = 24; // period of the box that stands for the real line, as in the lesson
  const LINE = Float64Array.from({ length: 241 }, (_, i) => -1 + i / 120);
  const XI = Array.from({ length: 41 }, (_, i) => 10 ** (-1 + i / 20));
  const POINTS = "-80,25;-60,-25;-30,-7;-6,15;10,-5"; // the lesson's five, in hundredths
  const OCTAVES = 9; // of the box's frequencies: 1, 2-3, 4-7, ...
  const { coefficients, nudft } = fpc.engine();

  /* Sum of gamma^2(xi) cos(2 pi xi x) over xi = k / BOX, k = +-1, +-2, ...: by Bernoulli polynomials, for
     gamma^2 = (<w^2> + <a^2>) / xi^4 + 4 pi^2 <a^2 w^2> / xi^2 with a, w = +-size. */
  function kernel(x, size) {
    const t = Math.abs(x / BOX) % 1;
    const second = Math.PI ** 2 * (t * t - t + 1 / 6);
    const fourth = (-(Math.PI ** 4) / 3) * (t ** 4 - 2 * t ** 3 + t * t - 1 / 30);
    return 2 * (2 * size ** 2 * BOX ** 4 * fourth + 4 * Math.PI ** 2 * size ** 4 * BOX ** 2 * second);
  }

  const rate = (xi, size) => (2 * size ** 2) / xi ** 4 + (4 * Math.PI ** 2 * size ** 4) / xi ** 2;

  /* What training from the function f0 chooses: f0 plus the function of least price through what is left of the points. */
  function chosen(points, size, f0) {
    const x = points.map(([z]) => z);
    const left = Float64Array.from(points, ([z, y]) => y - f0(z));
    const pairs = Float64Array.from(x.flatMap((z) => x.map((other) => kernel(z - other, size))));
    const { shift, weights } = coefficients(pairs, left, true);
    const at = (z) => weights.reduce((sum, weight, j) => sum + weight * kernel(z - x[j], size), f0(z) + shift);
    return { x, weights, at };
  }

  /* Part of the price, sum of |f - f0|^2 / gamma^2 over the frequencies, in each octave. */
  function prices({ x, weights }, size) {
    const k = Array.from({ length: 2 ** OCTAVES - 1 }, (_, i) => (i + 1) / BOX);
    const { abs } = nudft(x, weights, k);
    const parts = new Float64Array(OCTAVES);
    k.forEach((xi, i) => (parts[Math.floor(Math.log2(i + 1))] += rate(xi, size) * abs[i] ** 2));
    const total = parts.reduce((sum, part) => sum + part, 1e-300);
    return parts.map((part) => part / total);
  }

  /* The splines through the points at `at`, which lies between the outermost ones. */
  function splines(points, at) {
    const n = points.length;
    const h = points.slice(1).map(([x], i) => x - points[i][0]);
    const slope = points.slice(1).map(([, y], i) => (y - points[i][1]) / h[i]);
    const bend = new Float64Array(n); // second derivatives; natural: 0 at both ends
    const pivot = new Float64Array(n);
    for (let i = 1; i < n - 1; i += 1) {
      const factor = i > 1 ? h[i - 1] / pivot[i - 1] : 0;
      pivot[i] = 2 * (h[i - 1] + h[i]) - factor * h[i - 1];
      bend[i] = 6 * (slope[i] - slope[i - 1]) - factor * bend[i - 1];
    }
    for (let i = n - 2; i > 0; i -= 1) bend[i] = (bend[i] - (i < n - 2 ? h[i] * bend[i + 1] : 0)) / pivot[i];
    const linear = [];
    const cubic = [];
    for (const x of at) {
      const i = Math.max(0, Math.min(n - 2, points.findIndex(([z]) => z > x) - 1));
      const [u, v] = [x - points[i][0], points[i + 1][0] - x];
      const line = points[i][1] + slope[i] * u;
      linear.push(line);
      cubic.push(line - ((u * v) / 6) * (bend[i] * (1 + v / h[i]) + bend[i + 1] * (1 + u / h[i])));
    }
    return { linear, cubic };
  }

  fpc.figure("choose", {
    title: "Which function will a wide network choose? Drag the points",
    controls: {
      size: { label: "weights a, w = ±", value: 0.1, values: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10], show: String, live: true },
      amplitude: { label: "A of f₀ = A sin 2πνx", value: 0, values: [0, 0.1, 0.2, 0.3, 0.4], live: true },
      frequency: { label: "ν of f₀", value: 2, values: [0.5, 1, 2, 3, 4, 5], live: true },
      asi: { label: "ASI: f₀ = 0, the same kernel", value: false, live: true },
      points: { value: POINTS, hidden: true, live: true },
    },

    setup(lab) {
      const space = lab.panel({
        title: "the function that training chooses",
        label: "Points and the function through them",
        height: 290,
        x: { label: "x", range: [-1, 1] },
        y: { range: [-0.6, 0.6] },
      });
      const law = lab.panel({
        title: "the law: rate by frequency",
        label: "Rates of the frequencies",
        height: 290,
        x: { label: "frequency", log: true, range: [0.1, 10] },
        y: { log: true, range: [1e-4, 1e4] },
      });
      const parts = lab.panel({
        title: "price × spectrum in each octave",
        label: "Part of the price in each octave of frequencies",
        wide: true,
        height: 160,
        x: { label: "frequency", log: true, range: [1 / BOX, 2 ** OCTAVES / BOX] },
        y: { range: [0, 1], ticks: [0, 0.5, 1] },
      });
      const initial = (x) => (lab.state.asi ? 0 : lab.state.amplitude * Math.sin(2 * Math.PI * lab.state.frequency * x));
      const handles = lab.handles(space);

      /* On the curve, where the gap is widest: nothing changes until it is dragged. */
      function addBetween() {
        const points = handles.read();
        const gaps = points.slice(1).map(([x], i) => x - points[i][0]);
        const i = gaps.indexOf(Math.max(...gaps));
        const x = points[i][0] + gaps[i] / 2;
        handles.add(x, chosen(points, lab.state.size, initial).at(x));
      }

      function redraw() {
        const points = handles.read();
        const { size } = lab.state;
        const inside = LINE.filter((x) => x >= points[0][0] && x <= points[points.length - 1][0]);
        const ghosts = splines(points, inside);
        const network = chosen(points, size, initial);
        const between = inside.map(network.at);
        const begins = lab.state.amplitude && !lab.state.asi;
        lab.keys({
          theory: "network, by the linear frequency principle",
          ...(begins && { middle: "initial function f₀" }),
          high: "linear spline",
          low: "cubic spline",
          target: "points",
        });
        space.begin();
        space.line(inside, ghosts.linear, "high", 'stroke-width="1.5" stroke-dasharray="6 3"');
        space.line(inside, ghosts.cubic, "low", 'stroke-width="1.5" stroke-dasharray="6 3"');
        if (begins) space.line(LINE, LINE.map(initial), "middle", 'stroke-width="1.5"');
        space.line(LINE, LINE.map(network.at), "theory", 'stroke-width="1.5" opacity="0.45"');
        space.line(inside, between, "theory", 'stroke-width="2.5"');
        space.end();
        handles.place();

        law.begin();
        law.line(XI, XI.map((xi) => xi ** -2), "high", 'stroke-width="1.5" stroke-dasharray="6 3"');
        law.line(XI, XI.map((xi) => xi ** -4), "low", 'stroke-width="1.5" stroke-dasharray="6 3"');
        law.line(XI, XI.map((xi) => rate(xi, size) / rate(1, size)), "theory", 'stroke-width="2.5"');
        law.text(6, 6 ** -2, "1/ξ²", 'dx="-4" dy="-8"');
        law.text(3.2, 3.2 ** -4, "1/ξ⁴", 'dx="-38" dy="8"');
        law.end();

        const width = parts.px(2 / BOX) - parts.px(1 / BOX) - 3;
        parts.begin();
        prices(network, size).forEach((part, i) => parts.bar(2 ** (i + 0.5) / BOX, 0, part, width, "theory", { style: 'stroke="none"' }));
        parts.end();

        const scale = Math.max(...points.map(([, y]) => Math.abs(y)), 0.01);
        const gap = (other) => Math.round((100 * Math.max(...between.map((y, i) => Math.abs(y - other[i])))) / scale);
        const plain = chosen(points, size, () => 0);
        const left = begins ? ` The initial function changes it by ${gap(inside.map(plain.at))} %.` : "";
        lab.status(`${points.length} points, initial weights ±${size}: distance ${gap(ghosts.linear)} % to the linear spline, ${gap(ghosts.cubic)} % to the cubic spline (largest difference, of the largest |y|).${left}`);
        clearTimeout(lab.soon);
        lab.soon = setTimeout(() => lab.say(lab.words.textContent), 700);
      }

      return { restart: async () => redraw(), redraw, chosen, prices, actions: { "Add a point": addBetween } };
    },
  });
})();
