/* "Train it yourself": a target mixed from sines or drawn, a network that learns it, and when it learned which mode. */
(() => {
  "use strict";
  const N = 101;
  const GRID = Float64Array.from({ length: N }, (_, j) => -Math.PI + (2 * Math.PI * j) / N);
  const POSITIONS = GRID.map((_, j) => j / N);
  const K = Array.from({ length: 11 }, (_, k) => k);
  const WAVES = { k1: 1, k3: 3, k5: 5, k9: 9 };
  const COLORS = ["low", "middle", "high", "theory", "network", "noise"];
  const RATES = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
  const USUAL = { Adam: 2e-3, "gradient descent": 0.05 };
  const MOST = 200_000;
  const REACH = 8; // of a drawn target
  const { nudft } = fpc.engine();
  const amplitude = (label, value) => ({ label, value, values: [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3] });

  fpc.figure("train", {
    title: "Train a network: the function, its spectrum and the learning time of each frequency",
    fold: "Network and training",
    controls: {
      k1: amplitude("sin x", 1),
      k3: amplitude("sin 3x", 1),
      k5: amplitude("sin 5x", 1),
      k9: amplitude("sin 9x", 0),
      activation: { label: "activation", value: "tanh", values: ["tanh", "relu", "sine"], show: (v) => (v === "relu" ? "ReLU" : v), more: true },
      scale: { label: "init. scale", value: 1, values: [0.01, 0.1, 0.3, 1, 3, 10], show: (v) => `× ${v}`, more: true },
      width: { label: "width", value: 64, values: [8, 16, 32, 64, 128], more: true },
      depth: { label: "hidden layers", value: 2, values: [1, 2, 3], more: true },
      optimizer: { label: "optimizer", value: "Adam", values: ["Adam", "gradient descent"], more: true },
      rate: { label: "learning rate", value: 2e-3, values: RATES, show: String, more: true },
      threshold: { label: "learned below", value: 0.3, values: [0.5, 0.3, 0.1, 0.05], show: (v) => `${100 * v} %`, more: true, live: true },
      seed: { value: 0, hidden: true },
      drawn: { value: "", hidden: true },
    },

    setup(lab) {
      const space = lab.panel({ title: "function (draw another target)", label: "The target and the network", x: { label: "x", range: [-Math.PI, Math.PI], ticks: [-3, -2, -1, 0, 1, 2, 3] }, y: { range: [-3, 3] } });
      const spectrum = lab.panel({ title: "spectrum, filled as it is learned", label: "Amplitude of each frequency", x: { label: "frequency k", range: [-0.6, 10.6], ticks: K.filter((k) => k % 2 === 0 || k < 10) }, y: { range: [0, 0.6] } });
      const race = lab.panel({ title: "learning times", label: "Learning time of each frequency", wide: true, height: 170, margin: { left: 58, right: 96 }, x: { label: "step", log: true, range: [1, 1000] }, y: { range: [0, 1], bare: true } });
      lab.keys({ target: "target", network: "network" });
      let y;
      let goal; // spectrum of the target
      let modes; // frequencies that the target has
      let now; // what the worker said last
      let history;

      function target() {
        if (lab.state.drawn) return fpc.decode(lab.state.drawn, N, REACH);
        return GRID.map((x) => Object.entries(WAVES).reduce((sum, [key, k]) => sum + lab.state[key] * Math.sin(k * x), 0));
      }

      /* The first recorded step from which the error stays below the threshold. */
      function learned(k) {
        let since = Infinity;
        for (const { step, errors } of history) {
          if (errors[k] >= lab.state.threshold) since = Infinity;
          else if (since === Infinity) since = step;
        }
        return since;
      }

      function drawSpace() {
        space.begin();
        space.line(GRID, y, "target", 'stroke-width="1.2" stroke-dasharray="2 3"');
        space.dots(GRID, y, "target", 1.4);
        if (now) space.line(GRID, now.outputs, "network", 'stroke-width="2.5"');
        space.end();
      }

      function redraw() {
        if (!now) return;
        drawSpace();
        const errors = history[history.length - 1].errors;
        const size = Math.min(22, (spectrum.px(1) - spectrum.px(0)) * 0.6);
        spectrum.begin();
        K.forEach((k) => {
          const color = modes.includes(k) ? COLORS[modes.indexOf(k)] : "noise";
          const full = Math.max(0, 1 - errors[k]) * goal[k];
          if (modes.includes(k)) spectrum.bar(k, 0, full, size, color, { style: 'stroke="none"' });
          spectrum.bar(k, 0, goal[k], size, color, { style: 'fill-opacity="0"' });
        });
        spectrum.dots(K, nudft(POSITIONS, now.outputs, K).abs, "network", 3);
        spectrum.end();
        const times = modes.map(learned);
        const decade = 10 ** Math.floor(Math.log10(Math.max(now.step, 999) + 1));
        const end = decade * [1, 2, 5, 10].find((factor) => factor * decade >= now.step);
        if (end !== race.x.range[1]) {
          race.x.range[1] = end;
          race.grid();
        }
        race.begin();
        modes.forEach((k, i) => {
          const place = 1 - (i + 0.5) / modes.length;
          const done = times[i] < Infinity;
          const to = Math.max(1, done ? times[i] : now.step);
          race.bar(place, 1, to, Math.min(16, 80 / modes.length), COLORS[i], { across: true, style: done ? "" : 'opacity="0.45"' });
          race.text(1, place, `k = ${k}`, 'dx="-8" dy="4" text-anchor="end"');
          race.text(to, place, done ? `step ${times[i]}` : `error ${Math.round(100 * Math.min(errors[k], 9.99))} %`, 'dx="8" dy="4"');
        });
        race.end();
        const words = modes.map((k, i) => (times[i] < Infinity ? `k = ${k} learned at step ${times[i]}` : `k = ${k} not yet`));
        const failed = Number.isFinite(now.loss ?? 0) ? "" : "Training diverges: choose a smaller learning rate. ";
        lab.status(`${failed}Step ${now.step}${now.loss ? `, loss ${fpc.short(now.loss)}` : ""}: ${words.join(", ")}.`);
      }

      function show(result) {
        now = result;
        const found = nudft(POSITIONS, now.outputs, K);
        const errors = K.map((k) => Math.hypot(found.re[k] - goal.re[k], found.im[k] - goal.im[k]) / goal[k]);
        history.push({ step: now.step, errors });
        redraw();
      }

      function restart() {
        y = target();
        const spectra = nudft(POSITIONS, y, K);
        goal = Object.assign([...spectra.abs], { re: spectra.re, im: spectra.im });
        const largest = Math.max(...goal, 1e-9);
        modes = K.filter((k) => goal[k] > 0.08 * largest).slice(0, COLORS.length);
        const reach = Math.max(1, 1.15 * y.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
        if (!lab.state.drawn || reach > space.y.range[1]) space.y.range = [-reach, reach];
        spectrum.y.range = [0, Math.max(0.2, 1.2 * largest)];
        [space, spectrum].forEach((panel) => panel.grid());
        history = [];
        const { width, depth, activation, scale, seed } = lab.state;
        const widths = [1, ...Array(depth).fill(width), 1];
        const begun = goal;
        return lab.call("network", { widths, activation, scale, seed, x: GRID, y }).then((result) => {
          if (begun === goal) show(result);
        });
      }

      async function advance() {
        const { errors, step } = history[history.length - 1];
        if (step >= MOST || (step && !Number.isFinite(now.loss)) || modes.every((k) => errors[k] < 0.01)) return undefined;
        const optimizer = lab.state.optimizer === "Adam" ? "adam" : "gd";
        return lab.call("train", { optimizer, rate: lab.state.rate, steps: 1 + Math.ceil(step / 40), ms: 22 });
      }

      lab.drawable(space, GRID, {
        values: () => y,
        preview(drawn) {
          y = drawn;
          drawSpace();
        },
        done: (drawn) => lab.set("drawn", fpc.encode(drawn, REACH)),
      });

      function changed(key) {
        if (key in WAVES) lab.state.drawn = "";
        if (key === "optimizer") lab.state.rate = USUAL[lab.state.optimizer];
      }
      const actions = { "Other weights": () => lab.set("seed", lab.state.seed + 1) };
      return { restart, advance, show, redraw, changed, actions };
    },
  });
})();
