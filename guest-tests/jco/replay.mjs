// Replays a trace of the model (`fuzz/model/src/trace.rs`) on the collector's component,
// and compares every answer. Prints one JSON object: {"steps": N, "mismatch": null | text}.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { instantiate } from './jco.mjs';

const HELP = `Replays traces on the collector's component, on jco.

Usage: node replay.mjs --jco VERSION --cache FOLDER COLLECTOR.wasm TRACES.json

TRACES.json is an array of {"options", "steps"}, as tether-differential writes it.
`;

const wide = (low, high) => BigInt(low) | (BigInt(high) << 32n);

function chunks(words, size) {
  const all = [];
  for (let at = 0; at < words.length; at += size) {
    all.push(words.slice(at, at + size));
  }
  return all;
}

const pairs = (handles) => handles.flatMap(({ kind, handle }) => [kind, handle]);

/** Each operation of a trace: words in, words out. */
function operations({ heap, roots, wrappers, diagnostics }) {
  return {
    'define-layout': ([fixed, low, high, element, elementLow, elementHigh]) => [
      heap.defineLayout(
        { count: fixed, references: wide(low, high) },
        { count: element, references: wide(elementLow, elementHigh) },
      ),
    ],
    allocate: ([layout, length]) => [heap.allocate(layout, length)],
    create: ([layout, length, ...words]) => [heap.create(layout, length, Uint32Array.from(words))],
    build: (program) => [heap.build(Uint32Array.from(program))],
    get: ([object, index]) => [heap.get(object, index)],
    set: ([object, index, value]) => none(heap.set(object, index, value)),
    'read-bytes': ([object, offset, count]) => [...heap.readBytes(object, offset, count)],
    'write-bytes': ([object, offset, ...bytes]) =>
      none(heap.writeBytes(object, offset, Uint8Array.from(bytes))),
    'read-objects': ([most, ...objects]) => [...heap.readObjects(Uint32Array.from(objects), most)],
    'write-many': (words) =>
      none(heap.writeMany(chunks(words, 3).map(([object, index, value]) => ({ object, index, value })))),
    collect: () => none(heap.collect()),
    push: ([object]) => none(roots.push(object)),
    pop: () => [roots.pop()],
    depth: () => [roots.depth()],
    truncate: ([depth]) => none(roots.truncate(depth)),
    root: ([index]) => [roots.get(index)],
    'set-root': ([index, object]) => none(roots.set(index, object)),
    'enter-scope': () => none(roots.enterScope()),
    'leave-scope': ([keep]) => none(roots.leaveScope(keep)),
    pin: ([object]) => [roots.pin(object)],
    unpin: ([object]) => [roots.unpin(object)],
    register: ([wrapper, kind, handle, weight]) =>
      none(wrappers.register(wrapper, kind, handle, weight)),
    'register-many': (words) =>
      none(
        wrappers.registerMany(
          chunks(words, 4).map(([wrapper, kind, handle, weightBytes]) => ({
            wrapper, kind, handle, weightBytes,
          })),
        ),
      ),
    wrap: ([kind, handle, weight]) => [wrappers.wrap(kind, handle, weight)],
    'wrap-many': ([kind, weight, ...handles]) => [
      ...wrappers.wrapMany(kind, Uint32Array.from(handles), weight),
    ],
    'handle-of': ([wrapper]) => pairs([wrappers.handleOf(wrapper)]),
    dispose: ([wrapper]) => none(wrappers.dispose(wrapper)),
    drain: ([most]) => pairs(wrappers.drain(most)),
    pending: () => [wrappers.pending()],
    close: () => [wrappers.close()],
    statistics: () => {
      const counts = diagnostics.readStatistics();
      return [
        counts.collections, counts.collectionsForHandles, counts.liveBytes,
        Number(BigInt.asUintN(32, counts.wrappersRegistered)),
        Number(BigInt.asUintN(32, counts.handlesReleased)),
        counts.wrappersLive, counts.wrapTableCapacity, counts.roots,
        Number(BigInt.asUintN(32, counts.externalBytes)),
      ];
    },
    verify: () => {
      const violation = diagnostics.verify();
      return violation === undefined ? [] : [violation.invariant, violation.at];
    },
  };
}

/** An operation without a result. */
function none() {
  return [];
}

/** The answer of a call: words, or {code, value, at}. */
function perform(operation, words) {
  try {
    return operation(words);
  } catch (error) {
    if (error.payload === undefined) {
      throw error;
    }
    const { at = 0, reason = error.payload } = error.payload;
    return { code: reason.code, value: reason.value, at };
  }
}

/** Replays one trace. Gives the first step that differs, in words, or null. */
function replay(collector, steps) {
  const addresses = [];
  const resolve = (operand) =>
    Array.isArray(operand) ? (addresses[operand[0]] + operand[1]) >>> 0 : operand;
  const table = operations(collector);
  for (const [number, [name, operands, answer]] of steps.entries()) {
    const words = operands.map(resolve);
    const given = perform(table[name], words);
    let expected;
    if (Array.isArray(answer)) {
      expected = answer.map((operand, index) => {
        if (operand !== 'new') {
          return resolve(operand);
        }
        addresses.push(given[index]);
        return given[index];
      });
    } else {
      expected = { ...answer, value: resolve(answer.value) };
    }
    if (JSON.stringify(given) !== JSON.stringify(expected)) {
      const told = (answer) => JSON.stringify(answer).slice(0, 200);
      return `step ${number}, ${name} ${told(words)}, gave ${told(given)} and not ${told(expected)}`;
    }
  }
  return null;
}

async function main() {
  const { values, positionals } = parseArgs({
    options: {
      jco: { type: 'string', default: 'current' },
      cache: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const [wasm, file] = positionals;
  let steps = 0;
  let mismatch = null;
  for (const [number, trace] of JSON.parse(readFileSync(file, 'utf8')).entries()) {
    const collector = await instantiate(wasm, values.jco, values.cache, {});
    collector.heap.configure(trace.options);
    const different = replay(collector, trace.steps);
    if (different !== null) {
      mismatch = `trace ${number}, ${different}`;
      break;
    }
    steps += trace.steps.length;
  }
  process.stdout.write(`${JSON.stringify({ steps, mismatch })}\n`);
}

await main();
