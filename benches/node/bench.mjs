// Runs one cell of the benchmark on V8 and prints one JSON object, as the program
// in ../runner does on wasmtime. A module that ends in .wasm gets a fresh instance
// for each run, and may be the core module of a component whose imports take and give
// numbers alone; one that ends in .mjs is plain JavaScript, whose exports are the
// workloads. With --jco the file is a component, which that version of jco transpiles.
//
//   node --expose-gc bench.mjs FILE EXPORT N [--runs COUNT] [--warm-up COUNT]
//       [--budget SECONDS] [--jco VERSION --cache FOLDER]

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import v8 from "node:v8";

import { instantiate } from "../../guest-tests/jco/jco.mjs";
import { lowered } from "../../guest-tests/jco/lowered.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    "warm-up": { type: "string", default: "1" },
    // Seconds after which no further run begins.
    budget: { type: "string", default: "10" },
    jco: { type: "string" },
    cache: { type: "string" },
  },
});
const [path, name, n] = positionals;

/** The host's handles: a slab with a free list, as in the program for wasmtime. */
class Host {
  held = [];
  free = [];
  acquired = 0;
  released = 0;
  unreleasedPeak = 0;
  wrongReleases = 0;

  acquire() {
    const handle = this.free.length > 0 ? this.free.pop() : this.held.length;
    this.held[handle] = true;
    this.acquired += 1;
    const unreleased = this.acquired - this.released;
    if (unreleased > this.unreleasedPeak) this.unreleasedPeak = unreleased;
    return handle;
  }

  release(handle) {
    if (this.held[handle] === true) {
      this.held[handle] = false;
      this.free.push(handle);
      this.released += 1;
    } else {
      this.wrongReleases += 1;
    }
  }
}

/**
 * Imports of a module: its own, those that have the names of WIT if it is a component's, and
 * those of wasi-libc and of AssemblyScript's runtime.
 */
function imports(host, memory) {
  const writeZero = (at) => new DataView(memory().buffer).setUint32(at, 0, true);
  const handles = {
    acquire: () => host.acquire(),
    release: (handle) => host.release(handle),
  };
  return {
    bench: { now: () => performance.now() * 1e6, ...handles },
    "tether:bench/host@0.1.0": handles,
    env: {
      abort: (_message, _file, line) => {
        throw new Error(`the program aborted in line ${line}`);
      },
    },
    wasi_snapshot_preview1: {
      environ_sizes_get: (count, size) => (writeZero(count), writeZero(size), 0),
      environ_get: () => 0,
    },
  };
}

/** Imports that nothing here supplies become functions that fail when they are called. */
function withTraps(module, given) {
  for (const { module: from, name: what, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function" || given[from]?.[what] !== undefined) continue;
    (given[from] ??= {})[what] = () => {
      throw new Error(`${from}.${what} was called`);
    };
  }
  return given;
}

/** A component, on jco. */
async function loadComponent() {
  const imported = (host) => ({
    "tether:bench/host": {
      acquire: lowered(() => host.acquire()),
      release: lowered((handle) => host.release(handle)),
    },
  });
  const camelCase = name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
  return async () => {
    const host = new Host();
    const component = await instantiate(path, values.jco, values.cache, imported(host));
    return { host, workload: component[camelCase] };
  };
}

/** A function that makes a fresh program: its workload, memory and statistics. */
async function load() {
  if (values.jco !== undefined) return loadComponent();
  if (path.endsWith(".mjs")) {
    const { default: program } = await import(pathToFileURL(path));
    return () => {
      const host = new Host();
      return { host, workload: program(host)[name] };
    };
  }
  const module = new WebAssembly.Module(await readFile(path));
  return () => {
    const host = new Host();
    let memory;
    const instance = new WebAssembly.Instance(
      module,
      withTraps(module, imports(host, () => memory)),
    );
    memory = instance.exports.memory;
    instance.exports._initialize?.();
    const { [name]: workload, statistic } = instance.exports;
    const isMemory = (one) => one instanceof WebAssembly.Memory;
    const memories = Object.values(instance.exports).filter(isMemory);
    return { host, memories, workload, statistic };
  };
}

async function run(start) {
  const { host, memories = [], workload, statistic } = await start();
  if (workload === undefined) throw new Error(`no workload \`${name}\``);
  const cpuBefore = process.cpuUsage();
  const before = performance.now();
  const result = workload(Number(n));
  const seconds = (performance.now() - before) / 1e3;
  const cpu = process.cpuUsage(cpuBefore);
  const collections = statistic === undefined ? -1n : statistic(0);
  const hasMemory = memories.length > 0;
  const bytes = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  return {
    seconds,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    result: result.toString(),
    pages: hasMemory ? bytes / 65536 : null,
    collections: collections < 0n ? null : Number(collections),
    // V8's heap right after the run: the memory that its own collector took.
    heapBytes: hasMemory ? null : v8.getHeapStatistics().total_physical_size,
    host,
  };
}

const start = await load();
const collect = globalThis.gc ?? (() => {});

/** Collects first, so that a run does not collect objects of the run before. */
const runAfresh = () => {
  collect();
  return run(start);
};

for (let i = 0; i < Number(values["warm-up"]); i += 1) await runAfresh();
const measured = [];
const begun = performance.now();
const isOver = () => performance.now() - begun > Number(values.budget) * 1e3;
while (measured.length < Number(values.runs) && (measured.length === 0 || !isOver())) {
  measured.push(await runAfresh());
}
const last = measured.at(-1);
const most = (of) => Math.max(...measured.map(of));
console.log(
  JSON.stringify({
    seconds: measured.map((one) => one.seconds),
    cpu_seconds: measured.map((one) => one.cpuSeconds),
    results: measured.map((one) => one.result),
    memory_pages: last.pages === null ? null : most((one) => one.pages),
    gc_heap_bytes: last.heapBytes === null ? null : most((one) => one.heapBytes),
    peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
    acquired: last.host.acquired,
    released: last.host.released,
    unreleased_peak: most((one) => one.host.unreleasedPeak),
    wrong_releases: measured.reduce((sum, one) => sum + one.host.wrongReleases, 0),
    collections: last.collections,
    instructions: null,
  }),
);
