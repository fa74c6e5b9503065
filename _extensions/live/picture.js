/* "Your own picture": a network from position to grey value, with Fourier features or sines, and pixels to hide. */
(() => {
  "use strict";
  const SIZE = 64;
  const N = SIZE * SIZE;
  const MOST = 20_000;
  const EDGES = [0.5, 1, 2, 4, 8, 16, 32];
  const RINGS = ["½–1", "1–2", "2–4", "4–8", "8–16", "16–32"];
  // the photograph of the lesson, data/camera.png, a byte for each pixel
  const CAMERA = "yMfGxsbGxsbFxcXFxcXFxcXFxMTExMTEw8PDw8PDwsLCwsLCwsHBwcHBwMHAwMDAwL+/v7+/v7+/v7++v76+vsjIyMfIx8fHxsbGxsbGxsbFxcXFxcXFxMTExMTExMTDw8PDw8PDwsLCwsLCwcHBwcHBwMDAwMDAwL+/v7+/v7/JycnJycnJycjIyMjIyMjIyMfHxsbGxsbGxcXFxcXFxMTExMTExMTEw8TDw8PDw8LCwsLCwsLBwcHBwcHBwcDAysrKysrKysrKysrJycnJycnIyMjIx8fHx8fGxsbGxsbGxsbFxcXFxcXExMTExMTExMTDw8PDw8PDw8PDwsLCws3MzMzMy8vLy8vMy8vKy8rKysrJycnIyMjIyMjHx8fHx8fHx8fHxsbGxsXFxcXFxcXExMTExMTExMTExMTDw8PPz8/Pzs7Ozs7Ozs7Ozs7Nzc3NzMvLysrJycnJycnIyMjIyMjIyMfHx8fGxsbGxsbGxsbFxcXFxcXFxcXFxMTE0M/Pz8/Pz8/Ozs/Q0dDPz8/Pz8/Ozc3My8vKysrKysrJycnJycnJyMjIyMjIx8fHx8fHx8fHxsbGxsbGxsXFxc/Pz8/Pz8/Pz8/Ozs/Q0NHR0tHR0dDPzcnFycrLzMvLy8vKysrKysnJycnJycnIyMjIyMjIyMjIx8fHx8fHxsbQ0NDQ0NDQ0M/Pz8/Pz8/Pz8/Q0NHR0cWLX2WDr8TNzczMzMvLy8vLysrKysrKysrKycnJycnIyMjIyMjIx8fH0tLS0dHR0dHR0dHR0dDQ0NDQz8/Qz6xGMiofIS5its3Nzc3NzMzMzMzMzMvLy8vLy8vLy8rKysnJycnJyMjIyNPT09LS0tLS0tLS0tLS0tLS0dHR0LMsKDUsLCIaGzm1zs/Pzs7Nzc3NzczMzMzMzMzMzMzLy8vLysrKysrJycnU1NTU1NPT09PT09PT09PS0tLS0ss9Eig0LTYvGxodQbjOz8/Pz87Ozs7Ozc3Nzc3Nzc3MzMzLy8vLy8vKysrK1dXV1dXU1NTU1NTU1NTT09PT09J3ExohLDg2PjAZHBdIwtDQ0M/Pz8/Pz8/Ozs7Ozs7Nzc3NzczMzMzLy8vLy9bW1tbW1dXV1dXV1dXV1dTU1JVLJBUREhcfLzs0HCEXF4PQ0NDQ0NDQ0NDQz8/Pz8/Pz8/Pzs7Ozc3Nzc3NzczX19fX1tbW1tbW1tbW1tbVz2YlFhAMDg8YFRs2KiIlGBVAz9LS0dHR0dHR0NDR0NDQ0NDQ0tXPz8/Pz87Ozs7O2djZ2NjY19fX19fX186iiF0mJhsUDg0fEBAWLDkiIRolUNPT09PT09LS0tLS0tHR0dHR0M/q0dDQ0NDPz8/Pztra2dnZ2dnY2NjYt2wyJyQfJCQaEw9FbjINIliCckM1gKHU1NTU1NTU09PT09PS0tLS0s3b19LR0dHQ0NDPz87b29vb29va2trGZCslJCMhHCQlGBIRU3xjKmiDdoVyPnujucPFubOwstTU1NTU09PT09LQ6OPT0tHR0dHQ0NDP3d3d3Nzc3NzAOycmJCIhHxokIh8wDjqpcjZ+mH1LZndibXO/z8/Up5/V1dXV1dXV1NTU0Obj09PS0dLS0dHR0d7e3t7d3d3WRyUkJCIhISAZIiAihzouTGNpdpusocTQmaHCzM7Nx6Sr1tbW1dXV1dXV1c/l5NTS0tHS0tLS0dHd3d3d3d3dex0cICQgICEiGSEgIUinRTtXZmqIopmxxoqytruuraeh19jY19XX2NbW1tXR5ePV09DP1NPT09PT3d3d3d7g1xwZGRojIB4dIBsiICAjy2Y9PVlnd4+beb6BaJulqKachkfK28HG19/a19fX0eTj1tPBtcDV1dXU1NfHxcPu9IUSDxoWGyAdHBodISEhIYm1PC85T11rbrHn13xVYm15fmUgprKeztzk5drJ19Lk4dbTwLeyjqPC1dW6qJCXup0ZGhUQGhcdHR4YHRUXHh5Ik3k8ITBRX02YtbWxWTJDJzsrLoaVtuDq39Xg6eLRx7rD072tj35/lqu0mpqWnY0lEhMbFxQbGhwcFhkeHh4eQNKVExUUI0AxhpKSkikKCyY/FCBtk43SyN3fybmimoKDjsW/pqqeqaGenaKkq7NTEhYQExkTFBscGhcVFx4dHiTcZSkuLzAxNoSNjYJLNCopQiZBeYVclY2Fj4yFhYuChaK1vcG/xsi9pYiqo56RHxISGRYVGxMVGhkYEhUZHh0gSSoqLjMxPTxad4YkCiwZMkIgW3ZrW2x1Ym16dYGFYVd1ocbKx8PFtKB7bnWaShYRFxUZGBgbFBIVGBEVERsmMjIsLi4vMS4zPltcDAkJaScxNGRVUltqgHlzfHx/dV1NZV55sL2sqJyXdz5NSxkPExIYGBoZGRoTDxcSFRAVFywsKy0tLCwTCy6JfxMICJE9JzxLX0xDZ3RqYX+fiIKQoJ6bm52lkpumnoWiiB0ZCRcOFRgZGRkcGg0XExQaHhgmJyckKyYaBgUvlioICQqNS3OIy/S1go+Lk46Uk5SRk5GRmJeVk42RlpKSnUsTCgcXEBUWGBkaGRoOGBgbHB4eHSUcGykdDQkFETgGC0M8dFV9oayzraCenJqampqYl5eWlpWVlZWUk5KRkm4YFRQHFhUWGBkZGRkWFhkZHhkcHR4eExAZDBYNCQUFCAhrql91n6CenpybnJ2dnp+dnp+enp+gn5+goaGjo6MqGhkRBw8cFxoaGRocGBgYFR4bHRwfIw8GEBgXFhMFCwgGEYh3VKOioJ+fnZ6foZ+goqOjoJ6dnJ2cnp6dnp+fHRsaDwYGDxMUFhcbHhsXHhEaGx0cHyEiDxoZFhgUCxIIBgkfmDaco6CioaKioqCioaKio6Gio6KhoaOioqGfoRkXFwsGBQ4WFxkZGRkaGB4YFRobHB4gIh8bGRQSFQwTBgYKDZZSmZ+ioqGioKCgoKGmpKKhoaGio6Cio6SmpqQaGhsJBgUJFhcZGBkYGBscGBQaGxwhKB0eGxYUEBYLDwUJCQqVmqempaKioKCgoqGhoqKjoaGhoaGhoKChn6GiGhoWBwUFBRAVGBgXGBUbGxYXGRolKhwUGiMSDwwWCwkFChFsmpehoKCinZ2fnp+goaGjop+hoqCdnqCcmZqZmBoYFQYFBQQLEhQXFxgXGBkWGBMSEwcQGhxrhjcHDg0GBymGnZiXo6CJd5SbnJqcnpudnKKhnp6doJybnZ2dmpYZFBIGBQUEBQwVGBgXFRkYEQgFAwgHEho2l52eeTELIGien6KXkZpnX22OmZubnZybnp2cm5qcmpyZmpiZmqCeGBkXBwUFBAQGDhIREQ4NCQQEBAgRExkghp6am6CdmZ2emp1AT15RepueoZqdm5ybn5+gnpmbnZyanJudmZmYlxsZGQkFBQUEBAUFBQUEBAQEBAQQHRscbZicn5mdnZyYl52BI0UxW5ienJqbnZuZmZmXm5uVmJmanJ+WlpmWlpQbGxsQBQUEBAQEBAQEBAQEBAQEEBwaUJmempqen6GfmZucim4jZG6lmJubmqCYlpWWlpmXmZmcnZmcm5mWmJeQGxwcGwcFBQUEBAQEBAQEChETBxUVJ5CalpiZnZ6hoZ6dnISfGkODupmdnpidnJiYl5ebk5mboZ6en5qbmZ2YmRscHh0VBgUFBQUEBAQMFRYYFg4MGYCal5SYm56dnaCinpt3pXOCnZmrmZecnZqfoJuUl5eTmJeWmpidm5SVnJgcHh4eHRcNBwYGCAsTGRgXGA0RGnOcmp+enZ6doKGfnJygjJGPkJ+NuZWaoJqXmZ2blJqZlpeamZqTlpWZn56bGx0fHhwbGxsbHBwbGxoaGB8fG16WmZueoKOdnqKYnZ+fkKWBjZKinpSwnJyamJ+gmZOUkpSTl5eUlZiXlqCdnRscHh0aGRcTFhobGxoaGRcdHEOZmpeblpabmZ6joZ6gpXylko6OnZ6LtZycm5mbmJ6WmJuVko2XnJmXlZKVkpEaHB0eHR0bGRISGBkZGRUUHTOSlZ2gmp2dn5+joqCgm5t9kJ2OjKCamI+1mJaWnZ2alpSZl5eXk5aVl42WlpKRGRscHR4dGxwaEhIYFRAKFhlBmpignZ6dmJmbk52YmZ2hm3Shi5Scn5uPsJqdm52Yl5aSjo2amJGSlZSXkZCSkRsaHB0dHR0dHRoQFBMSEBUaL42WlZmfmJmamZmYmZ6cjKtxoI6Pl5ycmou5mZyTnZSWkpSPmJWWlJWWj4+SkZAdGxsbHB0dHR0dGRAZGhAYHySRmpuWnZuWl52kmpWeoHech5+LjJGTlJ6Pq5uVm5qZmZeMkZGUko+TlZWRi4+QHB0cHBscHR0dHR4bGRAbHh8ifJeYpZmUkpmcn5uYlpuLcpaciIqYnJeamIezkZWUlpWWlZaOh4+RlJOUj5OUkxkcHBwcHRwdHR0cGBkeHx8fIWOUlZmalJiYmpaal5uPqlmXmYiKm5SRjYiQppucnZuUkZKTjo+SkZCOjJCRk5AZGhsbHBwcHBwaGhoSHx4eHiBWnp2anJ6fnpqXl5aWe6lkmZWEiJqemJSSmoS6nJGMjp2Wk46Sj5GRjI2NjJGNGRkaGxscHBsbHB4fFRkfHx8gTpOZlZWfl5mWlJSWmYGJeZCRgoaRlJiUkY6QopOVj4ePk46Mho6Iio2Fi5CPjRkZGhocGxscHB0eHhYNHx8fIUiUmZWUmZGWkZyampKdVJWblICHmJ2alZCLmIC4j4eNlJeVkpKPk5SYlZKLk4wYGRkZGhocHBwcHh5SGRUgICFJmZqXnZaXnZqenKGJsEmXko+AipmYlZaZmJmTnZeRkpeUm5aRmZOYkJaakY2UFxgZGRoaGxwcHR4gbGwWHSAhRJqUj4qclpqZmpyag5xHnpmRgIqcmpSgk5Ocm328lqCXmaGdk5SOjJKQkJOZkRYXGRgaGxscHB4eIXWAXxQgIj+mp6CjoJSfn6GboZBfKYeanICOmZyppp+cmJmYlaKPlJKcnZOdm5iWnJCUlY4WFxcYGRoaGx0dHiV5f4M6HCI2p6CenqSdmJqjlYWwO4BuV2lYa6Odn5eUmpafmm6Bf46QlpqXk5SSkpCQlJOQFRcXGBkaGxwcHR8yenyCeRghNZ6doaKipKKipqBhpEuclYBRYnKXl5WfmJmbn6OIQHOTkZmWkJeWi4+Lj5SRkRUWFxgZGxscHB0fOnd2fIBBGi+Uop2coZyjnpiCKVpacn6RmaWfnqCanJudmKWgl3KbmpGbm5iPkZGQiZGQmI4YFxcYGhsbHBweH0l1dXh/eRIto5ybk56fnJ+ejj1KeJaUmJSfo5idnZeYk5KSj5eYkqWUlJSSj4+GiIiIkoaPGRgYGRobGxwdHiBeeHl8f4UoJZGZoKukl5aUnY24U42lkpmNlZmZn6KYko6ampiRlJOqkZGGjZCPiIuRjpGXjw==";
  const camera = () => Float64Array.from(atob(CAMERA), (letter) => letter.charCodeAt(0) / 255);
  const { generator, normals } = fpc.engine();

  /* Pixel centres: in [-1/2, 1/2] for waves in cycles across the picture, twice that for a network on positions. */
  const position = (i) => [((i % SIZE) + 0.5) / SIZE - 0.5, (Math.floor(i / SIZE) + 0.5) / SIZE - 0.5];
  const POSITIONS = Float64Array.from({ length: 2 * N }, (_, at) => position(Math.floor(at / 2))[at % 2]);

  /* The energy of a picture in each ring: squares of its orthonormal cosine transform, wave k making k / 2 cycles. */
  const WAVES = Float64Array.from({ length: N }, (_, at) => {
    const [k, j] = [Math.floor(at / SIZE), at % SIZE];
    return Math.sqrt((k ? 2 : 1) / SIZE) * Math.cos((Math.PI * k * (j + 0.5)) / SIZE);
  });
  function transformed(rows) {
    const result = new Float64Array(N); // transposed, so that twice is both ways
    for (let i = 0; i < SIZE; i += 1) {
      for (let k = 0; k < SIZE; k += 1) {
        let sum = 0;
        for (let j = 0; j < SIZE; j += 1) sum += rows[i * SIZE + j] * WAVES[k * SIZE + j];
        result[k * SIZE + i] = sum;
      }
    }
    return result;
  }
  function rings(picture) {
    const energy = new Float64Array(RINGS.length);
    transformed(transformed(picture)).forEach((value, at) => {
      const cycles = Math.hypot(Math.floor(at / SIZE), at % SIZE) / 2;
      const ring = EDGES.findIndex((edge) => edge > cycles) - 1;
      if (ring >= 0) energy[ring] += value * value;
    });
    return energy;
  }

  fpc.figure("picture", {
    title: "A network learns a picture: which frequencies first, and what it puts into hidden pixels",
    controls: {
      input: { label: "network", value: "position, ReLU", values: ["position, ReLU", "Fourier features, ReLU", "SIREN"] },
      waves: { label: "waves, cycles across", value: 4, values: [1, 2, 4, 8, 16] },
      hidden: { label: "hide half of the pixels", value: false },
      seed: { value: 0, hidden: true },
    },

    setup(lab) {
      const canvases = ["photograph: paint to hide pixels", "network"].map((words) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", words);
        const box = document.createElement("div");
        box.className = "fpc-picture";
        box.append(Object.assign(document.createElement("b"), { textContent: words }), canvas);
        lab.stage.append(box);
        return canvas;
      });
      const errors = lab.panel({
        title: "relative error of each ring of frequencies",
        wide: true,
        height: 180,
        x: { label: "cycles across the picture", range: [-0.6, 5.6], ticks: [0, 1, 2, 3, 4, 5], names: RINGS },
        y: { range: [0, 1.2], ticks: [0, 0.5, 1] },
      });
      let photo = camera();
      let energy = rings(photo);
      let painted = new Uint8Array(N);
      let hidden; // painted, or half at random
      let now;

      function paint(canvas, values, mask) {
        const context = canvas.getContext("2d");
        const pixels = context.createImageData(SIZE, SIZE);
        for (let i = 0; i < N; i += 1) {
          const grey = 255 * fpc.clip(values[i], 0, 1);
          pixels.data.set(mask?.[i] ? [213, 94, 0, 255] : [grey, grey, grey, 255], 4 * i);
        }
        context.putImageData(pixels, 0, 0);
      }

      function redraw() {
        hidden = painted.slice();
        if (lab.state.hidden) {
          const uniform = generator(5);
          for (let i = 0; i < N; i += 1) hidden[i] |= uniform() < 0.5 ? 1 : 0;
        }
        paint(canvases[0], photo, hidden);
        draw();
      }

      function draw() {
        if (!now) return;
        paint(canvases[1], now.picture);
        const missed = rings(now.picture.map((value, i) => value - photo[i]));
        const size = Math.min(46, (errors.px(1) - errors.px(0)) * 0.6);
        errors.begin();
        errors.segment(-0.6, 0.5, 5.6, 0.5, "noise", 'stroke-width="1" stroke-dasharray="3 3"');
        missed.forEach((value, ring) => {
          errors.bar(ring, 0, Math.min(1.2, Math.sqrt(value / Math.max(energy[ring], 1e-9))), size, "network", { style: 'stroke="none"' });
        });
        errors.end();
        const quality = (kind) => {
          let [sum, count] = [0, 0];
          for (let i = 0; i < N; i += 1) {
            if (hidden[i] !== kind) continue;
            sum += (now.picture[i] - photo[i]) ** 2;
            count += 1;
          }
          return count ? `${(-10 * Math.log10(Math.max(sum / count, 1e-9))).toFixed(1)} dB` : "";
        };
        const holes = quality(1);
        lab.status(`Step ${now.step}: signal to noise (PSNR) ${quality(0)} on the pixels shown${holes ? `, ${holes} on the hidden ones` : ""}.`);
      }

      function show(result) {
        now = result;
        draw();
      }

      const all = (input) => (input.startsWith("F") ? POSITIONS : POSITIONS.map((value) => 2 * value));
      const seen = async (result) => ({ ...result, picture: await lab.call("evaluate", { x: all(lab.state.input) }) });

      async function restart() {
        const { input, waves, seed } = lab.state;
        redraw();
        const places = all(input);
        const known = Array.from({ length: N }, (_, i) => i).filter((i) => !hidden[i]);
        const x = Float64Array.from(known.flatMap((i) => [places[2 * i], places[2 * i + 1]]));
        const y = Float64Array.from(known, (i) => photo[i]);
        const normal = normals(seed + 1);
        const features = input.startsWith("F") ? Float64Array.from({ length: 128 }, () => waves * normal()) : undefined;
        const siren = input === "SIREN";
        show(await lab.call("network", { widths: [2, 64, 64, 1], activation: "relu", siren, features, seed, x, y }).then(seen));
      }

      async function advance() {
        if (now.step >= MOST) return undefined;
        const rate = lab.state.input === "SIREN" ? 5e-4 : 1e-3;
        return seen(await lab.call("train", { optimizer: "adam", rate, batch: 256, steps: 2 + Math.ceil(now.step / 20), ms: 60 }));
      }

      /* A brush of five pixels. */
      const [canvas] = canvases;
      canvas.classList.add("fpc-drawn");
      lab.finger = canvas;
      let painting = false;
      function brush(event) {
        const box = canvas.getBoundingClientRect();
        const [column, row] = [event.clientX - box.left, event.clientY - box.top].map((v) => Math.floor((v / box.width) * SIZE));
        for (let i = 0; i < N; i += 1) {
          if (Math.hypot((i % SIZE) - column, Math.floor(i / SIZE) - row) < 2.8) painted[i] = 1;
        }
        redraw();
      }
      canvas.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch" && !canvas.classList.contains("fpc-finger")) return;
        event.preventDefault();
        painting = true;
        canvas.setPointerCapture(event.pointerId);
        brush(event);
      });
      canvas.addEventListener("pointermove", (event) => painting && brush(event));
      for (const name of ["pointerup", "pointercancel"]) {
        canvas.addEventListener(name, () => {
          if (painting) lab.restart();
          painting = false;
        });
      }

      function use(picture) {
        photo = picture;
        energy = rings(photo);
        lab.restart();
      }

      /* A file from the reader's disk: its middle square in grey. It stays in this page. */
      async function read([file]) {
        if (!file) return;
        const image = await createImageBitmap(file).catch(() => undefined);
        if (!image) {
          lab.status("This file is no picture that the browser can read.");
          return;
        }
        const side = Math.min(image.width, image.height);
        const small = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE }).getContext("2d");
        small.imageSmoothingQuality = "high";
        small.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIZE, SIZE);
        const { data } = small.getImageData(0, 0, SIZE, SIZE);
        use(Float64Array.from({ length: N }, (_, i) => (0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]) / 255));
      }
      const input = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
      input.addEventListener("change", () => read(input.files));

      const actions = {
        "Your own picture": () => input.click(),
        "Show all pixels": () => {
          painted = new Uint8Array(N);
          lab.set("hidden", false);
        },
      };
      return { restart, advance, show, redraw, actions, rings, input };
    },
  });
})();
