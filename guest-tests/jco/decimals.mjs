// Decimals that live in the host, behind handles: the same rules as the Rust
// host's, with big.js as the decimal library.
//
// No number is given out twice, so a second release is told apart from a release
// of something never made. A guest's mistake is counted here and read from
// `check` when the guest is done.

import Big from 'big.js';

/** Exponents as written go no further than this, either way. */
export const EXPONENT_LIMIT = 100_000;

// A number by RFC 8259; big.js takes more than that (`.5`, `5.`, `01`).
const JSON_NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE]([+-]?[0-9]+))?$/;

const ZERO = new Big(0);

export class Decimals {
  #live = new Map();
  #next = 0;
  #peak = 0;
  #faults = { double_releases: 0, unknown_handles: 0, uses_after_release: 0 };

  /** The handle of a new decimal, or null where the text is none that is held. */
  parse(text) {
    const match = JSON_NUMBER.exec(text);
    if (match === null || Math.abs(Number(match[1] ?? 0)) > EXPONENT_LIMIT) {
      return null;
    }
    return this.#keep(new Big(text));
  }

  /** `start + addends[0]`, that `+ addends[1]`, and so on, each a new decimal. */
  runningSums(start, addends) {
    const sums = new Uint32Array(addends.length);
    let sum = this.#value(start);
    for (let index = 0; index < addends.length; index += 1) {
      sum = sum.plus(this.#value(addends[index]));
      sums[index] = this.#keep(sum);
    }
    return sums;
  }

  /** Plain digits, with no exponent, no trailing zeros and no negative zero. */
  toText(handle) {
    const value = this.#value(handle);
    return value.eq(ZERO) ? '0' : value.toFixed();
  }

  release(handle) {
    if (this.#live.delete(handle)) {
      return;
    }
    if (handle < this.#next) {
      this.#faults.double_releases += 1;
    } else {
      this.#faults.unknown_handles += 1;
    }
  }

  get made() {
    return this.#next;
  }

  get live() {
    return this.#live.size;
  }

  get peak() {
    return this.#peak;
  }

  /** What was wrong with the handles, or null where all were released once. */
  check() {
    const faults = { ...this.#faults, unreleased: this.live };
    return Object.values(faults).every((count) => count === 0) ? null : faults;
  }

  #keep(value) {
    const handle = this.#next;
    this.#next += 1;
    this.#live.set(handle, value);
    this.#peak = Math.max(this.#peak, this.#live.size);
    return handle;
  }

  #value(handle) {
    const value = this.#live.get(handle);
    if (value !== undefined) {
      return value;
    }
    if (handle < this.#next) {
      this.#faults.uses_after_release += 1;
    } else {
      this.#faults.unknown_handles += 1;
    }
    return ZERO;
  }
}
