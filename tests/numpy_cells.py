"""The equations of every cell in NumPy, one row of a batch at a time, without any code of the package.

Each function takes the parameters of a cell by name, x and the old state as NumPy vectors, and returns the new state. Blocks of
rows are chosen by index, in the order in which the paper (or torch, for its own cells) lists the gates.
"""

import numpy as np
from numpy import exp, log, maximum, tanh

Array = np.ndarray
Weights = dict[str, Array]


def s(a: Array) -> Array:
    return 1 / (1 + exp(-a))


def block_product(matrix: Array, vector: Array, block: int, size: int) -> Array:
    """One block of rows of a matrix times a vector, as a sum of products for each unit."""
    return np.array(
        [sum(float(w) * float(v) for w, v in zip(row, vector, strict=True)) for row in matrix[block * size : (block + 1) * size]]
    )


def W(p: Weights, k: int, x: Array, size: int, bias: bool = True) -> Array:
    return block_product(p["weight_ih"], x, k, size) + (p["bias"][k * size : (k + 1) * size] if bias else 0)


def U(p: Weights, k: int, h: Array, name: str = "weight_hh") -> Array:
    return block_product(p[name], h, k, len(h))


def a(p: Weights, k: int, x: Array, h: Array) -> Array:
    return W(p, k, x, len(h)) + U(p, k, h)


def elman(p, x, h):
    return (tanh(a(p, 0, x, h)),)


def lstm(p, x, h, c):
    i, f, g, o = s(a(p, 0, x, h)), s(a(p, 1, x, h)), tanh(a(p, 2, x, h)), s(a(p, 3, x, h))
    c = i * g + f * c
    return o * tanh(c), c


def coupled(p, x, h, c):
    f, g, o = s(a(p, 0, x, h)), tanh(a(p, 1, x, h)), s(a(p, 2, x, h))
    c = f * c + (1 - f) * g
    return o * tanh(c), c


def janet(p, x, c):
    f, g = a(p, 0, x, c), tanh(a(p, 1, x, c))
    return (s(f) * c + (1 - s(f - 1)) * g,)


def slstm(p, x, h, c, n, m):
    """Without the stabiliser m: the exponentials themselves; the state is scaled by e^m on the way in and e^-m on the way out."""
    i, f = exp(a(p, 0, x, h)), s(a(p, 1, x, h))
    z, o = tanh(a(p, 2, x, h)), s(a(p, 3, x, h))
    true_c = f * c * exp(m) + i * z
    true_n = f * n * exp(m) + i
    m = maximum(log(i), log(f) + m)
    return o * true_c / true_n, true_c / exp(m), true_n / exp(m), m


def peephole(p, x, h, c, i=True, f=True, o=True, input_activation=tanh, output_activation=tanh):
    """Greff's V; a gate whose argument is False is left out and counts as 1."""
    gates = [name for name, included in (("i", i), ("f", f), ("g", True), ("o", o)) if included]

    def gate(name: str, c: Array) -> Array:
        return s(a(p, gates.index(name), x, h) + p[f"p_{name}"] * c) if name in gates else np.ones_like(h)

    written = input_activation(a(p, gates.index("g"), x, h))
    new_c = gate("f", c) * c + gate("i", c) * written
    return gate("o", new_c) * output_activation(new_c), new_c


def peephole_full(p, x, h, c):
    i = s(a(p, 0, x, h) + U(p, 0, c, "P_if"))
    f = s(a(p, 1, x, h) + U(p, 1, c, "P_if"))
    c = f * c + i * tanh(a(p, 2, x, h))
    o = s(a(p, 3, x, h) + U(p, 0, c, "P_o"))
    return o * tanh(c), c


def cifg(p, x, h, c):
    i = s(a(p, 0, x, h) + p["p_i"] * c)
    c = (1 - i) * c + i * tanh(a(p, 1, x, h))
    return s(a(p, 2, x, h) + p["p_o"] * c) * tanh(c), c


def fgr(p, x, h, c, old_i, old_f, old_o):
    size = len(h)

    def from_gates(k: int) -> Array:
        blocks = [p["R"][k * size : (k + 1) * size, j * size : (j + 1) * size] for j in range(3)]
        return (
            block_product(blocks[0], old_i, 0, size) + block_product(blocks[1], old_f, 0, size) + block_product(blocks[2], old_o, 0, size)
        )

    i = s(a(p, 0, x, h) + from_gates(0) + p["p_i"] * c)
    f = s(a(p, 1, x, h) + from_gates(1) + p["p_f"] * c)
    c = f * c + i * tanh(a(p, 2, x, h))
    o = s(a(p, 3, x, h) + from_gates(2) + p["p_o"] * c)
    return o * tanh(c), c, i, f, o


def gru(p, x, h):
    z, r = s(a(p, 0, x, h)), s(a(p, 1, x, h))
    return ((1 - z) * h + z * tanh(W(p, 2, x, len(h)) + U(p, 0, r * h, "weight_rh")),)


def gru_reset_after(p, x, h):
    r, z = s(a(p, 0, x, h)), s(a(p, 1, x, h))
    n = tanh(W(p, 2, x, len(h)) + r * (U(p, 2, h) + p["b_hn"]))
    return ((1 - z) * n + z * h,)


def mgu(p, x, h):
    f = s(a(p, 0, x, h))
    return ((1 - f) * h + f * tanh(W(p, 1, x, len(h)) + U(p, 0, f * h, "weight_fh")),)


def mut1(p, x, h):
    size = len(h)
    z, r = s(W(p, 0, x, size)), s(W(p, 1, x, size) + U(p, 0, h))
    candidate = tanh(U(p, 0, r * h, "weight_rh") + tanh(W(p, 2, x, size, bias=False)) + p["b_h"])
    return (z * candidate + (1 - z) * h,)


def mut3(p, x, h):
    size = len(h)
    z = s(W(p, 0, x, size) + U(p, 0, tanh(h), "weight_zh"))
    r = s(W(p, 1, x, size) + U(p, 0, h))
    return (z * tanh(U(p, 0, r * h, "weight_rh") + W(p, 2, x, size)) + (1 - z) * h,)


def clockwork(p, x, h, t):
    """Periods 1 and 2: the second half changes at even times only and does not read the first."""
    half = len(h) // 2
    wx = W(p, 0, x, len(h))
    fast = tanh(wx[:half] + block_product(p["U.0"], h, 0, half))
    slow = tanh(wx[half:] + block_product(p["U.1"], h[half:], 0, half))
    return np.concatenate((fast, slow if t[0] % 2 == 0 else h[half:])), t + 1


def norm(v: Array) -> Array:
    return (v - v.mean()) / np.sqrt(v.var() + 1e-5)


def layer_norm_lstm(p, x, h, c):
    size = len(h)
    wx = np.concatenate([W(p, k, x, size, bias=False) for k in range(4)])
    uh = np.concatenate([U(p, k, h) for k in range(4)])
    i, f, g, o = np.split(p["gain_x"] * norm(wx) + p["gain_h"] * norm(uh) + p["bias"], 4)
    c = s(f) * c + s(i) * tanh(g)
    return s(o) * tanh(p["gain_c"] * norm(c) + p["shift_c"]), c


def ligru(p, x, h, t):
    """In evaluation mode: normalised by the running statistics of the step."""
    step = min(int(t[0]), len(p["running_mean"]) - 1)
    size = len(h)
    wx = np.concatenate([W(p, k, x, size, bias=False) for k in range(2)])
    wx = p["gain"] * (wx - p["running_mean"][step]) / np.sqrt(p["running_var"][step] + 1e-5) + p["bias"]
    z, candidate = s(wx[:size] + U(p, 0, h)), maximum(wx[size:] + U(p, 1, h), 0)
    return z * h + (1 - z) * candidate, t + 1


def min_gru(p, x, h):
    z = s(W(p, 0, x, len(h)))
    return ((1 - z) * h + z * W(p, 1, x, len(h)),)


def min_lstm(p, x, h):
    f, i = s(W(p, 0, x, len(h))), s(W(p, 1, x, len(h)))
    return (f / (f + i) * h + i / (f + i) * W(p, 2, x, len(h)),)


def sru(p, x, h, c):
    size = len(h)
    f, r = s(W(p, 0, x, size) + p["v_f"] * c), s(W(p, 1, x, size) + p["v_r"] * c)
    c = f * c + (1 - f) * W(p, 2, x, size, bias=False)
    highway = x if len(x) == size else W(p, 3, x, size, bias=False)
    return r * c + (1 - r) * highway, c


def depth_gated(p, x, upper_h, upper_c, lower_h, lower_c):
    lower = {name.removeprefix("layers.0."): value for name, value in p.items() if name.startswith("layers.0.")}
    upper = {name.removeprefix("layers.1."): value for name, value in p.items() if name.startswith("layers.1.")}
    lower_h, lower_c = lstm(lower, x, lower_h, lower_c)
    i, f, g, o = (a(upper, k, lower_h, upper_h) for k in range(4))
    d = s(W(upper, 4, lower_h, len(upper_h)) + upper["w_cd"] * upper_c + upper["w_ld"] * lower_c)
    upper_c = s(f) * upper_c + s(i) * tanh(g) + d * lower_c
    return s(o) * tanh(upper_c), upper_c, lower_h, lower_c


def variant(**changes):
    return lambda p, x, h, c: peephole(p, x, h, c, **changes)


STEPS = {
    "cifg": cifg,
    "clockwork": clockwork,
    "coupled": coupled,
    "depth_gated": depth_gated,
    "elman": elman,
    "fgr": fgr,
    "gru": gru,
    "gru_reset_after": gru_reset_after,
    "janet": janet,
    "layer_norm_lstm": layer_norm_lstm,
    "ligru": ligru,
    "lstm": lstm,
    "mgu": mgu,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "mut1": mut1,
    "mut2": gru,  # with x projected, MUT2 is the GRU
    "mut3": mut3,
    "nfg": variant(f=False),
    "niaf": variant(input_activation=lambda a: a),
    "nig": variant(i=False),
    "noaf": variant(output_activation=lambda c: c),
    "nog": variant(o=False),
    "np": lstm,
    "peephole": peephole,
    "peephole_full": peephole_full,
    "slstm": slstm,
    "sru": sru,
}
