/* The engine of the figures that train in the page: networks, kernels, spectra.

   One function without a free variable, so that its own text is the program of a worker: no file to load, no import,
   and it works from file:// as well. The loss is L = 1/(2n) sum |f - y|^2, gradient descent with rate eta is at flow
   time eta * step, and parameters are ordered as in PyTorch (W1 by rows, b1, W2, ...), as everywhere in fpcourse. */
globalThis.fpc ??= {};
fpc.engine = () => {
  "use strict";
  const BLOCK = 64; // samples that pass through the network together: what lies in the cache

  /* Uniform in [0, 1), reproducible: mulberry32. */
  function generator(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  /* Standard normal, by Box and Muller. */
  function normals(seed) {
    const uniform = generator(seed);
    return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  }

  /* out (rows, n) += W (rows, inner) times h (inner, n), W(j, k) = w[at + j * down + k * across]; rows of out and h lie
     BLOCK apart. Two rows times four columns at a time, so that each number that is loaded serves twice or more. */
  function multiply(out, rows, w, at, down, across, h, inner, n) {
    for (let j = 0; j < rows; j += 2) {
      const pair = j + 1 < rows;
      const o0 = j * BLOCK;
      const o1 = pair ? o0 + BLOCK : o0;
      for (let k = 0; k < inner; k += 4) {
        const left = Math.min(4, inner - k);
        const p = at + j * down + k * across;
        const q = p + down;
        const w00 = w[p];
        const w01 = left > 1 ? w[p + across] : 0;
        const w02 = left > 2 ? w[p + 2 * across] : 0;
        const w03 = left > 3 ? w[p + 3 * across] : 0;
        const h0 = k * BLOCK;
        const h1 = left > 1 ? h0 + BLOCK : h0;
        const h2 = left > 2 ? h0 + 2 * BLOCK : h0;
        const h3 = left > 3 ? h0 + 3 * BLOCK : h0;
        if (!pair) {
          for (let i = 0; i < n; i += 1) {
            out[o0 + i] += w00 * h[h0 + i] + w01 * h[h1 + i] + w02 * h[h2 + i] + w03 * h[h3 + i];
          }
          continue;
        }
        const w10 = w[q];
        const w11 = left > 1 ? w[q + across] : 0;
        const w12 = left > 2 ? w[q + 2 * across] : 0;
        const w13 = left > 3 ? w[q + 3 * across] : 0;
        for (let i = 0; i < n; i += 1) {
          const a = h[h0 + i];
          const b = h[h1 + i];
          const c = h[h2 + i];
          const d = h[h3 + i];
          out[o0 + i] += w00 * a + w01 * b + w02 * c + w03 * d;
          out[o1 + i] += w10 * a + w11 * b + w12 * c + w13 * d;
        }
      }
    }
  }

  /* g(j, k) += sum_i d(j, i) h(k, i) with g(j, k) = g[at + j * inner + k]: the gradient of the weights. */
  function correlate(g, at, d, rows, h, inner, n) {
    for (let j = 0; j < rows; j += 2) {
      const pair = j + 1 < rows;
      const d0 = j * BLOCK;
      const d1 = pair ? d0 + BLOCK : d0;
      for (let k = 0; k < inner; k += 2) {
        const both = k + 1 < inner;
        const h0 = k * BLOCK;
        const h1 = both ? h0 + BLOCK : h0;
        let s00 = 0;
        let s01 = 0;
        let s10 = 0;
        let s11 = 0;
        for (let i = 0; i < n; i += 1) {
          const a = d[d0 + i];
          const b = d[d1 + i];
          const u = h[h0 + i];
          const v = h[h1 + i];
          s00 += a * u;
          s01 += a * v;
          s10 += b * u;
          s11 += b * v;
        }
        const p = at + j * inner + k;
        g[p] += s00;
        if (both) g[p + 1] += s01;
        if (pair) g[p + inner] += s10;
        if (pair && both) g[p + inner + 1] += s11;
      }
    }
  }

  /* The rational approximation of Eigen and XLA, right to 1e-7: six times as fast as Math.tanh. */
  function tanh(z) {
    const x = z > 7.90531 ? 7.90531 : z < -7.90531 ? -7.90531 : z;
    const s = x * x;
    let p = -2.76076847742355e-16 * s + 2.00018790482477e-13;
    p = p * s - 8.60467152213735e-11;
    p = p * s + 5.12229709037114e-8;
    p = p * s + 1.48572235717979e-5;
    p = p * s + 6.37261928875436e-4;
    p = p * s + 4.89352455891786e-3;
    let q = 1.19825839466702e-6 * s + 1.18534705686654e-4;
    q = q * s + 2.268434632439e-3;
    q = q * s + 4.89352518554385e-3;
    return (x * p) / q;
  }

  /* In place: z becomes sigma(z), slope becomes sigma'(z). */
  const ACTIVATIONS = {
    tanh(z, slope, from, to) {
      for (let i = from; i < to; i += 1) {
        const t = tanh(z[i]);
        z[i] = t;
        slope[i] = 1 - t * t;
      }
    },
    relu(z, slope, from, to) {
      for (let i = from; i < to; i += 1) {
        const on = z[i] > 0;
        slope[i] = on ? 1 : 0;
        if (!on) z[i] = 0;
      }
    },
    sine(z, slope, from, to, omega) {
      for (let i = from; i < to; i += 1) {
        const phase = omega * z[i];
        slope[i] = omega * Math.cos(phase);
        z[i] = Math.sin(phase);
      }
    },
    linear(z, slope, from, to) {
      slope.fill(1, from, to);
    },
  };

  /* [cos 2 pi B x, sin 2 pi B x] of points (n, d) by rows, B (m, d) by rows. */
  function fourierFeatures(x, d, matrix) {
    const m = matrix.length / d;
    const n = x.length / d;
    const out = new Float64Array(2 * m * n);
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < m; j += 1) {
        let phase = 0;
        for (let k = 0; k < d; k += 1) phase += matrix[j * d + k] * x[i * d + k];
        out[2 * m * i + j] = Math.cos(2 * Math.PI * phase);
        out[2 * m * i + m + j] = Math.sin(2 * Math.PI * phase);
      }
    }
    return out;
  }

  /* A dense network, linear in its last layer.

     widths: inputs, hidden layers, outputs; features: the matrix B of Fourier features, whose 2 m values then are the
     inputs; parameters: given, or drawn from seed as PyTorch draws them, uniform in +-1/sqrt(fan_in), times scale; siren:
     sin(30 z), with the weights of Sitzmann et al. (fpcourse.models.siren);
     bias: false leaves out the last one, so that [d, m, c] is fpcourse's TwoLayer with its w, b, a. */
  class Network {
    constructor({ widths, activation = "tanh", parameters, seed = 0, scale = 1, bias = true, features, siren = false }) {
      this.inputs = widths[0];
      this.features = features && Float64Array.from(features);
      const sizes = [features ? (2 * features.length) / widths[0] : widths[0], ...widths.slice(1)];
      this.activate = ACTIVATIONS[siren ? "sine" : activation];
      this.siren = siren;
      this.layers = [];
      let size = 0;
      for (let l = 1; l < sizes.length; l += 1) {
        const layer = { inner: sizes[l - 1], rows: sizes[l], weight: size, last: l === sizes.length - 1 };
        size += layer.inner * layer.rows;
        layer.bias = layer.last && !bias ? -1 : size;
        if (layer.bias >= 0) size += layer.rows;
        layer.h = new Float64Array(layer.rows * BLOCK); // outputs of the layer
        layer.slope = new Float64Array(layer.rows * BLOCK);
        layer.delta = new Float64Array(layer.rows * BLOCK);
        this.layers.push(layer);
      }
      this.parameters = parameters ? Float64Array.from(parameters) : this.draw(size, generator(seed), scale);
      this.gradient = new Float64Array(size);
      this.first = new Float64Array(size); // the moments of Adam
      this.second = new Float64Array(size);
      this.step = 0;
      this.into = new Float64Array(sizes[0] * BLOCK);
      this.out = this.layers[this.layers.length - 1].rows;
    }

    draw(size, uniform, scale) {
      const parameters = new Float64Array(size);
      this.layers.forEach((layer, l) => {
        const bound = scale / Math.sqrt(layer.inner);
        const end = this.layers[l + 1]?.weight ?? size;
        const weight = this.siren ? (l ? Math.sqrt(6 / layer.inner) / 30 : 1 / layer.inner) : bound;
        const biases = layer.weight + layer.inner * layer.rows;
        for (let i = layer.weight; i < end; i += 1) parameters[i] = (i < biases ? weight : bound) * (2 * uniform() - 1);
      });
      return parameters;
    }

    /* x (n, d) and y (n, c) by rows. */
    data(x, y) {
      this.x = this.features ? fourierFeatures(x, this.inputs, this.features) : Float64Array.from(x);
      this.y = Float64Array.from(y);
      this.n = y.length / this.out;
      this.outputs = new Float64Array(y.length);
      this.order = Int32Array.from({ length: this.n }, (_, i) => i);
      this.cursor = this.n; // where the next mini-batch begins
    }

    /* Columns of x at order[from ...], through all layers. */
    forward(x, order, from, n) {
      const { into } = this;
      const omega = this.siren ? 30 : 1;
      const d = into.length / BLOCK;
      for (let i = 0; i < n; i += 1) {
        const at = order ? order[from + i] : from + i;
        for (let k = 0; k < d; k += 1) into[k * BLOCK + i] = x[at * d + k];
      }
      let h = into;
      for (const layer of this.layers) {
        for (let j = 0; j < layer.rows; j += 1) {
          const bias = layer.bias < 0 ? 0 : this.parameters[layer.bias + j];
          layer.h.fill(bias, j * BLOCK, j * BLOCK + n);
        }
        multiply(layer.h, layer.rows, this.parameters, layer.weight, layer.inner, 1, h, layer.inner, n);
        h = layer.h;
        if (layer.last) continue;
        for (let j = 0; j < layer.rows; j += 1) this.activate(h, layer.slope, j * BLOCK, j * BLOCK + n, omega);
      }
      return h;
    }

    /* Gradient of the loss over the samples order[from ... to), whose outputs are kept; returns the loss. */
    backward(from, to) {
      const { layers, gradient, parameters, out, y, order, outputs } = this;
      const share = 1 / (to - from);
      let loss = 0;
      gradient.fill(0);
      for (let start = from; start < to; start += BLOCK) {
        const n = Math.min(BLOCK, to - start);
        const f = this.forward(this.x, order, start, n);
        const top = layers[layers.length - 1].delta;
        for (let j = 0; j < out; j += 1) {
          for (let i = 0; i < n; i += 1) {
            const at = order[start + i] * out + j;
            const residual = f[j * BLOCK + i] - y[at];
            outputs[at] = f[j * BLOCK + i];
            top[j * BLOCK + i] = residual * share;
            loss += 0.5 * residual * residual * share;
          }
        }
        for (let l = layers.length - 1; l >= 0; l -= 1) {
          const { delta, rows, inner, weight, bias } = layers[l];
          const below = layers[l - 1];
          correlate(gradient, weight, delta, rows, below ? below.h : this.into, inner, n);
          if (bias >= 0) {
            for (let j = 0; j < rows; j += 1) {
              let sum = 0;
              for (let i = 0; i < n; i += 1) sum += delta[j * BLOCK + i];
              gradient[bias + j] += sum;
            }
          }
          if (!below) continue;
          for (let k = 0; k < inner; k += 1) below.delta.fill(0, k * BLOCK, k * BLOCK + n);
          multiply(below.delta, inner, parameters, weight, 1, inner, delta, rows, n);
          for (let k = 0; k < inner; k += 1) {
            for (let i = k * BLOCK; i < k * BLOCK + n; i += 1) below.delta[i] *= below.slope[i];
          }
        }
      }
      return loss;
    }

    /* The next mini-batch of a shuffled pass, or all samples. */
    batch(size) {
      if (!size || size >= this.n) return [0, this.n];
      if (this.cursor + size > this.n) {
        this.uniform ??= generator(1);
        for (let i = this.n - 1; i > 0; i -= 1) {
          const j = Math.floor(this.uniform() * (i + 1));
          [this.order[i], this.order[j]] = [this.order[j], this.order[i]];
        }
        this.cursor = 0;
      }
      this.cursor += size;
      return [this.cursor - size, this.cursor];
    }

    /* Up to `steps` steps, or as many as fit into `ms`. Returns the loss before the last one. */
    train({ steps, ms = Infinity, optimizer = "gd", rate, batch = 0 }) {
      const { parameters, gradient, first, second } = this;
      const end = performance.now() + ms;
      for (let s = 0; s < steps; s += 1) {
        this.loss = this.backward(...this.batch(batch));
        this.step += 1;
        if (optimizer === "gd") {
          for (let i = 0; i < parameters.length; i += 1) parameters[i] -= rate * gradient[i];
        } else {
          const length = rate / (1 - 0.9 ** this.step);
          const root = 1 / Math.sqrt(1 - 0.999 ** this.step);
          for (let i = 0; i < parameters.length; i += 1) {
            const g = gradient[i];
            first[i] = 0.9 * first[i] + 0.1 * g;
            second[i] = 0.999 * second[i] + 0.001 * g * g;
            parameters[i] -= (length * first[i]) / (Math.sqrt(second[i]) * root + 1e-8);
          }
        }
        if (performance.now() > end) break;
      }
      return this.loss;
    }

    /* Outputs (n, c) by rows at the points x (n, d). */
    evaluate(x) {
      const points = this.features ? fourierFeatures(x, this.inputs, this.features) : x;
      const n = x.length / this.inputs;
      const result = new Float64Array(n * this.out);
      for (let start = 0; start < n; start += BLOCK) {
        const length = Math.min(BLOCK, n - start);
        const f = this.forward(points, null, start, length);
        for (let j = 0; j < this.out; j += 1) {
          for (let i = 0; i < length; i += 1) result[(start + i) * this.out + j] = f[j * BLOCK + i];
        }
      }
      return result;
    }
  }

  /* The matrix A W (rows, columns) of two factors, trained on the entries where shown is 1. */
  class Factorization {
    constructor({ rows, columns, width, std, seed = 0, a, w }) {
      const normal = normals(seed);
      Object.assign(this, { rows, columns, width, step: 0 });
      this.a = Float64Array.from(a ?? { length: rows * width }, (value) => value ?? std * normal());
      this.w = Float64Array.from(w ?? { length: width * columns }, (value) => value ?? std * normal());
    }

    product() {
      const { rows, columns, width, a, w } = this;
      const result = new Float64Array(rows * columns);
      for (let i = 0; i < rows; i += 1) {
        for (let k = 0; k < width; k += 1) {
          for (let j = 0; j < columns; j += 1) result[i * columns + j] += a[i * width + k] * w[k * columns + j];
        }
      }
      return result;
    }

    /* Gradient descent on L over the n shown entries with rate n * rate: a step moves by rate * sum of residuals. */
    train({ steps, rate, target, shown }) {
      const { rows, columns, width, a, w } = this;
      for (let s = 0; s < steps; s += 1) {
        const residual = this.product().map((value, i) => (shown[i] ? value - target[i] : 0));
        const da = new Float64Array(a.length);
        const dw = new Float64Array(w.length);
        for (let i = 0; i < rows; i += 1) {
          for (let k = 0; k < width; k += 1) {
            for (let j = 0; j < columns; j += 1) {
              da[i * width + k] += residual[i * columns + j] * w[k * columns + j];
              dw[k * columns + j] += residual[i * columns + j] * a[i * width + k];
            }
          }
        }
        for (let i = 0; i < a.length; i += 1) a[i] -= rate * da[i];
        for (let i = 0; i < w.length; i += 1) w[i] -= rate * dw[i];
      }
      this.step += steps;
    }
  }

  /* Lower triangle of L with L L^T = K + ridge I, or undefined if K + ridge I is not positive definite. */
  function cholesky(kernel, n, ridge) {
    const l = new Float64Array(n * n);
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j <= i; j += 1) {
        let sum = kernel[i * n + j] + (i === j ? ridge : 0);
        for (let k = 0; k < j; k += 1) sum -= l[i * n + k] * l[j * n + k];
        if (i > j) l[i * n + j] = sum / l[j * n + j];
        else if (sum > 1e-14 * Math.abs(kernel[i * n + i])) l[i * n + i] = Math.sqrt(sum);
        else return undefined;
      }
    }
    return l;
  }

  /* Solve K c = y for each right-hand side, K (n, n) symmetric positive semi-definite by rows. A kernel that is singular
     to rounding gets the smallest ridge that helps, in powers of ten from 1e-13 of its mean diagonal. */
  function solve(kernel, ...sides) {
    const n = sides[0].length;
    let trace = 0;
    for (let i = 0; i < n; i += 1) trace += kernel[i * n + i] / n;
    let l = cholesky(kernel, n, 0);
    for (let ridge = 1e-13 * trace; !l && ridge < trace; ridge *= 10) l = cholesky(kernel, n, ridge);
    if (!l) throw new Error("the kernel must be positive semi-definite");
    return sides.map((y) => {
      const c = Float64Array.from(y);
      for (let i = 0; i < n; i += 1) {
        for (let k = 0; k < i; k += 1) c[i] -= l[i * n + k] * c[k];
        c[i] /= l[i * n + i];
      }
      for (let i = n - 1; i >= 0; i -= 1) {
        for (let k = i + 1; k < n; k += 1) c[i] -= l[k * n + i] * c[k];
        c[i] /= l[i * n + i];
      }
      return c;
    });
  }

  /* {shift, weights} of the function shift + sum_j weights_j K(., x_j) through the points, shift 0. With mean: a constant
     costs nothing, as in fpcourse.flow.lfp_interpolant. */
  function coefficients(kernel, y, mean = false) {
    const [c, ones] = solve(kernel, y, new Float64Array(y.length).fill(1));
    const total = (v) => v.reduce((sum, value) => sum + value, 0);
    const shift = mean ? total(c) / total(ones) : 0;
    return { shift, weights: c.map((value, i) => value - shift * ones[i]) };
  }

  /* K_test K^-1 y, the limit of the kernel flow from 0; mean as above. */
  function interpolate(kernel, y, test, mean = false) {
    const n = y.length;
    const { shift, weights } = coefficients(kernel, y, mean);
    return Float64Array.from({ length: test.length / n }, (_, i) => {
      let sum = shift;
      for (let k = 0; k < n; k += 1) sum += test[i * n + k] * weights[k];
      return sum;
    });
  }

  /* Eigenvalues, largest first, and vectors (one after another) of a symmetric matrix (n, n), by Jacobi's rotations. */
  function eigen(matrix, n) {
    const a = Float64Array.from(matrix);
    const v = new Float64Array(n * n);
    for (let i = 0; i < n; i += 1) v[i * n + i] = 1; // row i: vector i
    const size = a.reduce((sum, value) => sum + value * value, 0);
    for (let sweep = 0; sweep < 30; sweep += 1) {
      let off = 0;
      for (let p = 0; p < n; p += 1) {
        for (let q = p + 1; q < n; q += 1) off += a[p * n + q] ** 2;
      }
      if (off <= 1e-30 * size) break;
      for (let p = 0; p < n; p += 1) {
        for (let q = p + 1; q < n; q += 1) {
          if (a[p * n + q] === 0) continue;
          const theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
          const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
          const c = 1 / Math.hypot(t, 1);
          const s = t * c;
          for (let k = 0; k < n; k += 1) {
            const [x, y] = [a[k * n + p], a[k * n + q]];
            a[k * n + p] = c * x - s * y;
            a[k * n + q] = s * x + c * y;
          }
          for (let k = 0; k < n; k += 1) {
            const [x, y, u, w] = [a[p * n + k], a[q * n + k], v[p * n + k], v[q * n + k]];
            a[p * n + k] = c * x - s * y;
            a[q * n + k] = s * x + c * y;
            v[p * n + k] = c * u - s * w;
            v[q * n + k] = s * u + c * w;
          }
        }
      }
    }
    const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j] - a[i * n + i]);
    const vectors = order.map((i) => v.slice(i * n, (i + 1) * n));
    return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors };
  }

  /* The rank of a matrix (rows, columns): eigenvalues of M M^T above 1e-10 of the largest. */
  function rank(matrix, rows, columns) {
    if (!rows) return 0;
    const gram = new Float64Array(rows * rows);
    for (let i = 0; i < rows; i += 1) {
      for (let j = 0; j < rows; j += 1) {
        for (let k = 0; k < columns; k += 1) gram[i * rows + j] += matrix[i * columns + k] * matrix[j * columns + k];
      }
    }
    const { values } = eigen(gram, rows);
    return values.filter((value) => value > 1e-10 * values[0]).length;
  }

  /* 1/n sum_j f_j e^(-2 pi i xi x_j) for every frequency: {re, im, abs}. */
  function nudft(x, f, frequencies) {
    const K = frequencies.length;
    const result = { re: new Float64Array(K), im: new Float64Array(K), abs: new Float64Array(K) };
    for (let k = 0; k < K; k += 1) {
      for (let j = 0; j < f.length; j += 1) {
        const phase = -2 * Math.PI * frequencies[k] * x[j];
        result.re[k] += (f[j] * Math.cos(phase)) / f.length;
        result.im[k] += (f[j] * Math.sin(phase)) / f.length;
      }
      result.abs[k] = Math.hypot(result.re[k], result.im[k]);
    }
    return result;
  }

  /* Answer calls {id, task, options}: what a worker does, and what the page does itself where it may have no worker. */
  function server() {
    let model;
    const report = () => ({
      step: model.step,
      loss: model.loss,
      outputs: (model.outputs ?? model.product()).slice(),
      parameters: model.parameters?.slice(),
    });
    const tasks = {
      /* {x, y, ...Network}: a new network and its outputs before training */
      network({ x, y, ...options }) {
        model = new Network(options);
        model.data(x, y);
        model.outputs.set(model.evaluate(x));
        return report();
      },
      factorization(options) {
        model = new Factorization(options);
        return report();
      },
      data: ({ x, y }) => model.data(x, y),
      parameters({ parameters }) {
        model.parameters.set(parameters);
      },
      train(options) {
        model.train(options);
        return report();
      },
      evaluate: ({ x }) => model.evaluate(x),
      interpolate: ({ kernel, y, test, mean }) => interpolate(kernel, y, test, mean),
      eigen: ({ matrix, n }) => eigen(matrix, n),
    };
    return (task, options) => tasks[task](options);
  }

  return { generator, normals, Network, Factorization, solve, coefficients, interpolate, eigen, rank, nudft, server };
};

/* A function call(task, options) -> promise, answered by a worker of its own. */
fpc.worker = () => {
  "use strict";
  const program = `const answer = (${fpc.engine})().server();
    onmessage = ({ data: { id, task, options } }) => {
      try { postMessage({ id, result: answer(task, options) }); }
      catch (error) { postMessage({ id, error: error.message }); }
    };`;
  let worker;
  try {
    const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    worker = new Worker(address);
    URL.revokeObjectURL(address);
  } catch {
    const answer = fpc.engine().server(); // a host that forbids workers: the page trains, a little at a time
    return async (task, options) => answer(task, options.ms ? { ...options, ms: 8 } : options);
  }
  const waiting = new Map();
  let next = 0;
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(result);
  };
  return (task, options) =>
    new Promise((resolve, reject) => {
      waiting.set(next, { resolve, reject });
      worker.postMessage({ id: next, task, options });
      next += 1;
    });
};
