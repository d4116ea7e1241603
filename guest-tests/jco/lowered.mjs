// Functions of the host that a transpiled component calls directly.
//
// If a component is transpiled with `--import-bindings hybrid`, jco looks for the property
// `Symbol.for('cabiLower')` on each function of the host. jco calls the property once, when it
// instantiates the component. Its result is the function that core Wasm then calls, with the
// words of the canonical ABI. The current jco gives every other call to the host a task of its
// own, which costs microseconds.

const CABI_LOWER = Symbol.for('cabiLower');

/** A parameter that is a list of records, all of whose fields are `u32`. */
export function records(...fields) {
  return (memory, at, count) => {
    const words = new Uint32Array(memory.buffer, at, count * fields.length);
    const list = [];
    for (let word = 0; word < words.length; ) {
      const record = {};
      for (const field of fields) {
        record[field] = words[word];
        word += 1;
      }
      list.push(record);
    }
    return list;
  };
}

/**
 * Gives `fn` the property by which jco calls it directly, and gives `fn` back. The result of
 * `fn` is a number, a big integer for 64 bits, or nothing.
 *
 * Without a `list` the parameters of `fn` are numbers, and they come as core Wasm has them: a
 * `u32` of 2^31 or more is negative. With a `list`, which is a `records(...)`, `fn` has that
 * list as its one parameter.
 */
export function lowered(fn, list) {
  fn[CABI_LOWER] = ({ memory }) => {
    return list === undefined ? fn : (at, count) => fn(list(memory, at, count));
  };
  return fn;
}
