/* "Five points, two models": a polynomial with a thousand coefficients in closed form, and a network that trains. */
(() => {
  "use strict";
  const COUNT = 1000; // coefficients, and weights and biases
  const WIDTH = 333;
  const MOST = 20_000;
  const LINE = Float64Array.from({ length: 201 }, (_, i) => -1 + i / 100);
  const M = 3001; // the polynomial is taken at the angles pi j / M: three points for each of its oscillations
  const COSINE = Float64Array.from({ length: 2 * M }, (_, i) => Math.cos((Math.PI * i) / M));
  const { solve } = fpc.engine();

  /* {xs, ys} of the polynomial in Chebyshev form through the points with the smallest sum of ((1 + k)^p c_k)^2: what
     gradient descent from zero finds, with columns scaled by (1 + k)^-p. */
  function polynomial(points, p) {
    const n = points.length;
    const own = points.map(([x]) => Float64Array.from({ length: COUNT }, (_, k) => Math.cos(k * Math.acos(x)) / (1 + k) ** p));
    const kernel = Float64Array.from({ length: n * n }, (_, at) => {
      const [u, v] = [own[Math.floor(at / n)], own[at % n]];
      return u.reduce((sum, value, k) => sum + value * v[k], 0);
    });
    const [weights] = solve(kernel, points.map(([, y]) => y));
    const coefficients = own[0].map((_, k) => own.reduce((sum, row, i) => sum + weights[i] * row[k], 0) / (1 + k) ** p);
    const ys = new Float64Array(M + 1);
    for (let j = 0; 2 * j <= M; j += 1) {
      let even = 0;
      let odd = 0;
      const wrapped = (at) => (at >= 2 * M ? at - 2 * M : at);
      for (let k = 0, at = 0; k < COUNT; k += 2) {
        even += coefficients[k] * COSINE[at];
        at = wrapped(at + j);
        odd += coefficients[k + 1] * COSINE[at];
        at = wrapped(at + j);
      }
      ys[M - j] = even + odd; // from x = -1 to 1
      ys[j] = even - odd;
    }
    return { xs: ys.map((_, j) => -COSINE[j]), ys };
  }

  /* Of all points above one pixel the lowest and the highest: all that a line shows of them. */
  function thinned({ xs, ys }, pixel) {
    const kept = [];
    for (let i = 0; i < xs.length; ) {
      let [low, high] = [i, i];
      const column = Math.round(pixel(xs[i]));
      for (; i < xs.length && Math.round(pixel(xs[i])) === column; i += 1) {
        if (ys[i] < ys[low]) low = i;
        if (ys[i] > ys[high]) high = i;
      }
      kept.push(...(low === high ? [low] : [low, high].sort((p, q) => p - q)));
    }
    return [kept.map((i) => xs[i]), kept.map((i) => ys[i])];
  }

  const variation = (values) => values.reduce((sum, value, i) => sum + (i ? Math.abs(value - values[i - 1]) : 0), 0);

  fpc.figure("points", {
    title: "Five points, two models with a thousand parameters: drag the points",
    controls: {
      p: { label: "polynomial's preference p", value: 0, values: [0, 0.25, 0.5, 0.75, 1, 1.5, 2], live: true },
      scale: { label: "network's init. scale", value: 1, values: [1, 3, 10, 20], show: (v) => `× ${v}` },
      points: { value: "-100,-50;-50,-125;0,0;50,125;100,50", hidden: true },
      seed: { value: 0, hidden: true },
    },

    setup(lab) {
      const panel = (title) =>
        lab.panel({ title, height: 290, x: { label: "x", range: [-1, 1] }, y: { range: [-2.5, 2.5], ticks: [-2, -1, 0, 1, 2] } });
      const begin = (text) => {
        lab.set("points", text);
        lab.play();
      };
      const left = panel("polynomial of degree 999");
      const right = panel("network of 333 neurons");
      const [handles, others] = [left, right].map((at) => lab.handles(at, { most: 8, nearest: 0.08, change: begin }));
      lab.keys({ high: "polynomial", network: "network", target: "points" });
      let curve;
      let now;

      function redraw() {
        const points = handles.read();
        curve = polynomial(points, lab.state.p);
        left.begin();
        left.line(...thinned(curve, left.px), "high", 'stroke-width="1.2"');
        left.end();
        handles.place();
        draw();
      }

      function draw() {
        others.place();
        if (!now) return;
        right.begin();
        right.line(LINE, now.line, "network", 'stroke-width="2.5"');
        right.end();
        const least = Math.max(1e-9, variation(handles.read().map(([, y]) => y)));
        const ratio = (values) => fpc.short(variation(values) / least);
        const loss = now.loss === undefined ? "" : `, loss ${fpc.short(now.loss)}`;
        lab.status(`Total variation, in units of the smallest possible: polynomial ${ratio(curve.ys)}, network ${ratio(now.line)} (step ${now.step}${loss}).`);
      }

      async function show(result) {
        now = result;
        draw();
      }

      const seen = async (result) => ({ ...result, line: await lab.call("evaluate", { x: LINE }) });

      async function restart(playing) {
        const points = handles.read();
        const { scale, seed } = lab.state;
        const [x, y] = [0, 1].map((i) => points.map((point) => point[i]));
        const made = lab.call("network", { widths: [1, WIDTH, 1], scale, seed, x, y }).then(seen);
        redraw();
        const first = await made;
        // while a point is dragged each picture would be that of the untrained network
        if (!playing || !now) show(first);
        else now = { ...now, step: 0, loss: 1 };
      }

      async function advance() {
        if (now.step >= MOST || (now.step && now.loss < 1e-7)) return undefined;
        const steps = Math.max(60, Math.ceil(now.step / 25));
        return seen(await lab.call("train", { optimizer: "adam", rate: 0.3 / WIDTH, steps, ms: 20 }));
      }

      return { restart, advance, show, redraw, actions: { "Other weights": () => lab.set("seed", lab.state.seed + 1) } };
    },
  });
})();
