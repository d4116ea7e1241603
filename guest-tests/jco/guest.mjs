// Runs a guest of the core door on jco: calls its exports as a script of JSON says, and
// counts the host's tickets that it takes and gives back. Prints one JSON object.

import { parseArgs } from 'node:util';
import { instantiate } from './jco.mjs';
import { lowered, records } from './lowered.mjs';

const HELP = `Runs a guest of the core door on jco.

Usage: node guest.mjs --jco VERSION --cache FOLDER GUEST.wasm INTERFACE CALLS

INTERFACE is the export's name, CALLS a JSON array of calls: [function, argument, ...], as WIT names them.
Prints {"answers": [...], "issued": N, "returned": N, "unknown": N}. A result's error is
the answer {"error": payload}.
`;

/** Numbers that the host gives out, and that the guest is to bring back once each. */
class Tickets {
  #out = new Set();
  #next = 100;
  returned = 0;
  unknown = 0;

  issue() {
    const number = this.#next;
    this.#next += 1;
    this.#out.add(number);
    return number;
  }

  giveBack(tickets) {
    for (const { number } of tickets) {
      if (this.#out.delete(number)) {
        this.returned += 1;
      } else {
        this.unknown += 1;
      }
    }
  }

  get issued() {
    return this.#next - 100;
  }
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
  const [guest, face, calls] = positionals;
  const tickets = new Tickets();
  const component = await instantiate(guest, values.jco, values.cache, {
    'tether:wat-guest/tickets': {
      issue: lowered(() => tickets.issue()),
      giveBack: lowered((given) => tickets.giveBack(given), records('kind', 'number')),
    },
    'tether:c-guest/entries': {
      open: () => tickets.issue(),
      close: lowered((given) => tickets.giveBack(given), records('kind', 'number')),
    },
  });
  const answers = JSON.parse(calls).map(([name, ...rest]) => {
    return answer(component[face][camelCase(name)], rest);
  });
  const { issued, returned, unknown } = tickets;
  process.stdout.write(`${JSON.stringify({ answers, issued, returned, unknown })}\n`);
}

/** A name of WIT as jco spells it: `live-bytes` is `liveBytes`. */
function camelCase(name) {
  return name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
}

function answer(operation, words) {
  try {
    const given = operation(...words);
    return typeof given === 'bigint' ? Number(given) : (given ?? null);
  } catch (error) {
    if (error.payload === undefined) {
      throw error;
    }
    return { error: error.payload };
  }
}

await main();
