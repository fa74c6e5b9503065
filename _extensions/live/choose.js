/* "Which function will it choose?": the end of training by the linear frequency principle, for points to drag. */
(() => {
  "use strict";
  const BOX = 24; // period of the box that stands for the real line, as in the lesson
  const LINE = Float64Array.from({ length: 241 }, (_, i) => -1 + i / 120);
  const XI = Array.from({ length: 41 }, (_, i) => 10 ** (-1 + i / 20));
  const NEAREST = 0.04; // of two points in x
  const MOST = 12;
  const POINTS = "-80,25;-60,-25;-30,-7;-6,15;10,-5"; // the lesson's five, in hundredths
  const { interpolate } = fpc.engine();
  const read = (text) =>
    text
      .split(";")
      .map((pair) => pair.split(",").map((value) => Number(value) / 100))
      .filter(([x, y]) => Math.abs(x) <= 1 && Math.abs(y) <= 1)
      .slice(0, MOST)
      .sort(([p], [q]) => p - q);
  const write = (points) => points.map((pair) => pair.map((value) => Math.round(100 * value)).join(",")).join(";");

  /* Sum of gamma^2(xi) cos(2 pi xi x) over xi = k / BOX, k = +-1, +-2, ...: by Bernoulli polynomials, for
     gamma^2 = (<w^2> + <a^2>) / xi^4 + 4 pi^2 <a^2 w^2> / xi^2 with a, w = +-size. */
  function kernel(x, size) {
    const t = Math.abs(x / BOX) % 1;
    const second = Math.PI ** 2 * (t * t - t + 1 / 6);
    const fourth = (-(Math.PI ** 4) / 3) * (t ** 4 - 2 * t ** 3 + t * t - 1 / 30);
    return 2 * (2 * size ** 2 * BOX ** 4 * fourth + 4 * Math.PI ** 2 * size ** 4 * BOX ** 2 * second);
  }

  function fit(points, size, at) {
    const pairs = (xs) => Float64Array.from([...xs].flatMap((x) => points.map(([z]) => kernel(x - z, size))));
    const x = points.map(([z]) => z);
    const y = Float64Array.from(points, ([, value]) => value);
    return interpolate(pairs(x), y, pairs(at), true);
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
        title: "the law: relative rate of each frequency",
        label: "Rates of the frequencies",
        height: 290,
        x: { label: "frequency", log: true, range: [0.1, 10] },
        y: { log: true, range: [1e-4, 1e4] },
      });
      lab.keys({ theory: "network, by the linear frequency principle", high: "linear spline", low: "cubic spline", target: "points" });
      space.svg.setAttribute("role", "group"); // it holds the handles
      const handles = document.createElementNS(space.svg.namespaceURI, "g");
      space.svg.append(handles);
      let points;

      /* Move a point, not beyond its neighbours. */
      function move(i, x, y) {
        const left = i ? points[i - 1][0] + NEAREST : -1;
        const right = i < points.length - 1 ? points[i + 1][0] - NEAREST : 1;
        points[i] = [fpc.clip(x, left, right), fpc.clip(y, -0.6, 0.6)];
        lab.set("points", write(points));
      }

      function remove(i) {
        if (points.length <= 2) return;
        points.splice(i, 1);
        lab.set("points", write(points));
      }

      function add(x, y) {
        if (points.length >= MOST || points.some(([z]) => Math.abs(z - x) < NEAREST)) return;
        points.push([x, y]);
        points.sort(([p], [q]) => p - q);
        lab.set("points", write(points));
      }

      function addBetween() {
        const gaps = points.slice(1).map(([x], i) => x - points[i][0]);
        const i = gaps.indexOf(Math.max(...gaps));
        const x = points[i][0] + gaps[i] / 2;
        add(x, fit(points, lab.state.size, [x])[0]);
      }

      function grip(i) {
        const handle = document.createElementNS(space.svg.namespaceURI, "circle");
        handle.setAttribute("r", 7);
        handle.setAttribute("class", "fpc-handle");
        handle.setAttribute("tabindex", 0);
        handle.setAttribute("role", "slider");
        handle.setAttribute("aria-valuemin", -0.6);
        handle.setAttribute("aria-valuemax", 0.6);
        handle.addEventListener("pointerdown", (event) => {
          handle.setPointerCapture(event.pointerId);
          event.stopPropagation();
        });
        handle.addEventListener("pointermove", (event) => {
          if (handle.hasPointerCapture(event.pointerId)) move(i, ...space.at(event));
        });
        handle.addEventListener("dblclick", (event) => {
          event.stopPropagation();
          remove(i);
        });
        handle.addEventListener("keydown", (event) => {
          const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
          if (dx || dy) {
            event.preventDefault();
            move(i, points[i][0] + 0.02 * dx, points[i][1] + 0.02 * dy);
          } else if (event.key === "Delete" || event.key === "Backspace") {
            event.preventDefault();
            remove(i);
            handles.children[Math.min(i, points.length - 1)].focus();
          }
        });
        return handle;
      }
      space.svg.addEventListener("dblclick", (event) => add(...space.at(event)));

      function placeHandles() {
        if (handles.children.length !== points.length) handles.replaceChildren(...points.map((_, i) => grip(i)));
        points.forEach(([x, y], i) => {
          const handle = handles.children[i];
          handle.setAttribute("cx", space.px(x).toFixed(1));
          handle.setAttribute("cy", space.py(y).toFixed(1));
          handle.setAttribute("aria-label", `point ${i + 1}`);
          handle.setAttribute("aria-valuenow", y.toFixed(2));
          handle.setAttribute("aria-valuetext", `x ${x.toFixed(2)}, y ${y.toFixed(2)}`);
        });
      }

      function redraw() {
        points = read(lab.state.points);
        if (points.length < 2) points = read(POINTS);
        const { size } = lab.state;
        const inside = LINE.filter((x) => x >= points[0][0] && x <= points[points.length - 1][0]);
        const ghosts = splines(points, inside);
        const between = fit(points, size, inside);
        space.begin();
        space.line(inside, ghosts.linear, "high", 'stroke-width="1.5" stroke-dasharray="6 3"');
        space.line(inside, ghosts.cubic, "low", 'stroke-width="1.5" stroke-dasharray="6 3"');
        space.line(LINE, fit(points, size, LINE), "theory", 'stroke-width="1.5" opacity="0.45"');
        space.line(inside, between, "theory", 'stroke-width="2.5"');
        space.end();
        placeHandles();

        const rate = (xi) => (2 * size ** 2) / xi ** 4 + (4 * Math.PI ** 2 * size ** 4) / xi ** 2;
        law.begin();
        law.line(XI, XI.map((xi) => xi ** -2), "high", 'stroke-width="1.5" stroke-dasharray="6 3"');
        law.line(XI, XI.map((xi) => xi ** -4), "low", 'stroke-width="1.5" stroke-dasharray="6 3"');
        law.line(XI, XI.map((xi) => rate(xi) / rate(1)), "theory", 'stroke-width="2.5"');
        law.text(6, 6 ** -2, "1/ξ²", 'dx="-4" dy="-8"');
        law.text(3.2, 3.2 ** -4, "1/ξ⁴", 'dx="-38" dy="8"');
        law.end();

        const scale = Math.max(...points.map(([, y]) => Math.abs(y)), 0.01);
        const gap = (ghost) => Math.round((100 * Math.max(...between.map((y, i) => Math.abs(y - ghost[i])))) / scale);
        lab.status(`${points.length} points, initial weights ±${size}: distance ${gap(ghosts.linear)} % to the linear spline, ${gap(ghosts.cubic)} % to the cubic spline (largest difference, of the largest |y|).`);
        clearTimeout(lab.soon);
        lab.soon = setTimeout(() => lab.say(lab.words.textContent), 700);
      }

      return { restart: async () => redraw(), redraw, fit, actions: { "Add a point": addBetween } };
    },
  });
})();
