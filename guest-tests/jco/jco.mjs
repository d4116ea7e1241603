// Components on jco: transpiled once for each version, and instantiated.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

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

/**
 * The folder with a component's JavaScript. It is made once: its name holds
 * jco's version and the component's hash.
 */
function transpile(wasm, version, cache) {
  const { folder, about } = jco(version);
  const hash = createHash('sha256').update(readFileSync(wasm)).digest('hex').slice(0, 16);
  const done = join(cache, `${about.version}-${hash}`);
  if (existsSync(done)) {
    return done;
  }
  // The output is made in another folder first: an interrupted run leaves nothing half
  // done, and two runs at a time do not meet.
  const made = `${done}.${process.pid}`;
  mkdirSync(made, { recursive: true });
  const options = ['--instantiation', 'async', '--no-wasi-shim', '--no-typescript', '--quiet'];
  execFileSync(
    process.execPath,
    [join(folder, about.bin.jco), 'transpile', wasm, ...options, '--name', 'component', '-o', made],
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
