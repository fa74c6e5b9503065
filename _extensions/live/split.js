/* "Split and kick": a minimum of two neurons, one of them split in two, and a walker that leaves the saddle. */
(() => {
  "use strict";
  const N = 20;
  const X = Float64Array.from({ length: N }, (_, i) => -2 + (4 * i) / (N - 1));
  // the lesson's noisy measurements of tanh(1.5 (x + 1)) - 0.8 tanh(2 (x - 0.7))
  const Y = [
    -0.086, -0.049, 0.195, 0.313, 0.486, 0.931, 1.366, 1.541, 1.440, 1.421,
    1.501, 1.485, 0.898, 0.897, 0.441, 0.308, 0.220, 0.198, 0.282, 0.365,
  ];
  const LINE = Float64Array.from({ length: 81 }, (_, i) => -2 + i / 20);
  const RATE = 0.5;
  const MOST = 50_000;
  const REACH = 0.6; // of the cut
  const { solve, eigen } = fpc.engine();

  /* Parameters are {w, b, a} of each neuron, one after another. */
  const output = (theta, x) => {
    let sum = 0;
    for (let j = 0; j < theta.length; j += 3) sum += theta[j + 2] * Math.tanh(theta[j] * x + theta[j + 1]);
    return sum;
  };
  const loss = (theta) => X.reduce((sum, x, i) => sum + (output(theta, x) - Y[i]) ** 2, 0) / (2 * N);

  function gradient(theta) {
    const g = new Float64Array(theta.length);
    for (let i = 0; i < N; i += 1) {
      const residual = (output(theta, X[i]) - Y[i]) / N;
      for (let j = 0; j < theta.length; j += 3) {
        const t = Math.tanh(theta[j] * X[i] + theta[j + 1]);
        const slope = residual * theta[j + 2] * (1 - t * t);
        g[j] += slope * X[i];
        g[j + 1] += slope;
        g[j + 2] += residual * t;
      }
    }
    return g;
  }

  /* The Hessian of the loss. */
  function hessian(theta) {
    const size = theta.length;
    const full = new Float64Array(size * size);
    for (let i = 0; i < N; i += 1) {
      const x = X[i];
      const residual = output(theta, x) - Y[i];
      const first = new Float64Array(size);
      for (let j = 0; j < size; j += 3) {
        const t = Math.tanh(theta[j] * x + theta[j + 1]);
        const slope = 1 - t * t;
        const bend = -2 * t * slope * theta[j + 2];
        first.set([theta[j + 2] * slope * x, theta[j + 2] * slope, t], j);
        const second = [bend * x * x, bend * x, slope * x, bend * x, bend, slope, slope * x, slope, 0];
        second.forEach((value, at) => {
          full[(j + Math.floor(at / 3)) * size + j + (at % 3)] += (residual * value) / N;
        });
      }
      for (let p = 0; p < size; p += 1) {
        for (let q = 0; q < size; q += 1) full[p * size + q] += (first[p] * first[q]) / N;
      }
    }
    return full;
  }

  /* The minimum of two neurons, to the last digit by Newton's steps. */
  function minimum() {
    let theta = Float64Array.from([1.73, 1.914, 0.936, 2.254, -1.395, -0.716]);
    for (let step = 0; step < 6; step += 1) {
      const [move] = solve(hessian(theta), gradient(theta));
      theta = theta.map((value, i) => value - move[i]);
    }
    return theta;
  }

  /* G, of which alpha (1 - alpha) G is the Hessian for pulling the copies of a neuron apart. */
  function curvature(theta, neuron) {
    const [w, b, a] = theta.slice(3 * neuron, 3 * neuron + 3);
    const g = [0, 0, 0, 0];
    X.forEach((x, i) => {
      const t = Math.tanh(w * x + b);
      const weight = (a * (output(theta, x) - Y[i]) * -2 * t * (1 - t * t)) / N;
      [x * x, x, x, 1].forEach((value, at) => (g[at] += weight * value));
    });
    const { values, vectors } = eigen(g, 2);
    return [1, 0].map((i) => ({ value: values[i], e: vectors[i] })); // lowest first
  }

  fpc.figure("split", {
    title: "Split a neuron of a minimum in two, kick, and see whether when gradient descent leaves",
    play: "Kick",
    controls: {
      alpha: { label: "share α of the copy", value: 0.5, values: [-0.4, -0.2, 0, 0.1, 0.3, 0.5, 0.7, 0.9, 1, 1.2, 1.4], show: fpc.short },
      neuron: { label: "neuron to split", value: 1, values: [1, 2], list: true },
      direction: { label: "kick along", value: "e₁, lowest", values: ["e₁, lowest", "e₂, highest"] },
      kick: { label: "size of the kick", value: 0.05, values: [0.01, 0.02, 0.05, 0.1, 0.2], show: String },
    },

    setup(lab) {
      const narrow = minimum();
      const least = loss(narrow);
      const flat = { height: 230 };
      const space = lab.panel({ ...flat, title: "the function", x: { label: "x", range: [-2, 2] }, y: { range: [-1.5, 2.2] } });
      const decades = [-1, -1e-2, -1e-4, 0, 1e-4, 1e-2, 1];
      const folded = (value) => (Math.abs(value) < 1e-6 ? 0 : Math.sign(value) * (6 + Math.log10(Math.abs(value))));
      const name = (v) => (v % 1 ? `${v < 0 ? "−" : ""}${fpc.power(Math.round(Math.log10(Math.abs(v))))}` : fpc.short(v));
      const spectrum = lab.panel({
        ...flat,
        title: "eigenvalues of the Hessian",
        x: { range: [-6.5, 7], ticks: decades.map(folded), names: Object.fromEntries(decades.map((v) => [folded(v), name(v)])) },
        y: { range: [-0.6, 1.6], ticks: [0, 1], names: { 0: "2", 1: "3" }, label: "neurons" },
      });
      const cut = lab.panel({ ...flat, title: "loss above the split, in 10⁻⁵", label: "A cut through the landscape", x: { label: "s: copies apart", range: [-REACH, REACH] }, y: { range: [-10, 10] } });
      const distance = lab.panel({ ...flat, title: "distance of the copies", x: { label: "step", log: true, range: [1, MOST] }, y: { log: true, range: [1e-4, 10] } });
      lab.keys({ network: "network", theory: "walker", noise: "parabola α(1 − α)λs²/2, and two neurons", target: "data" });
      let chosen; // {value, e}
      let inertia;
      let now; // {step, theta, loss} that is drawn
      let ahead; // and that is computed
      let history;
      let left; // the step at which the walker left

      /* Neurons 0 and 2 share the split one, s apart along e; weighted so that their mean stays. */
      function apart(s) {
        const { alpha, neuron } = lab.state;
        const [w, b, a] = narrow.slice(3 * neuron - 3, 3 * neuron);
        const other = narrow.slice(6 - 3 * neuron, 9 - 3 * neuron);
        const [dw, db] = [s * chosen.e[0], s * chosen.e[1]];
        return Float64Array.from([
          ...[w + alpha * dw, b + alpha * db, (1 - alpha) * a],
          ...other,
          ...[w - (1 - alpha) * dw, b - (1 - alpha) * db, alpha * a],
        ]);
      }

      const pulled = () => [now.theta[0] - now.theta[6], now.theta[1] - now.theta[7]];
      const count = (values) => [values.filter((v) => v > 1e-9).length, values.filter((v) => Math.abs(v) <= 1e-9).length, values.filter((v) => v < -1e-9).length];

      function redraw() {
        if (!now) return;
        space.begin();
        space.dots(X, Y, "target", 2);
        space.line(LINE, LINE.map((x) => output(narrow, x)), "noise", 'stroke-width="5" opacity="0.5"');
        space.line(LINE, LINE.map((x) => output(now.theta, x)), "network");
        space.end();

        spectrum.begin();
        [inertia.before, inertia.after].forEach((values, row) => {
          for (const value of values) {
            const color = Math.abs(value) <= 1e-9 ? "noise" : value < 0 ? "high" : "low";
            spectrum.dots([folded(value)], [row], color, 5, 'opacity="0.75"');
          }
        });
        spectrum.end();

        const s = Array.from({ length: 61 }, (_, i) => (REACH * (i - 30)) / 30);
        const heights = s.map((at) => 1e5 * (loss(apart(at)) - least));
        const { alpha } = lab.state;
        cut.begin();
        cut.line(s, s.map((at) => (1e5 * alpha * (1 - alpha) * chosen.value * at * at) / 2), "noise", 'stroke-width="5" opacity="0.5"');
        cut.line(s, heights, "network");
        const [dw, db] = pulled();
        const place = dw * chosen.e[0] + db * chosen.e[1];
        const height = 1e5 * (now.loss - least);
        if (Math.abs(place) <= REACH && height >= cut.y.range[0]) cut.dots([place], [height], "theory", 6);
        cut.end();

        distance.begin();
        distance.line(history.map(({ step }) => Math.max(1, step)), history.map(({ gap }) => Math.max(gap, 1e-5)), "theory", 'stroke-width="2.5"');
        distance.end();
        const gap = history[history.length - 1].gap;
        const [up, zero, down] = count(inertia.after);
        const words = left < Infinity ? ` It left at step ${left}: the copies are ${fpc.short(gap)} apart and the loss has fallen.` : now.step ? ` Step ${now.step}, copies ${fpc.short(gap)} apart.` : "";
        lab.status(`α = ${fpc.short(alpha)}: ${up} positive, ${zero} zero, ${down} negative eigenvalues (two neurons: 6, 0, 0). The kick meets the curvature ${fpc.short(alpha * (1 - alpha) * chosen.value)}.${words}`);
      }

      function show(result) {
        now = result;
        const gap = Math.hypot(...pulled());
        history.push({ step: now.step, gap });
        if (left === Infinity && gap > 3 * lab.state.kick && now.loss < least - 1e-7) left = now.step;
        redraw();
      }

      async function restart() {
        const { alpha, neuron, direction, kick } = lab.state;
        const both = curvature(narrow, neuron - 1);
        chosen = both[direction.startsWith("e₁") ? 0 : 1];
        if (chosen.e[0] < 0) chosen.e = chosen.e.map((value) => -value);
        inertia = { before: eigen(hessian(narrow), 6).values, after: eigen(hessian(apart(0)), 9).values };
        const reach = Math.max(1, 1.2 * 1e5 * Math.max(...[-REACH, REACH].map((s) => Math.abs(loss(apart(s)) - least)), (0.25 * Math.abs(alpha * (1 - alpha) * chosen.value) * REACH ** 2)));
        cut.y.range = [-reach, reach];
        cut.grid();
        const theta = apart(kick);
        history = [];
        left = Infinity;
        ahead = { step: 0, theta, loss: loss(theta) };
        show(ahead);
      }

      /* Twenty points and three neurons: the page itself takes these steps, some milliseconds at a time. */
      async function advance() {
        const { gap } = history[history.length - 1];
        if (now.step >= MOST || now.step > 4 * left || gap > 6) return undefined;
        const steps = 1 + Math.ceil(now.step / 25);
        const end = performance.now() + 9;
        let { step } = ahead;
        const place = ahead.theta.slice();
        for (let s = 0; s < steps && performance.now() < end; s += 1) {
          const g = gradient(place);
          for (let i = 0; i < 9; i += 1) place[i] -= RATE * g[i];
          step += 1;
        }
        ahead = { step, theta: place, loss: loss(place) };
        return ahead;
      }

      return { restart, advance, show, redraw, spectra: () => inertia };
    },
  });
})();
