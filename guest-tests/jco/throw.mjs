// Drives the collector that pushes, on jco, with a `release` that throws once. Prints one
// JSON object with the observations: the caller's outcome, the collector's answers
// afterwards, and whether a handle came twice.

import { parseArgs } from 'node:util';
import { instantiate } from './jco.mjs';
import { lowered, records } from './lowered.mjs';

const WRAPPERS = 1_000;

async function main() {
  const { values, positionals } = parseArgs({
    options: { jco: { type: 'string', default: 'current' }, cache: { type: 'string' } },
    allowPositionals: true,
  });
  const seen = new Map();
  let throws = true;
  const release = (batch) => {
    for (const { handle } of batch) {
      seen.set(handle, (seen.get(handle) ?? 0) + 1);
    }
    if (throws) {
      throws = false;
      throw new Error('the host fails');
    }
  };
  const collector = await instantiate(positionals[0], values.jco, values.cache, {
    'tether:gc/releaser': { release: lowered(release, records('kind', 'handle')) },
  });
  for (let handle = 0; handle < WRAPPERS; handle += 1) {
    collector.wrappers.wrap(7, handle, 0);
  }
  const thrown = outcome(() => collector.heap.collect());
  const afterwards = outcome(() => collector.heap.allocate(0, 8));
  const closed = outcome(() => collector.wrappers.close());
  return {
    thrown,
    afterwards,
    closed,
    delivered: seen.size,
    delivered_twice: [...seen.values()].filter((times) => times > 1).length,
  };
}

/** "fine", the code of the collector's error, or "failed" for any other. */
function outcome(operation) {
  try {
    operation();
    return 'fine';
  } catch (error) {
    return error.payload?.code ?? (String(error).includes('the host fails') ? 'threw' : 'failed');
  }
}

process.stdout.write(`${JSON.stringify(await main())}\n`);
