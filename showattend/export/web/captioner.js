// An exported model in onnxruntime-web: the three graphs, and the beam search of showattend.runtime.beam_search for one photo.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { cropBox, toPixels } from "./preprocess.js";

ort.env.wasm.numThreads = 1; // more need headers that plain web servers do not send
ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", import.meta.url).href };

const json = async (name) => {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`the server has no ${name} (${response.status})`);
  return response.json();
};

/** A function from a picture (see preprocess.js) to captions, the best first, with the fields that the viewer shows. */
export async function loadCaptioner() {
  const [contract, tokens] = await Promise.all([json("contract.json"), json("vocabulary.json")]);
  const sessions = {};
  for (const [name, graph] of Object.entries(contract.graphs)) sessions[name] = await ort.InferenceSession.create(graph.file);
  const side = contract.preprocessing.image_size;

  return async (picture) => {
    const pixels = new ort.Tensor("uint8", toPixels(picture, contract.preprocessing), [1, 3, side, side]);
    const first = await sessions.first_state.run(await sessions.encoder.run({ pixels }));
    const isState = (name) => sessions.step.outputNames.includes(`next_${name}`);
    const cache = Object.fromEntries(Object.entries(first).filter(([name]) => !isState(name)));
    const state = Object.fromEntries(Object.entries(first).filter(([name]) => isState(name)));
    const step = async (tokenIds, state) => {
      const token_ids = new ort.Tensor("int64", BigInt64Array.from(tokenIds, BigInt), [1, tokenIds.length]);
      const results = await sessions.step.run({ token_ids, ...state, ...cache });
      return [results.log_probs, results.alpha, Object.fromEntries(Object.keys(state).map((name) => [name, results[`next_${name}`]]))];
    };
    const box = cropBox(picture, contract.preprocessing), place = { grid_shape: contract.grid.shape, crop_box: box, grid_box: gridBox(contract, box) };
    const found = await search(step, state, contract);
    if (!found.length) throw new Error("The model found no caption for this photo.");
    return found.map(({ ids, score, alphas, logProbs }) => {
      const words = ids.filter((id) => id !== contract.end_id).map((id) => tokens[id]), shown = spell(words, contract.tokenizer);
      return { ...shown, score, alphas: alphas.slice(0, words.length), log_probs: logProbs, betas: null, locations: null, gates: [], ...place };
    });
  };
}

const MARK = "▁"; // begins the first subword of a word
const UNSPACED = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}]/u;

/** A caption's text and its words as they are shown alone; see showattend.vocabulary.tokenizers. */
export function spell(words, tokenizer) {
  if (tokenizer === "bpe") {
    const label = (word) => (word === MARK ? word : word.startsWith(MARK) ? word.slice(1) : `-${word}`);
    return { text: words.join("").replaceAll(MARK, " ").trim(), words: words.map(label) };
  }
  const apart = (n) => n && !(tokenizer === "char" && (UNSPACED.test(words[n - 1]) || UNSPACED.test(words[n])));
  return { text: words.map((word, n) => (apart(n) ? ` ${word}` : word)).join(""), words };
}

/** What the grid covers on the photo; see showattend.geometry. */
function gridBox({ grid, preprocessing }, [left, upper, right, lower]) {
  const x = (right - left) / preprocessing.image_size, y = (lower - upper) / preprocessing.image_size;
  const start = grid.first - grid.step / 2, [endY, endX] = grid.shape.map((count) => start + count * grid.step);
  return [left + start * x, upper + start * y, left + endX * x, upper + endY * y];
}

/** The rows of a tensor (1,G,...), in another order. */
function takeRows(tensor, rows) {
  const [, count, ...rest] = tensor.dims, size = tensor.data.length / count, data = new tensor.data.constructor(rows.length * size);
  rows.forEach((row, n) => data.set(tensor.data.subarray(row * size, (row + 1) * size), n * size));
  return new ort.Tensor(tensor.type, data, [1, rows.length, ...rest]);
}

/** Hypotheses {ids, score, alphas, logProbs}, the best first. Ended ones keep their places among the beams. */
async function search(step, state, contract) {
  const config = contract.generation, ended = [];
  let active = [{ ids: [], logProb: 0, alphas: [], logProbs: [] }];
  const score = ({ ids, logProb }, length = ids.length) => logProb / length ** config.length_penalty;
  for (let length = 0; length < config.max_length && active.length; length++) {
    const [logProbs, alpha, next] = await step(active.map(({ ids }) => (ids.length ? ids[ids.length - 1] : contract.start_id)), state);
    const size = logProbs.data.length / active.length, locations = alpha.data.length / active.length, candidates = [];
    active.forEach((hypothesis, row) => {
      const allowed = constrain(logProbs.data.slice(row * size, (row + 1) * size), hypothesis.ids, contract);
      allowed.forEach((value, id) => { if (value > -Infinity) candidates.push({ row, id, value, key: Math.fround(hypothesis.logProb + value) }); });
    });
    candidates.sort((a, b) => b.key - a.key);
    const kept = candidates.slice(0, config.beam - ended.length).map(({ row, id, value, key }) => ({
      row, ids: [...active[row].ids, id], logProb: key, logProbs: [...active[row].logProbs, value],
      alphas: [...active[row].alphas, Array.from(alpha.data.subarray(row * locations, (row + 1) * locations))],
    }));
    ended.push(...kept.filter(({ ids }) => ids[length] === contract.end_id));
    active = kept.filter(({ ids }) => ids[length] !== contract.end_id);
    ended.sort((a, b) => score(b) - score(a));
    const bound = Math.max(...active.map((hypothesis) => score(hypothesis, config.max_length)));
    if (!active.length || ended.length >= config.num_captions && score(ended[config.num_captions - 1]) >= bound) break;
    state = Object.fromEntries(Object.entries(next).map(([name, tensor]) => [name, takeRows(tensor, active.map(({ row }) => row))]));
  }
  active.sort((a, b) => score(b) - score(a));
  return [...ended, ...active].slice(0, config.num_captions).map((each) => ({ ...each, score: score(each) }));
}

/** -Infinity for special and banned tokens, repeated n-grams, and the end before min_length unless no other token is left. */
function constrain(logProbs, ids, { generation: { ban, no_repeat_ngram: n, min_length }, forbidden_ids, end_id }) {
  for (const id of [...forbidden_ids, ...ban]) logProbs[id] = -Infinity;
  if (n) {
    const tail = ids.slice(ids.length - n + 1);
    for (let at = 0; at + n <= ids.length; at++) if (tail.every((id, k) => ids[at + k] === id)) logProbs[ids[at + n - 1]] = -Infinity;
  }
  if (ids.length < min_length) {
    const end = logProbs[end_id];
    logProbs[end_id] = -Infinity;
    if (logProbs.every((value) => value === -Infinity)) logProbs[end_id] = end;
  }
  return logProbs;
}
