// Runs a composition of the ledger and the collector on jco, and prints one JSON
// object. `cargo xtask run --host jco` calls it.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Decimals } from './decimals.mjs';
import { ledgerImports, wasiImports } from './imports.mjs';
import { instantiate, jco } from './jco.mjs';
import { FAILURE, reportOf, reportOfNone } from './report.mjs';

const HELP = `Runs a composition of the ledger and the collector on jco, or the one component that
they are linked to.

Usage: node run.mjs --jco VERSION --cache FOLDER COMPOSITION.wasm DOCUMENT.json [options]

Options:
  --jco VERSION        current or 1.10.2
  --cache FOLDER       where transpiled components are kept
  --wrap-capacity N    entries of the wrap table at the start
  --wrap-limit N       entries to which it may grow
  --keep-decimals      keep the decimal of every number
  --pack-numbers       put numbers that stand together into one object
  --door NAME          how the ledger comes to the collector, for the report: component
                       (default), linked, fused or core
  --heap-limit N       bytes that the collector may take
  --gc-options TEXT    the environment variable TETHER_GC
  --echo-trace         copy what the collector traces to stderr
  -h, --help           print this

Prints one JSON object. Exit code 0 for success, 1 for an error that the object
names, 2 for a trap.
`;

const OPTIONS = {
  jco: { type: 'string', default: 'current' },
  cache: { type: 'string' },
  'wrap-capacity': { type: 'string', default: '0' },
  'wrap-limit': { type: 'string', default: '0' },
  'keep-decimals': { type: 'boolean', default: false },
  'pack-numbers': { type: 'boolean', default: false },
  door: { type: 'string', default: 'component' },
  'heap-limit': { type: 'string', default: '0' },
  'gc-options': { type: 'string' },
  'echo-trace': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
};

async function main() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [composition, document] = positionals;
  if (document === undefined || positionals.length > 2 || values.cache === undefined) {
    throw new Error('give a --cache, a composition and a document; see --help');
  }
  const around = {
    host: values.jco === 'current' ? 'jco' : `jco@${values.jco}`,
    host_version: `jco ${jco(values.jco).about.version}, Node ${process.version}`,
    door: values.door,
    document,
    numbers_packed: values['pack-numbers'] && !values['keep-decimals'],
  };
  let bytes;
  try {
    bytes = readFileSync(document);
  } catch (error) {
    print(reportOfNone(around, 'document', `cannot read ${document}: ${error.message}`));
    return FAILURE;
  }
  const decimals = new Decimals();
  const write = values['echo-trace'] ? undefined : () => {};
  const component = await instantiate(composition, values.jco, values.cache, {
    ...ledgerImports(decimals, bytes),
    ...wasiImports(values['gc-options'], write),
  });
  const [code, report] = reportOf(run(component.program, settingsOf(values)), decimals, around);
  print(report);
  return code;
}

function settingsOf(values) {
  return {
    heapLimitBytes: count(values, 'heap-limit'),
    wrapCapacity: count(values, 'wrap-capacity'),
    wrapLimit: count(values, 'wrap-limit'),
    keepDecimals: values['keep-decimals'],
    packNumbers: values['pack-numbers'],
  };
}

function count(values, name) {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 0 || number > 0xffff_ffff) {
    throw new Error(`--${name} takes a number, not "${values[name]}"`);
  }
  return number;
}

/** Runs the program. Gives its outcome, or the exception as `trap`; and the seconds. */
function run(program, settings) {
  const started = process.hrtime.bigint();
  const seconds = () => Number(process.hrtime.bigint() - started) / 1e9;
  try {
    const outcome = program.run(settings);
    return { outcome, seconds: seconds() };
  } catch (trap) {
    return { trap, seconds: seconds() };
  }
}

function print(report) {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`run.mjs: ${error.stack}\n`);
  process.exitCode = FAILURE;
}
