/* "Condensation laboratory": the neurons of a ReLU network in one dimension, from small or large initial weights. */
(() => {
  "use strict";
  const M = 100;
  const N = 40;
  const REACH = 0.3;
  const GRID = Float64Array.from({ length: N }, (_, i) => -1 + (2 * i) / (N - 1));
  const LINE = Float64Array.from({ length: 121 }, (_, i) => -1 + i / 60);
  const AIMS = [Math.atan2(-1 / 3, 1), Math.atan2(-1 / 3, -1)]; // directions of the default target's neurons
  const relu = (z) => Math.max(z, 0);
  const USUAL = GRID.map((x) => 0.2 * relu(x - 1 / 3) + 0.2 * relu(-x - 1 / 3));
  const BIN = 5; // degrees
  const MOST = 300_000;
  const PLACES = [
    ["NTK", 0.5, 0, 'dx="-8" dy="16" text-anchor="middle"'],
    ["LeCun, He", 0.5, 0.5, 'dx="-8" dy="-9"'],
    ["Xavier, mean field", 1, 0, 'dx="9" dy="4"'],
  ];
  const STEP = 0.25; // on the plane of gamma and gamma'
  const steps = (from, to) => Array.from({ length: (to - from) / STEP + 1 }, (_, i) => from + i * STEP);
  const { normals } = fpc.engine();

  /* The standard deviations of a and of (w, b): their product is M^-gamma, their ratio M^-gamma'. */
  const scales = (gamma, prime) => [-1, 1].map((sign) => M ** ((sign * prime - gamma) / 2));

  /* The theorem of Luo et al. for M to infinity: fpcourse's neurons.predicted_slope has this sign. */
  function regime(gamma, prime) {
    if (gamma < 1 || prime > gamma - 1) return "linear";
    return gamma === 1 || prime === gamma - 1 ? "critical" : "condensed";
  }

  /* w, b, a from normal distributions, in pairs of opposite a, so that f = 0 at first; balanced: |a| = |(w, b)|. */
  function initial([outer, inner], balanced, seed) {
    const normal = normals(seed);
    const parameters = new Float64Array(3 * M);
    for (let j = 0; j < M / 2; j += 1) {
      const [w, b, draw] = [normal(), normal(), normal()];
      const a = balanced ? Math.sign(draw) * Math.hypot(w, b) : draw;
      [w, b, a].forEach((value, i) => {
        parameters[i * M + j] = (i === 2 ? outer : inner) * value;
        parameters[i * M + j + M / 2] = (i === 2 ? -outer : inner) * value;
      });
    }
    return parameters;
  }

  fpc.figure("condense", {
    title: "A hundred ReLU neurons: their directions and amplitudes during training",
    controls: {
      gamma: { label: "γ", value: 3, values: steps(0, 4), show: (v) => `${v}: ε = ${fpc.short(M ** (-v / 2))}` },
      prime: { label: "γ′", value: 0, values: steps(-1, 1), show: (v) => `${fpc.short(v)}: β₁ / β₂ = ${fpc.short(M ** -v)}` },
      balanced: { label: "balanced, |a| = |(w, b)|: q = 0", value: false },
      optimizer: { label: "optimizer", value: "gradient descent", values: ["gradient descent", "Adam"] },
      seed: { value: 0, hidden: true },
      drawn: { value: "", hidden: true },
    },

    setup(lab) {
      const circle = lab.panel({
        title: "neurons: amplitude along (w, b)",
        label: "Neurons as spokes",
        square: true,
        margin: { left: 16, right: 16, top: 28, bottom: 22 },
        x: { range: [-1.15, 1.15], bare: true },
        y: { range: [-1.15, 1.15], bare: true },
      });
      const space = lab.panel({
        title: "function (draw another target)",
        label: "The target and the network",
        height: 320,
        x: { label: "x", range: [-1, 1] },
        y: { range: [-0.15, 0.25] },
      });
      const angles = lab.panel({
        title: "amplitude in each direction",
        label: "Amplitude in each direction",
        x: { label: "direction of (w, b), degrees", range: [-180, 180], ticks: [-180, -90, 0, 90, 180] },
        y: { range: [0, 1], ticks: [0, 0.5, 1] },
      });
      const power = (exponent) => `<tspan dy="-5" font-size="10">${exponent}</tspan>`;
      const plane = lab.panel({
        title: "drag a ~ N(0, β₁²) and w, b ~ N(0, β₂²)",
        label: "The plane of γ and γ′ with its regimes",
        x: { label: `γ, with m = ${M} and β₁β₂ = ε² = m${power("−γ")}`, range: [0, 4] },
        y: { label: "γ′ = ln(β₂ / β₁) / ln m", range: [-1.1, 1.1], ticks: [-1, 0, 1] },
      });
      const { gamma: across, prime: up } = lab.definition.controls;
      const nearest = ({ values }, wanted) => fpc.clip(Math.round(wanted / STEP) * STEP, values[0], values[values.length - 1]);

      /* To the nearest point of the grid. */
      function move(gamma, prime) {
        const [x, y] = [nearest(across, gamma), nearest(up, prime)];
        if (x === lab.state.gamma && y === lab.state.prime) return;
        lab.state.gamma = x;
        lab.set("prime", y);
      }

      const names = PLACES.map(([name, gamma, prime, style]) => {
        const place = fpc.shape("g", { class: "fpc-named", tabindex: 0, role: "button", "aria-label": `${name}: γ = ${gamma}, γ′ = ${prime}` });
        place.innerHTML = `<circle r="4.5"/><text ${style}>${name}</text>`;
        place.addEventListener("click", () => move(gamma, prime));
        place.addEventListener("keydown", (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          move(gamma, prime);
        });
        return place;
      });
      const handle = lab.grip(plane, "γ and γ′", move, (dx, dy) => move(lab.state.gamma + dx * STEP, lab.state.prime + dy * STEP));
      plane.svg.append(...names, handle);

      function drawPlane() {
        const { gamma, prime } = lab.state;
        plane.begin();
        plane.line([1, 1, 2.1], [-1.1, 0, 1.1], "target", 'stroke-width="1.5" stroke-dasharray="6 4"');
        plane.text(0.5, -0.8, "linear", 'text-anchor="middle" font-style="italic"');
        plane.text(2.5, -0.8, "condensed", 'text-anchor="middle" font-style="italic"');
        plane.end();
        names.forEach((place, i) => {
          const [, x, y] = PLACES[i];
          place.setAttribute("transform", `translate(${plane.px(x).toFixed(1)},${plane.py(y).toFixed(1)})`);
        });
        lab.hold(handle, plane, gamma, prime, `γ ${gamma}, γ′ ${prime}: ${regime(gamma, prime)}`, "x");
      }

      lab.keys({ network: "a > 0 (and the network)", high: "a < 0", noise: "dead: zero on all data", theory: "neurons of the target", target: "data" });
      let y;
      let now;
      let square; // mean of y^2
      let begin; // parameters

      function neurons() {
        return Array.from({ length: M }, (_, j) => {
          const [w, b, a] = [0, 1, 2].map((i) => now.parameters[i * M + j]);
          return { angle: Math.atan2(b, w), amplitude: Math.abs(a) * Math.hypot(w, b), a, dead: b <= -Math.abs(w) };
        });
      }

      function drawSpace() {
        space.begin();
        space.dots(GRID, y, "target", 2.2);
        if (now) {
          const { parameters: p } = now;
          const f = LINE.map((x) => {
            let sum = 0;
            for (let j = 0; j < M; j += 1) sum += p[2 * M + j] * relu(p[j] * x + p[M + j]);
            return sum;
          });
          space.line(LINE, f, "network", 'stroke-width="2.5"');
        }
        space.end();
      }

      function redraw() {
        drawPlane();
        if (!now) return;
        drawSpace();
        const all = neurons();
        const largest = Math.max(...all.map(({ amplitude }) => amplitude));
        const total = all.reduce((sum, { amplitude }) => sum + amplitude, 0);
        const color = ({ a, dead }) => (dead ? "noise" : a > 0 ? "network" : "high");
        circle.begin();
        const ring = Array.from({ length: 73 }, (_, i) => (i * Math.PI) / 36);
        circle.line(ring.map(Math.cos), ring.map(Math.sin), "soft", 'stroke-width="1"');
        circle.text(1, 0, "w", 'dx="4" dy="4"');
        circle.text(0, 1, "b", 'dx="-3" dy="-5"');
        const marks = lab.state.drawn ? [] : AIMS;
        for (const aim of marks) {
          const [x, z] = [1.1 * Math.cos(aim), 1.1 * Math.sin(aim)];
          circle.segment(0, 0, x, z, "theory", 'stroke-width="1.5" stroke-dasharray="5 4"');
        }
        for (const shade of ["noise", "high", "network"]) {
          const some = all.filter((neuron) => color(neuron) === shade);
          const xs = some.map(({ amplitude, angle }) => (amplitude / largest) * Math.cos(angle));
          const zs = some.map(({ amplitude, angle }) => (amplitude / largest) * Math.sin(angle));
          circle.spokes(xs, zs, shade, 'stroke-width="1.2" opacity="0.7"');
          circle.dots(xs, zs, shade, 2.6);
        }
        circle.end();

        const degrees = ({ angle }) => (180 * angle) / Math.PI;
        const bins = new Float64Array(360 / BIN);
        for (const neuron of all) bins[Math.floor(((degrees(neuron) + 180) % 360) / BIN)] += neuron.amplitude / total;
        angles.begin();
        for (const aim of marks) angles.segment((180 * aim) / Math.PI, 0, (180 * aim) / Math.PI, 1, "theory", 'stroke-width="1.5" stroke-dasharray="5 4"');
        bins.forEach((part, i) => {
          const width = angles.px(BIN) - angles.px(0) - 1;
          if (part > 1e-4) angles.bar((i + 0.5) * BIN - 180, 0, part, width, "network", { style: 'stroke="none"' });
        });
        angles.end();

        const ranked = [...bins].sort((p, q) => q - p);
        let held = 0;
        const needed = ranked.findIndex((part) => (held += part) > 0.9) + 1;
        const gap = (angle, aim) => Math.abs(Math.atan2(Math.sin(angle - aim), Math.cos(angle - aim)));
        const near = all.filter(({ angle }) => AIMS.some((aim) => gap(angle, aim) < Math.PI / 18));
        const part = near.reduce((sum, { amplitude }) => sum + amplitude, 0) / total;
        const loss = (2 * (now.loss ?? square / 2)) / square;
        const aimed = lab.state.drawn ? "" : `, ${Math.round(100 * part)} % of it within 10° of the target's two directions`;
        const dead = all.filter((neuron) => neuron.dead).length;
        const { gamma, prime } = lab.state;
        const input = (values) => Math.hypot(...values.slice(0, 2 * M));
        const moved = fpc.short(input(now.parameters.map((value, i) => value - begin[i])) / input(begin));
        lab.status(`Step ${now.step}, relative loss ${fpc.short(100 * loss)} %; ${regime(gamma, prime)} regime: the input weights have moved by ${moved} of their initial norm. 90 % of the amplitude lies in ${needed} of ${360 / BIN} bins of ${BIN}°${aimed}; ${dead} of ${M} neurons are dead.`);
      }

      function show(result) {
        now = result;
        redraw();
      }

      function restart() {
        const { drawn, gamma, prime, balanced, seed } = lab.state;
        y = drawn ? fpc.decode(drawn, N, REACH) : USUAL;
        square = Math.max(1e-9, y.reduce((sum, value) => sum + value * value, 0) / N);
        const range = drawn ? [-REACH, REACH] : [-0.15, 0.25];
        if (String(range) !== String(space.y.range)) {
          space.y.range = range;
          space.grid();
        }
        const parameters = (begin = initial(scales(gamma, prime), balanced, seed));
        return lab.call("network", { widths: [1, M, 1], activation: "relu", bias: false, parameters, x: GRID, y }).then((result) => {
          if (begin === parameters) show(result);
        });
      }

      async function advance() {
        const { step, loss } = now;
        if (step >= MOST || (step && !((2 * loss) / square > 0.003))) return undefined;
        const adam = lab.state.optimizer === "Adam";
        const [outer, inner] = scales(lab.state.gamma, lab.state.prime);
        const rate = adam ? 1e-3 : Math.min(1, 1 / (M * (outer ** 2 + inner ** 2)));
        return lab.call("train", { optimizer: adam ? "adam" : "gd", rate, steps: 1 + Math.ceil(step / 40), ms: 22 });
      }

      lab.drawable(space, GRID, {
        values: () => y,
        preview(drawn) {
          y = drawn;
          now = undefined;
          drawSpace();
        },
        done: (drawn) => lab.set("drawn", fpc.encode(drawn, REACH)),
      });

      /* Balanced neurons have gamma' = 0. */
      function changed(key) {
        if (lab.state.balanced && key === "balanced") lab.state.prime = 0;
        if (lab.state.prime) lab.state.balanced = false;
      }
      changed();

      return { restart, advance, show, redraw, changed, regime, parameters: () => begin, actions: { "Other weights": () => lab.set("seed", lab.state.seed + 1) } };
    },
  });
})();
