// The imports of a composition of ledger and collector: the ledger's decimals and document,
// and the little of WASI that the collector's WASI build uses.

import { writeSync } from 'node:fs';
import { lowered } from './lowered.mjs';

/**
 * The ledger's own imports, over a table of decimals and a document's bytes. They are called in
 * batches of hundreds, so direct calls (`lowered.mjs`) would save no time that can be measured.
 */
export function ledgerImports(decimals, bytes) {
  let at = 0;
  return {
    'tether:ledger/decimals': {
      parseMany: (texts, ends) => parseMany(decimals, texts, ends),
      runningSums: (start, addends) => decimals.runningSums(start, addends),
      toText: (handle) => decimals.toText(handle),
      dropMany: (handles) => handles.forEach((handle) => decimals.release(handle)),
    },
    'tether:ledger/document': {
      read(max) {
        const chunk = bytes.subarray(at, at + max);
        at += chunk.length;
        return chunk;
      },
    },
  };
}

function parseMany(decimals, texts, ends) {
  const text = Buffer.from(texts.buffer, texts.byteOffset, texts.byteLength).toString('latin1');
  const made = new Uint32Array(ends.length);
  let begin = 0;
  for (let index = 0; index < ends.length; index += 1) {
    const handle = decimals.parse(text.slice(begin, ends[index]));
    if (handle === null) {
      // The guest never sees the decimals that this batch made before the refused one.
      made.subarray(0, index).forEach((earlier) => decimals.release(earlier));
      // The error case of a `result` is thrown, with its value as the payload.
      throw Object.assign(new Error('refused'), { payload: { index } });
    }
    made[index] = handle;
    begin = ends[index];
  }
  return made;
}

class StderrStream {
  #write;

  constructor(write) {
    this.#write = write;
  }

  blockingWriteAndFlush(bytes) {
    this.#write(bytes);
  }
}

class IoError {}

/** WASI's imports. `write` gets the bytes that the guest writes to stderr. */
export function wasiImports(gcOptions, write = (bytes) => writeSync(2, bytes)) {
  return {
    'wasi:cli/environment': {
      getEnvironment: () => (gcOptions === undefined ? [] : [['TETHER_GC', gcOptions]]),
    },
    'wasi:cli/stderr': { getStderr: () => new StderrStream(write) },
    'wasi:clocks/monotonic-clock': { now: lowered(() => process.hrtime.bigint()) },
    'wasi:io/error': { Error: IoError },
    'wasi:io/streams': { OutputStream: StderrStream },
  };
}
