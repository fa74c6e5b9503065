/* Scrubbers: figures that move through training, with a native slider and play button, and no kernel.
 *
 * A page holds, for each, <figure class="fpc-scrub"><div class="fpc-plot"></div><script type="application/json">
 * {data, layout, frames, slider: {label, values}}</script></figure>, as fpcourse.interactive writes it. Plotly (5 MB) is
 * fetched when the first scrubber comes near the screen.
 */
(() => {
  "use strict";
  const PLOTLY = new URL("plotly.min.js", document.currentScript.src).href;
  const NARROW = 600; // px: below this, panels that stand side by side are stacked
  const SECONDS_PER_FRAME = 0.1;
  const SECONDS_PER_FRAME_REDUCED = 0.6; // for readers who asked their system for less motion
  const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");

  /* Where the sliders of the page stand, by their place on it. The browser keeps it with the page's entry in its history,
   * so that a reader who follows a link and comes back finds them as they were. */
  const positions = { ...history.state?.scrubbers };
  const save = () => history.replaceState({ ...history.state, scrubbers: positions }, "");
  let saving;
  function remember(place, position) {
    positions[place] = position;
    clearTimeout(saving); // browsers limit how often an entry may change: wait until the slider rests
    saving = setTimeout(save, 250);
  }
  window.addEventListener("hashchange", save); // a link within the page makes a new entry

  let plotly;
  function loadPlotly() {
    plotly ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = PLOTLY;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error(`could not load ${PLOTLY}`));
      document.head.append(script);
    });
    return plotly;
  }

  function themeOfPage() {
    const style = getComputedStyle(document.documentElement);
    const pick = (name) => style.getPropertyValue(name).trim();
    return {
      ink: pick("--pst-color-text-base"),
      lines: pick("--pst-color-border"),
      page: pick("--pst-color-background"),
      font: getComputedStyle(document.body).fontFamily,
      dark: document.documentElement.dataset.theme === "dark",
    };
  }

  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  /* A copy of `base` with the values of `change` laid over it; arrays are replaced, not merged. */
  function merged(base, change) {
    const result = { ...base };
    for (const [key, value] of Object.entries(change ?? {})) {
      result[key] = isObject(value) && isObject(result[key]) ? merged(result[key], value) : value;
    }
    return result;
  }

  /* A colour that can be seen on the page: greys as dark as print stand for ink and follow the theme, and on a dark page
   * the darker colours are lightened. */
  function visible(colour, theme) {
    const hex = /^#([0-9a-f]{6})$/i.exec(colour === "black" ? "#000000" : colour)?.[1];
    if (!hex) return colour;
    const rgb = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
    const darkest = Math.max(...rgb);
    if (darkest < 0x60 && darkest - Math.min(...rgb) < 0x10) return theme.ink;
    const luminance = 0.21 * rgb[0] + 0.72 * rgb[1] + 0.07 * rgb[2];
    if (!theme.dark || luminance > 0x80) return colour;
    return `rgb(${rgb.map((value) => Math.round(value + 0.35 * (255 - value))).join(",")})`;
  }

  function onPage(trace, theme) {
    const result = { ...trace };
    for (const part of ["line", "marker"]) {
      if (trace[part]?.color) result[part] = { ...trace[part], color: visible(trace[part].color, theme) };
    }
    return result;
  }

  const axesOf = (layout, letter) => Object.keys(layout).filter((key) => new RegExp(`^${letter}axis\\d*$`).test(key));
  const middle = ([from, to]) => (from + to) / 2;

  /* Stack panels that stand side by side: the k-th column becomes the k-th row. */
  function stacked(layout) {
    const domains = axesOf(layout, "x").map((name) => layout[name].domain ?? [0, 1]);
    const columns = [...new Map(domains.map((domain) => [domain[0], domain])).values()].sort((a, b) => a[0] - b[0]);
    const n = columns.length;
    const gap = n > 1 ? 0.18 / (n - 1) : 0; // room for the upper panel's axis title and the lower one's heading
    const share = (1 - gap * (n - 1)) / n;
    const columnOf = (x) => {
      const distances = columns.map((domain) => Math.abs(x - middle(domain)));
      return distances.indexOf(Math.min(...distances));
    };
    const lifted = (column, y) => 1 - column * (share + gap) - share + y * share;
    const result = { ...layout };
    for (const name of axesOf(layout, "x")) {
      result[name] = { ...layout[name], domain: [0, 1] };
    }
    for (const name of axesOf(layout, "y")) {
      const partner = (layout[name].anchor ?? "x").replace("x", "xaxis");
      const column = columnOf(middle(layout[partner]?.domain ?? [0, 1]));
      const [from, to] = layout[name].domain ?? [0, 1];
      result[name] = { ...layout[name], domain: [lifted(column, from), lifted(column, to)] };
    }
    result.annotations = (layout.annotations ?? []).map((note) => {
      if (note.xref !== "paper" || note.yref !== "paper") return note;
      return { ...note, x: 0.5, xanchor: "center", y: lifted(columnOf(note.x), note.y) };
    });
    return { layout: result, rows: n };
  }

  class Scrubber {
    constructor(figure, place) {
      this.figure = figure;
      this.place = place;
      this.plot = figure.querySelector(".fpc-plot");
      const content = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      const { sliders, updatemenus, width, height, ...layout } = content.layout;
      Object.assign(this, { data: content.data, frames: content.frames, layout, slider: content.slider });
      this.height = height ?? this.plot.clientHeight;
      this.shown = this.frames[positions[place]] ? positions[place] : (sliders?.[0]?.active ?? 0);
      this.addControls();
    }

    addControls() {
      const make = (name, properties) => Object.assign(document.createElement(name), properties);
      this.button = make("button", { type: "button", textContent: "Play" });
      this.range = make("input", { type: "range", min: 0, max: this.frames.length - 1, step: 1, value: this.shown });
      this.range.setAttribute("aria-label", this.slider.label);
      this.output = make("output", {});
      const controls = make("div", { className: "fpc-controls" });
      controls.append(this.button, this.range, this.output);
      this.plot.after(controls);
      this.button.addEventListener("click", () => (this.running ? this.pause() : this.play()));
      this.range.addEventListener("input", () => {
        this.pause();
        this.show(Number(this.range.value));
      });
      this.describe();
    }

    describe() {
      const label = `${this.slider.label} ${this.slider.values[this.shown]}`;
      this.range.value = this.shown;
      this.range.setAttribute("aria-valuetext", label);
      this.output.textContent = label;
    }

    show(index) {
      this.shown = index;
      remember(this.place, index);
      this.describe();
      return this.draw();
    }

    /* One step after another, each counted from the end of its drawing: a slow machine plays slower and skips nothing. */
    async play() {
      this.button.textContent = "Pause";
      const seconds = reducedMotion.matches ? SECONDS_PER_FRAME_REDUCED : SECONDS_PER_FRAME;
      const run = (this.running = {});
      let next = this.shown === this.frames.length - 1 ? 0 : this.shown + 1;
      while (this.running === run) {
        await this.show(next);
        if (next === this.frames.length - 1 && this.running === run) this.pause();
        next += 1;
        await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      }
    }

    pause() {
      this.running = undefined;
      this.button.textContent = "Play";
    }

    /* Draw the shown frame in the page's present theme and width. */
    async draw() {
      const Plotly = await loadPlotly();
      const theme = themeOfPage();
      const narrow = this.figure.clientWidth < NARROW;
      const frame = this.frames[this.shown];
      const data = this.data.map((trace) => onPage(trace, theme));
      frame.data.forEach((change, i) => {
        const index = frame.traces?.[i] ?? i;
        data[index] = merged(data[index], change);
      });
      let layout = merged(this.layout, frame.layout);
      layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
      layout.font = { ...layout.font, color: theme.ink, family: theme.font };
      layout.hoverlabel = { ...layout.hoverlabel, bgcolor: theme.page, bordercolor: theme.lines };
      // the legend in a row above everything, whatever the height
      layout.margin = { ...layout.margin, t: Math.max(layout.margin?.t ?? 0, 72) };
      layout.legend = { ...layout.legend, orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "top", yref: "container" };
      const touch = window.matchMedia("(pointer: coarse)").matches; // there, a drag must scroll the page
      if (touch) layout.dragmode = false;
      for (const name of [...axesOf(layout, "x"), ...axesOf(layout, "y")]) {
        const lines = { gridcolor: theme.lines, linecolor: theme.lines, zerolinecolor: theme.lines };
        layout[name] = { ...layout[name], ...lines, fixedrange: touch };
      }
      for (const name of Object.keys(layout).filter((key) => /^scene\d*$/.test(key))) {
        const lines = { color: theme.ink, gridcolor: theme.lines, zerolinecolor: theme.lines, showbackground: false };
        const axes = ["xaxis", "yaxis", "zaxis"].map((axis) => [axis, { ...layout[name][axis], ...lines }]);
        layout[name] = { ...layout[name], bgcolor: "rgba(0,0,0,0)", ...Object.fromEntries(axes) };
      }
      let height = this.height;
      if (narrow) {
        const stack = stacked(layout);
        layout = stack.layout;
        Object.assign(layout.margin, { l: 44, r: 8 });
        height = Math.max(this.height, 290 * stack.rows + 60);
      }
      this.plot.style.height = `${height}px`;
      layout.autosize = true;
      layout.uirevision = "kept"; // a zoom survives the next frame
      await Plotly.react(this.plot, data, layout, { displayModeBar: false, responsive: true });
    }
  }

  function start(figure, place) {
    const scrubber = new Scrubber(figure, place);
    scrubber.draw().then(() => figure.classList.add("fpc-ready"));
    new MutationObserver(() => scrubber.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    let width = figure.clientWidth;
    new ResizeObserver(() => {
      if (figure.clientWidth !== width) {
        width = figure.clientWidth;
        scrubber.draw();
      }
    }).observe(figure);
  }

  const figures = [...document.querySelectorAll("figure.fpc-scrub")];
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((e) => e.isIntersecting)) {
        near.unobserve(entry.target);
        start(entry.target, figures.indexOf(entry.target));
      }
    },
    { rootMargin: "600px" },
  );
  figures.forEach((figure) => near.observe(figure));
})();
