/* The frame of the figures that train in the page: controls, panels, the address, and when to train.

   A page holds <div class="fpc-lab" data-figure="name" data-state="{...}"> with a poster in it, which print and readers
   without JavaScript see. The script of a figure calls fpc.figure(name, definition); a definition has

   title     what the figure is, for readers who do not see it
   controls  {key: {label, value, values or check or hidden, show, more, live}}: a list to choose from (values that are
             text), a slider (values that are numbers) or a switch; `more` stands in a fold; one that is `live` redraws,
             every other one starts anew
   setup     lab => {restart, advance, show, redraw}: restart(playing) makes the model and draws it; advance() is a
             promise of the next result, or of undefined at the end; show(result) draws it

   The state of a figure stands in the address, #live-name?key=value&..., as far as it differs from its defaults. */
(() => {
  "use strict";
  const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
  const SVG = "http://www.w3.org/2000/svg";
  const definitions = {};
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const clip = (value, from, to) => Math.min(to, Math.max(from, value));

  function make(name, properties = {}, ...children) {
    const { className, ...rest } = properties;
    const element = Object.assign(document.createElement(name), rest);
    if (className) element.className = className;
    element.append(...children);
    return element;
  }

  /* Part of a drawing. */
  function shape(name, attributes = {}) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const power = (n) => `10${[...String(n)].map((digit) => SUPERSCRIPTS[digit]).join("")}`;

  /* A number as a reader writes it. */
  function short(value) {
    if (!Number.isFinite(value)) return "∞";
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) {
      const exponent = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
      const digits = Number((value / 10 ** exponent).toPrecision(2));
      return `${digits === 1 ? "" : `${String(digits).replace("-", "−")} · `}${power(exponent)}`;
    }
    return String(Number(value.toPrecision(3))).replace("-", "−");
  }

  /* A drawn curve in the address: each value, between -reach and reach, in two letters. */
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const encode = (y, reach) =>
    Array.from(y, (value) => {
      const level = Math.round(clip((value / reach + 1) / 2, 0, 1) * 4094); // even, so that 0 is exact
      return LETTERS[level >> 6] + LETTERS[level & 63];
    }).join("");
  const decode = (text, n, reach) =>
    Float64Array.from({ length: n }, (_, j) => {
      const [high, low] = [0, 1].map((i) => LETTERS.indexOf(text[2 * j + i]));
      return high < 0 || low < 0 ? 0 : (((64 * high + low) / 4094) * 2 - 1) * reach;
    });

  /* A plot in SVG, one unit a pixel at any width. Draw between begin() and end(); axes: {label, range, log, ticks}. */
  class Panel {
    constructor(stage, { title, label = title, height = 230, wide = false, x, y, square = false, margin = {} }) {
      Object.assign(this, { title, height, x, y, square, stage });
      this.margin = { left: 46, right: 14, top: title ? 24 : 8, bottom: 38, ...margin };
      this.room = { ...this.margin };
      this.svg = shape("svg", { role: "img", "aria-label": label });
      if (wide) this.svg.classList.add("fpc-wide");
      for (const layer of ["axes", "marks"]) {
        this[layer] = shape("g");
        this.svg.append(this[layer]);
      }
      stage.append(this.svg);
    }

    resize(width) {
      this.width = Math.max(240, width);
      if (this.square) {
        const { left, right, top, bottom } = this.room;
        const side = Math.min(this.width - left - right, 290);
        const rest = (this.width - left - right - side) / 2;
        this.height = side + top + bottom;
        Object.assign(this.margin, { left: left + rest, right: right + rest });
      }
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      this.svg.setAttribute("height", this.height);
      this.grid();
    }

    place(axis, value, from, to) {
      const [low, high] = axis.range;
      if (axis.log) return from + ((to - from) * Math.log(value / low)) / Math.log(high / low);
      return from + ((to - from) * (value - low)) / (high - low);
    }

    px = (value) => this.place(this.x, value, this.margin.left, this.width - this.margin.right);

    py = (value) => this.place(this.y, value, this.height - this.margin.bottom, this.margin.top);

    /* From a pointer back to data. */
    at(event) {
      const box = this.svg.getBoundingClientRect();
      const u = (event.clientX - box.left - this.margin.left) / (this.width - this.margin.left - this.margin.right);
      const v = (this.height - this.margin.bottom - event.clientY + box.top) / (this.height - this.margin.top - this.margin.bottom);
      const back = ({ range: [low, high] }, part) => low + part * (high - low);
      return [back(this.x, u), back(this.y, v)];
    }

    ticks(axis) {
      if (axis.ticks) return axis.ticks;
      const [low, high] = axis.range;
      if (axis.log) {
        const from = Math.ceil(Math.log10(low) - 1e-9);
        const count = Math.floor(Math.log10(high) + 1e-9) - from + 1;
        const stride = Math.ceil(count / 6);
        return Array.from({ length: Math.ceil(count / stride) }, (_, i) => 10 ** (from + i * stride));
      }
      const rough = (high - low) / 5;
      const unit = 10 ** Math.floor(Math.log10(rough));
      const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough);
      const first = Math.ceil(low / step - 1e-9);
      return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
    }

    grid() {
      const { margin, width, height, x, y } = this;
      const bottom = height - margin.bottom;
      const name = (axis, value) => axis.names?.[value] ?? (axis.log ? (value >= 1 && value < 10_000 ? value : power(Math.round(Math.log10(value)))) : short(value + 0));
      const out = [];
      if (!x.bare) {
        for (const value of this.ticks(x)) {
          const at = this.px(value).toFixed(1);
          out.push(`<path class="fpc-grid" d="M${at},${margin.top}V${bottom}"/>`);
          out.push(`<text x="${at}" y="${bottom + 15}" text-anchor="middle">${name(x, value)}</text>`);
        }
      }
      if (!y.bare) {
        for (const value of this.ticks(y)) {
          const at = this.py(value);
          out.push(`<path class="fpc-grid" d="M${margin.left},${at.toFixed(1)}H${width - margin.right}"/>`);
          out.push(`<text x="${margin.left - 6}" y="${(at + 4).toFixed(1)}" text-anchor="end">${name(y, value)}</text>`);
        }
      }
      if (x.label) {
        const middle = (margin.left + width - margin.right) / 2;
        out.push(`<text x="${middle}" y="${height - 5}" text-anchor="middle">${x.label}</text>`);
      }
      if (y.label) {
        const middle = (margin.top + bottom) / 2;
        out.push(`<text transform="translate(12,${middle}) rotate(-90)" text-anchor="middle">${y.label}</text>`);
      }
      if (this.title) out.push(`<text class="fpc-title" x="${this.room.left}" y="14">${this.title}</text>`);
      this.axes.innerHTML = out.join("");
    }

    begin() {
      this.parts = [];
    }

    end() {
      this.marks.innerHTML = this.parts.join("");
    }

    /* style: the attributes of the element, as text */
    line(xs, ys, color, style = "") {
      const [top, bottom] = [this.margin.top - 2, this.height - this.margin.bottom + 2];
      let d = "";
      let outside = true; // along the edge the pen is lifted
      for (let i = 0; i < xs.length; i += 1) {
        const y = this.py(ys[i]);
        const beyond = !(y >= top && y <= bottom);
        d += `${i && !(outside && beyond) ? "L" : "M"}${this.px(xs[i]).toFixed(1)},${(clip(y, top, bottom) || top).toFixed(1)}`;
        outside = beyond;
      }
      this.parts.push(`<path class="fpc-line fpc-${color}" d="${d}" ${style}/>`);
    }

    dots(xs, ys, color, radius = 2.5, style = "") {
      let d = ""; // lines of no length with round caps: one element for all dots
      for (let i = 0; i < xs.length; i += 1) d += `M${this.px(xs[i]).toFixed(1)},${this.py(ys[i]).toFixed(1)}h0`;
      this.parts.push(`<path class="fpc-line fpc-${color}" d="${d}" stroke-width="${2 * radius}" stroke-linecap="round" ${style}/>`);
    }

    segment(x0, y0, x1, y1, color, style = "") {
      const points = [this.px(x0), this.py(y0), this.px(x1), this.py(y1)].map((value) => value.toFixed(1));
      this.parts.push(`<path class="fpc-line fpc-${color}" d="M${points[0]},${points[1]}L${points[2]},${points[3]}" ${style}/>`);
    }

    /* From the origin to each point. */
    spokes(xs, ys, color, style = "") {
      const from = `M${this.px(0).toFixed(1)},${this.py(0).toFixed(1)}L`;
      const d = xs.map((x, i) => `${from}${this.px(x).toFixed(1)},${this.py(ys[i]).toFixed(1)}`).join("");
      this.parts.push(`<path class="fpc-line fpc-${color}" d="${d}" ${style}/>`);
    }

    /* A rectangle of `size` pixels around x (or y, if across), from one value to another. */
    bar(place, from, to, size, color, { across = false, style = "" } = {}) {
      const middle = across ? this.py(place) : this.px(place);
      const [a, b] = [from, to].map((value) => (across ? this.px(value) : this.py(value))).sort((p, q) => p - q);
      const [x, y, width, height] = across ? [a, middle - size / 2, b - a, size] : [middle - size / 2, a, size, b - a];
      const box = `x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}"`;
      this.parts.push(`<rect class="fpc-bar fpc-${color}" ${box} ${style}/>`);
    }

    text(x, y, words, style = "") {
      this.parts.push(`<text x="${this.px(x).toFixed(1)}" y="${this.py(y).toFixed(1)}" ${style}>${words}</text>`);
    }
  }

  class Lab {
    constructor(root, definition) {
      this.root = root;
      this.name = root.dataset.figure;
      this.definition = definition;
      this.own = JSON.parse(root.dataset.state || "{}"); // what the page's author has set
      this.inputs = {};
      this.panels = [];
      this.state = this.initial();
      this.build();
      this.call = fpc.worker();
      this.figure = definition.setup(this);
      this.addActions();
      this.fill();
      root.classList.add("fpc-on"); // now the panels have a width
      this.watch();
      this.resize();
      setTimeout(() => this.restart()); // a task of its own: the page stays free
      if (this.addressed) root.scrollIntoView();
    }

    /* Defaults, the author's choice over them, the address over both. */
    initial() {
      const state = {};
      const prefix = `#live-${this.name}?`;
      this.addressed = location.hash.startsWith(prefix);
      const asked = new URLSearchParams(this.addressed ? location.hash.slice(prefix.length) : "");
      for (const [key, control] of Object.entries(this.definition.controls)) {
        state[key] = (asked.has(key) ? this.read(control, asked.get(key)) : undefined) ?? this.default(key);
      }
      return state;
    }

    default(key) {
      const control = this.definition.controls[key];
      return (key in this.own ? this.read(control, String(this.own[key])) : undefined) ?? control.value;
    }

    read(control, text) {
      if (typeof control.value === "boolean") return text === "true" || text === "1";
      const value = typeof control.value === "number" ? Number(text) : text;
      if (Number.isNaN(value)) return undefined;
      return !control.values || control.values.includes(value) ? value : undefined;
    }

    build() {
      this.stage = make("div", { className: "fpc-stage" });
      this.legend = make("div", { className: "fpc-legend" });
      this.buttons = make("div", { className: "fpc-buttons" });
      this.main = make("div", { className: "fpc-inputs" });
      this.more = make("div", { className: "fpc-inputs" });
      this.words = make("p", { className: "fpc-status" });
      this.voice = make("p", { className: "fpc-voice" });
      this.voice.setAttribute("aria-live", "polite");
      for (const [key, control] of Object.entries(this.definition.controls)) {
        if (!control.hidden) (control.more ? this.more : this.main).append(this.input(key, control));
      }
      const fold = make("details", { className: "fpc-fold" }, make("summary", { textContent: this.definition.fold }), this.more);
      const body = make("div", { className: "fpc-body" }, this.legend, this.stage, this.words, this.buttons, this.main);
      if (this.more.children.length) body.append(fold);
      body.append(this.voice);
      this.root.append(body);
      this.root.setAttribute("role", "group");
      this.root.setAttribute("aria-label", this.definition.title);
    }

    input(key, control) {
      const { values, label, show = (value) => (typeof value === "number" ? short(value) : value) } = control;
      const name = make("span", { textContent: label });
      let input;
      const shown = make("output");
      if (typeof control.value === "boolean") {
        input = make("input", { type: "checkbox" });
        this.inputs[key] = () => (input.checked = this.state[key]);
      } else if (typeof values[0] === "string" || control.list) {
        input = make("select", {}, ...values.map((value, i) => make("option", { value: i, textContent: show(value) })));
        this.inputs[key] = () => (input.value = values.indexOf(this.state[key]));
      } else {
        input = make("input", { type: "range", min: 0, max: values.length - 1, step: 1 });
        this.inputs[key] = () => {
          input.value = values.indexOf(this.state[key]);
          shown.textContent = show(this.state[key]);
          input.setAttribute("aria-valuetext", shown.textContent);
        };
      }
      input.dataset.key = key;
      input.addEventListener("input", () => {
        this.set(key, typeof control.value === "boolean" ? input.checked : values[Number(input.value)]);
      });
      return make("label", { className: `fpc-input fpc-${input.type}` }, name, input, shown);
    }

    addActions() {
      this.playButton = this.action(this.definition.play ?? "Train", () => (this.running ? this.pause() : this.play()));
      this.playButton.classList.add("fpc-play");
      if (!this.figure.advance) this.playButton.remove();
      for (const [label, act] of Object.entries(this.figure.actions ?? {})) this.action(label, act);
      if (this.finger && window.matchMedia("(pointer: coarse)").matches) {
        const button = this.action("Draw with a finger", () => {
          button.setAttribute("aria-pressed", this.finger.classList.toggle("fpc-finger"));
        });
      }
      this.action("Reset", () => {
        this.pause();
        for (const key of Object.keys(this.definition.controls)) this.state[key] = this.default(key);
        this.fill();
        this.remember();
        this.restart();
      });
    }

    action(label, act) {
      const button = make("button", { type: "button", textContent: label });
      button.addEventListener("click", act);
      this.buttons.append(button);
      return button;
    }

    /* A curve to draw with the pointer: `values` returns its heights at the points of `grid`, `preview` draws them while
       they change, `done` takes them. A finger draws only when it has been asked to, since otherwise it scrolls. */
    drawable(panel, grid, { values, preview, done }) {
      const { svg } = panel;
      let drawn;
      let last;
      const draw = (event) => {
        const [x, y] = panel.at(event);
        const step = grid[1] - grid[0];
        const j = clip(Math.round((x - grid[0]) / step), 0, grid.length - 1);
        const height = clip(y, ...panel.y.range);
        const from = last ?? { j, height };
        for (let i = Math.min(j, from.j); i <= Math.max(j, from.j); i += 1) {
          drawn[i] = j === from.j ? height : height + ((i - j) / (from.j - j)) * (from.height - height);
        }
        last = { j, height };
        preview(drawn);
      };
      svg.classList.add("fpc-drawn");
      svg.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch" && !svg.classList.contains("fpc-finger")) return;
        event.preventDefault();
        this.pause();
        svg.setPointerCapture(event.pointerId);
        drawn = Float64Array.from(values());
        draw(event);
      });
      svg.addEventListener("pointermove", (event) => last && draw(event));
      for (const name of ["pointerup", "pointercancel"]) {
        svg.addEventListener(name, () => {
          if (last) done(drawn);
          last = undefined;
        });
      }
      this.finger = svg;
    }

    /* A round handle for a panel, moved by mouse or finger to (x, y), or nudged by the arrow keys. */
    grip(panel, label, move, nudge) {
      const handle = shape("circle", { r: 7, class: "fpc-handle", tabindex: 0, role: "slider", "aria-label": label });
      handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
      handle.addEventListener("pointermove", (event) => {
        if (handle.hasPointerCapture(event.pointerId)) move(...panel.at(event));
      });
      handle.addEventListener("keydown", (event) => {
        const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (!arrow) return;
        event.preventDefault();
        nudge(...arrow);
      });
      panel.svg.setAttribute("role", "group"); // an image may not hold what takes the focus
      return handle;
    }

    /* Put a handle at (x, y); as a slider it has the value `along` one axis. */
    hold(handle, panel, x, y, words, along = "y") {
      const [low, high] = panel[along].range;
      const now = {
        cx: panel.px(x).toFixed(1),
        cy: panel.py(y).toFixed(1),
        "aria-valuemin": low,
        "aria-valuemax": high,
        "aria-valuenow": { x, y }[along].toFixed(2),
        "aria-valuetext": words,
      };
      for (const [name, value] of Object.entries(now)) handle.setAttribute(name, value);
    }

    /* Points to drag in a panel: mouse, finger, arrow keys; a double click adds or deletes one, Delete deletes. They stand
       in state.points, "x,y;x,y" in hundredths. Returns {read, place, add}; place() after each change of the panel. */
    handles(panel, { most = 12, nearest = 0.04, change = (text) => this.set("points", text) } = {}) {
      const { svg } = panel;
      const layer = shape("g");
      svg.append(layer);
      const usual = this.definition.controls.points.value;
      const parse = (text) =>
        text
          .split(";")
          .map((pair) => pair.split(",").map((value) => Number(value) / 100))
          .filter(([x, y]) => x >= panel.x.range[0] && x <= panel.x.range[1] && Number.isFinite(y))
          .slice(0, most)
          .sort(([p], [q]) => p - q);
      const read = () => {
        const points = parse(this.state.points);
        return points.length >= 2 ? points : parse(usual);
      };
      const write = (points) => change(points.map((pair) => pair.map((value) => Math.round(100 * value)).join(",")).join(";"));

      function move(i, x, y) {
        const points = read(); // a point stays between its neighbours
        const left = i ? points[i - 1][0] + nearest : panel.x.range[0];
        const right = i < points.length - 1 ? points[i + 1][0] - nearest : panel.x.range[1];
        points[i] = [clip(x, left, right), clip(y, ...panel.y.range)];
        write(points);
      }
      function remove(i) {
        const points = read();
        if (points.length > 2) write(points.filter((_, k) => k !== i));
      }
      function add(x, y) {
        const points = read();
        if (points.length < most && !points.some(([z]) => Math.abs(z - x) < nearest)) {
          write([...points, [x, y]].sort(([p], [q]) => p - q));
        }
      }

      const grip = (i) => {
        const nudge = (dx, dy) => {
          const [x, y] = read()[i];
          move(i, x + 0.02 * dx, y + (dy * (panel.y.range[1] - panel.y.range[0])) / 60);
        };
        const handle = this.grip(panel, `point ${i + 1}`, (x, y) => move(i, x, y), nudge);
        handle.addEventListener("dblclick", (event) => {
          event.stopPropagation();
          remove(i);
        });
        handle.addEventListener("keydown", (event) => {
          if (event.key !== "Delete" && event.key !== "Backspace") return;
          event.preventDefault();
          remove(i);
          layer.children[Math.min(i, layer.children.length - 1)].focus();
        });
        return handle;
      };
      svg.addEventListener("dblclick", (event) => add(...panel.at(event)));

      const place = () => {
        const points = read();
        if (layer.children.length !== points.length) layer.replaceChildren(...points.map((_, i) => grip(i)));
        points.forEach(([x, y], i) => this.hold(layer.children[i], panel, x, y, `x ${x.toFixed(2)}, y ${y.toFixed(2)}`));
      };
      return { read, place, add };
    }

    /* Names of the colours, above the panels. */
    keys(names) {
      this.legend.replaceChildren(
        ...Object.entries(names).map(([color, words]) => {
          const swatch = make("i", { className: `fpc-${color}` });
          return make("span", {}, swatch, words);
        }),
      );
    }

    panel(options) {
      const panel = new Panel(this.stage, options);
      this.panels.push(panel);
      return panel;
    }

    fill() {
      Object.values(this.inputs).forEach((show) => show());
    }

    /* Change part of the state, as an input does; figures call it when something is dragged or clicked. */
    set(key, value) {
      this.state[key] = value;
      this.figure.changed?.(key);
      this.fill();
      this.remember();
      if (this.definition.controls[key].live) this.figure.redraw();
      else this.restart();
    }

    /* Write to the address what differs from the defaults; soon, since browsers count these calls. */
    remember() {
      clearTimeout(this.later);
      this.later = setTimeout(() => {
        const asked = new URLSearchParams();
        for (const [key, value] of Object.entries(this.state)) {
          if (value !== this.default(key)) asked.set(key, value);
        }
        const bare = location.href.split("#")[0];
        try {
          history.replaceState(history.state, "", asked.size ? `${bare}#live-${this.name}?${asked}` : bare);
        } catch {
          // a frame without an address of its own
        }
      }, 250);
    }

    watch() {
      new ResizeObserver(() => {
        if (this.stage.clientWidth === this.width) return;
        this.resize();
        this.figure.redraw();
      }).observe(this.stage);
      new IntersectionObserver(([entry]) => {
        this.visible = entry.isIntersecting;
        if (this.visible) this.wake?.();
      }).observe(this.root);
      window.addEventListener("hashchange", () => {
        const state = this.initial();
        if (!this.addressed) return;
        this.state = state;
        this.figure.changed?.();
        this.fill();
        this.restart();
      });
    }

    resize() {
      this.width = this.stage.clientWidth;
      const widths = this.panels.map(({ svg }) => svg.getBoundingClientRect().width); // before the first is changed
      this.panels.forEach((panel, i) => panel.resize(widths[i]));
    }

    /* A new model; one that was training goes on training. */
    async restart() {
      const playing = Boolean(this.running);
      this.pause();
      const life = (this.life = {});
      this.ended = false;
      this.ready = this.figure.restart(playing);
      await this.ready;
      if (playing && this.life === life) this.play();
    }

    pause() {
      this.running = undefined;
      this.playButton.textContent = this.definition.play ?? "Train";
      this.root.classList.remove("fpc-running");
    }

    /* The worker computes the next result while this one is drawn; nothing runs while nobody can see it. */
    async play() {
      if (this.ended) this.restart();
      const { life } = this;
      const run = (this.running = {});
      this.playButton.textContent = "Pause";
      this.root.classList.add("fpc-running");
      await this.ready;
      if (this.life !== life || this.running !== run) return;
      let next = this.figure.advance();
      for (;;) {
        const result = await next;
        if (this.life !== life) return;
        if (!result) this.ended = true;
        if (!result && this.running === run) this.pause();
        if (result && this.running === run) next = this.figure.advance();
        if (result) this.figure.show(result);
        if (this.running !== run) break;
        await (reducedMotion.matches ? pause(0.7) : frame());
        if (!this.visible) await new Promise((resolve) => (this.wake = resolve));
      }
      this.say(this.words.textContent);
    }

    /* The line below the panels; read aloud every few seconds. */
    status(words) {
      if (this.words.textContent !== words) this.words.textContent = words;
      if (!this.running || performance.now() - (this.spoken ?? 0) < 5000) return;
      this.spoken = performance.now();
      this.say(words);
    }

    /* For readers who listen: what happened, not every number on the way. */
    say(words) {
      if (words) this.voice.textContent = words;
    }
  }

  function start(root) {
    const definition = definitions[root.dataset.figure];
    if (!definition || root.dataset.started) return;
    root.dataset.started = true;
    root.lab = new Lab(root, definition);
  }

  const near = new IntersectionObserver(
    (entries) => {
      for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
        near.unobserve(target);
        start(target);
      }
    },
    { rootMargin: "600px" },
  );

  fpc.figure = (name, definition) => {
    definitions[name] = definition;
    const begin = () => {
      for (const root of document.querySelectorAll(`.fpc-lab[data-figure="${name}"]`)) {
        if (location.hash.startsWith(`#live-${name}?`)) start(root);
        else near.observe(root);
      }
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
    else begin();
  };
  Object.assign(fpc, { short, power, clip, encode, decode, shape });
})();
