/* "The matrix with holes": click entries to show them; gradient descent on A W fits these and fills the others. */
(() => {
  "use strict";
  const D = 4;
  const CELLS = Array.from({ length: D * D }, (_, i) => [Math.floor(i / D), i % D]);
  const MOST = 5000;
  const RATE = 0.05; // times the number of shown entries: the learning rate of the chapter
  const TREE = "1111100010001000";
  const CYCLE = "1100110000110010";
  const { generator, rank: rankOf } = fpc.engine();

  /* Factors of a target: entries of either sign, none of them small. */
  function factors(rank, seed) {
    const uniform = generator(seed + 11);
    const draw = () => (uniform() < 0.5 ? -1 : 1) * (0.75 + 0.6 * uniform());
    return [0, 1].map(() => Float64Array.from({ length: D * rank }, draw)); // a (D, rank), w (rank, D)
  }

  /* The number of parts of the graph that joins row i to column j for every shown entry. */
  function components(shown) {
    const part = Array.from({ length: 2 * D }, (_, i) => i);
    const root = (i) => (part[i] === i ? i : root(part[i]));
    CELLS.forEach(([i, j], at) => {
      if (shown[at]) part[root(i)] = root(D + j);
    });
    return part.filter((p, i) => p === i).length;
  }

  fpc.figure("matrix", {
    title: "The matrix with holes: click entries to show them",
    controls: {
      rank: { label: "rank", value: 1, values: [1, 2], list: true },
      std: { label: "init. scale", value: 1e-6, values: [1e-8, 1e-6, 1e-4, 0.01, 0.1, 0.5] },
      shown: { value: "1100010000100000", hidden: true },
      seed: { value: 0, hidden: true },
    },

    setup(lab) {
      const board = document.createElement("div");
      board.className = "fpc-board";
      board.setAttribute("role", "group");
      board.setAttribute("aria-label", "the matrix");
      const cells = CELLS.map(([i, j], at) => {
        const cell = document.createElement("button");
        cell.type = "button";
        cell.className = "fpc-cell";
        cell.append(document.createElement("b"), document.createElement("small"));
        cell.addEventListener("click", () => {
          const shown = [...lab.state.shown];
          shown[at] = shown[at] === "1" ? "0" : "1";
          begin(shown.join(""));
        });
        cell.place = `row ${i + 1}, column ${j + 1}`;
        board.append(cell);
        return cell;
      });
      lab.stage.append(board);
      const graph = lab.panel({
        title: "graph of the entries shown",
        label: "Rows and columns of the matrix, joined where an entry is shown",
        height: 270,
        margin: { left: 70, right: 70, top: 40, bottom: 16 },
        x: { range: [0, 1], bare: true },
        y: { range: [3, 0], bare: true },
      });
      const errors = lab.panel({
        title: "relative error",
        label: "Relative error of the entries shown and of the holes",
        wide: true,
        height: 190,
        margin: { right: 90 },
        x: { label: "step", log: true, range: [1, MOST] },
        y: { log: true, range: [1e-6, 3] },
      });
      lab.keys({ network: "entry shown", low: "hole, filled right", theory: "hole, filled wrong" });
      let target;
      let shown;
      let jacobian; // its rank
      let needed;
      let now;
      let history;

      function begin(pattern) {
        lab.set("shown", pattern);
        lab.play();
      }

      const relative = (pick) => {
        let [miss, size] = [0, 0];
        target.forEach((value, i) => {
          if (!pick(i)) return;
          miss += (now.outputs[i] - value) ** 2;
          size += value ** 2;
        });
        return size ? Math.sqrt(miss / size) : 0;
      };
      const right = (i) => Math.abs(now.outputs[i] - target[i]) < 0.02;

      function redraw() {
        if (!now) return;
        cells.forEach((cell, i) => {
          const value = now.outputs[i].toFixed(2).replace("-", "−").replace("−0.00", "0.00");
          const truth = target[i].toFixed(2).replace("-", "−");
          const kind = shown[i] ? "shown" : !now.step ? "hole" : right(i) ? "right" : "wrong";
          const words = { shown: `→ ${truth}`, hole: "?", right: "✓", wrong: "✗" }[kind];
          cell.className = `fpc-cell fpc-${kind}`;
          cell.firstChild.textContent = value;
          cell.lastChild.textContent = words;
          cell.setAttribute("aria-pressed", shown[i]);
          cell.setAttribute("aria-label", `${cell.place}: ${value}, ${kind === "shown" ? `shown, ${truth}` : kind === "hole" ? "hole" : `hole, ${kind}`}`);
        });

        graph.begin();
        CELLS.forEach(([i, j], at) => {
          if (shown[at]) graph.segment(0, i, 1, j, "network", 'stroke-width="2.5"');
        });
        for (let i = 0; i < D; i += 1) {
          graph.dots([0, 1], [i, i], "ink", 5);
          graph.text(0, i, `row ${i + 1}`, 'dx="-12" dy="4" text-anchor="end"');
          graph.text(1, i, `column ${i + 1}`, 'dx="12" dy="4"');
        }
        graph.end();

        errors.begin();
        const steps = history.map(({ step }) => Math.max(1, step));
        for (const [name, color, words] of [["seen", "network", "shown"], ["holes", "theory", "holes"]]) {
          const values = history.map((entry) => Math.max(entry[name], 1e-7));
          errors.line(steps, values, color, 'stroke-width="2.5"');
          const last = fpc.clip(values[values.length - 1], 1e-6, 3);
          if (now.step) errors.text(steps[steps.length - 1], last, words, 'dx="6" dy="4"');
        }
        errors.end();
        describe();
      }

      function describe() {
        const count = shown.filter(Boolean).length;
        const parts = components(shown);
        const wrong = CELLS.filter((_, i) => !shown[i] && !right(i)).length;
        const facts = `${count} of ${needed} entries that rank ${lab.state.rank} needs, Jacobian rank ${jacobian}, graph in ${parts} part${parts > 1 ? "s" : ""}`;
        let verdict = "";
        if (now.step >= MOST || settled()) {
          if (count === D * D) verdict = " Nothing is left to guess.";
          else if (wrong) verdict = ` ${wrong} hole${wrong > 1 ? "s are" : " is"} wrong.`;
          else verdict = ` Recovered${count === needed ? ", from as few entries as possible" : ""}.`;
        }
        lab.status(`Step ${now.step}: ${facts}.${verdict}`);
      }

      /* Nothing moves any more: what is shown is fitted. */
      const settled = () => now.step > 0 && history[history.length - 1].seen < 1e-6;

      function show(result) {
        now = result;
        history.push({ step: now.step, seen: relative((i) => shown[i]), holes: relative((i) => !shown[i]) });
        redraw();
      }

      function restart() {
        const { rank, seed, std } = lab.state;
        const [a, w] = factors(rank, seed);
        shown = Array.from(CELLS, (_, i) => lab.state.shown[i] === "1");
        target = new Float64Array(D * D);
        const rows = [];
        CELLS.forEach(([i, j], at) => {
          const row = new Float64Array(2 * D * rank); // the derivative of the entry by both factors
          for (let k = 0; k < rank; k += 1) {
            target[at] += a[i * rank + k] * w[k * D + j];
            row[i * rank + k] = w[k * D + j];
            row[D * rank + k * D + j] = a[i * rank + k];
          }
          if (shown[at]) rows.push(...row);
        });
        needed = rank * (2 * D - rank);
        jacobian = rankOf(rows, rows.length / (2 * D * rank), 2 * D * rank);
        history = [];
        const begun = target;
        return lab.call("factorization", { rows: D, columns: D, width: D, std, seed: seed + 1 }).then((result) => {
          if (begun === target) show(result);
        });
      }

      async function advance() {
        if (now.step >= MOST || settled() || !shown.some(Boolean)) return undefined;
        const steps = Math.min(MOST - now.step, 1 + Math.ceil(now.step / 25));
        return lab.call("train", { steps, rate: RATE, target, shown });
      }

      const actions = {
        "Seven entries": () => begin(TREE),
        "Seven others": () => begin(CYCLE),
        "Hide all": () => lab.set("shown", "0".repeat(D * D)),
        "Other target": () => lab.set("seed", lab.state.seed + 1),
      };
      return { restart, advance, show, redraw, actions };
    },
  });
})();
