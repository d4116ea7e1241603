// Tests of lowered.mjs, without jco. `node --test` runs them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lowered, records } from './lowered.mjs';

const PAGE_BYTES = 65_536;

/** The function that core Wasm would call. */
function direct(fn, memory) {
  return fn[Symbol.for('cabiLower')](memory === undefined ? {} : { memory });
}

test('a function of numbers is called as it is', () => {
  const doubled = lowered((number) => 2 * number);
  assert.equal(direct(doubled)(21), 42);
  assert.equal(doubled(21), 42);
});

test('a list of records is read from memory, without signs', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  new Uint32Array(memory.buffer, 16, 4).set([7, 1, 8, 0xffff_ffff]);
  const given = [];
  const keep = lowered((list) => void given.push(list), records('kind', 'handle'));
  assert.equal(direct(keep, memory)(16, 2), undefined);
  direct(keep, memory)(0, 0);
  assert.deepEqual(given, [[{ kind: 7, handle: 1 }, { kind: 8, handle: 0xffff_ffff }], []]);
});

test('a list is a copy, and its place is found after memory grew', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const words = () => new Uint32Array(memory.buffer, PAGE_BYTES, 1);
  let given;
  const keep = lowered((list) => (given = list), records('handle'));
  const call = direct(keep, memory);
  memory.grow(1);
  words().set([5]);
  call(PAGE_BYTES, 1);
  words().set([6]);
  assert.deepEqual(given, [{ handle: 5 }]);
});
