// Components on jco: transpiled once for each version, and instantiated.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

// The current jco's output asks for `process.env.JCO_DEBUG` many times in each call that it makes a
// task for. Node's own object asks the system each time; a copy is an object like any other.
process.env = { ...process.env };

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** The names that the command lines here take, and the packages behind them. */
const PACKAGES = { current: 'jco-current', '1.10.2': 'jco-1.10.2' };

/** The npm package of one version of jco: its folder and package.json. */
export function jco(name) {
  const folder = PACKAGES[name] && join(HERE, 'node_modules', PACKAGES[name]);
  if (folder === undefined) {
    throw new Error(`there is no jco "${name}": ${Object.keys(PACKAGES).join(' and ')} are`);
  }
  if (!existsSync(folder)) {
    throw new Error('jco is not installed; `cargo xtask test` or `cargo xtask run` does that');
  }
  return { folder, about: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) };
}

/** The smallest module with two memories. */
const TWO_MEMORIES = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 5, 2, 0, 0, 0, 0);

/**
 * Whether this Node runs modules with more than one memory, as Node 22 and later do. On other
 * Nodes jco's code between two components calls JavaScript for each load from the second memory
 * and each store to it.
 */
export const HAS_MULTI_MEMORY = WebAssembly.validate(TWO_MEMORIES);

/** The options by which components are transpiled. `hybrid` is for `lowered.mjs`. */
const OPTIONS = [
  ...['--instantiation', 'async', '--import-bindings', 'hybrid'],
  ...['--no-wasi-shim', '--no-typescript', '--quiet'],
  ...(HAS_MULTI_MEMORY ? ['--multi-memory'] : []),
];

/**
 * The folder with a component's JavaScript. It is made once: its name holds
 * jco's version and a hash of the component and the options.
 */
function transpile(wasm, version, cache) {
  const { folder, about } = jco(version);
  const madeOf = createHash('sha256').update(readFileSync(wasm)).update(OPTIONS.join(' '));
  const done = join(cache, `${about.version}-${madeOf.digest('hex').slice(0, 16)}`);
  if (existsSync(done)) {
    return done;
  }
  // The output is made in another folder first: an interrupted run leaves nothing half
  // done, and two runs at a time do not meet.
  const made = `${done}.${process.pid}`;
  mkdirSync(made, { recursive: true });
  execFileSync(
    process.execPath,
    [join(folder, about.bin.jco), 'transpile', wasm, ...OPTIONS, '--name', 'component', '-o', made],
    { stdio: ['ignore', 2, 2] },
  );
  // The output consists of ES modules, and nothing else in it says so.
  writeFileSync(join(made, 'package.json'), '{ "type": "module" }\n');
  try {
    renameSync(made, done);
  } catch (error) {
    rmSync(made, { recursive: true });
    if (!existsSync(done)) {
      throw error;
    }
  }
  return done;
}

/** Transpiles a component, if need be, and instantiates it. */
export async function instantiate(wasm, version, cache, imports) {
  const folder = transpile(wasm, version, cache);
  const { instantiate } = await import(pathToFileURL(join(folder, 'component.js')).href);
  const compile = (name) => WebAssembly.compile(readFileSync(join(folder, name)));
  return instantiate(compile, imports);
}
