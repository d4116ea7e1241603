// Drives the collector that pushes, on jco, with a `release` that calls back in. The
// collector must answer `busy` to these calls, and go on. Prints one JSON object with the
// observations.

import { parseArgs } from 'node:util';
import { instantiate } from './jco.mjs';
import { lowered, records } from './lowered.mjs';

const WRAPPERS = 10_000;

async function main() {
  const { values, positionals } = parseArgs({
    options: { jco: { type: 'string', default: 'current' }, cache: { type: 'string' } },
    allowPositionals: true,
  });
  const released = new Map();
  const answers = new Set();
  let batches = 0;
  let collector;
  const release = (batch) => {
    batches += 1;
    for (const { handle } of batch) {
      released.set(handle, (released.get(handle) ?? 0) + 1);
    }
    answers.add(codeOf(() => collector.heap.collect()));
    answers.add(codeOf(() => collector.wrappers.wrap(7, WRAPPERS, 0)));
  };
  collector = await instantiate(positionals[0], values.jco, values.cache, {
    'tether:gc/releaser': { release: lowered(release, records('kind', 'handle')) },
  });
  for (let handle = 0; handle < WRAPPERS; handle += 1) {
    collector.wrappers.wrap(7, handle, 0);
  }
  collector.heap.collect();
  const violation = collector.diagnostics.verify() ?? null;
  collector.wrappers.close();
  const { wrappersRegistered } = collector.diagnostics.readStatistics();
  return {
    registered: Number(wrappersRegistered),
    released: released.size,
    released_twice: [...released.values()].filter((times) => times > 1).length,
    batches,
    answers: [...answers],
    violation,
  };
}

/** The code of the collector's error; `no error` for a success; else the exception as text. */
function codeOf(operation) {
  try {
    operation();
    return 'no error';
  } catch (error) {
    return error.payload?.code ?? String(error);
  }
}

process.stdout.write(`${JSON.stringify(await main())}\n`);
