// Decimals that live in the host, behind handles, by the rules of the Rust host
// (guest-tests/runner/src/decimals.rs), on JavaScript's own big integers.
//
// No handle is given out twice. So a second release is told apart from the release of a
// handle that was never given out. A guest's mistake is counted here and read from `check`
// when the guest is done.

/** The largest exponent, and without its sign the smallest. */
export const EXPONENT_LIMIT = 100_000;

// A number by RFC 8259: sign and integer, fraction, exponent.
const JSON_NUMBER = /^(-?(?:0|[1-9][0-9]*))(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/;

/** Most numbers are integers that JavaScript's own numbers hold. */
const SHORT_INTEGER = /^-?(?:0|[1-9][0-9]{0,14})$/;

/** `units` divided by ten to the `places`; `places` is never negative. */
class Decimal {
  constructor(units, places) {
    this.units = units;
    this.places = places;
  }

  static parse(text) {
    if (SHORT_INTEGER.test(text)) {
      return new Decimal(BigInt(Number(text)), 0);
    }
    const match = JSON_NUMBER.exec(text);
    if (match === null) {
      return null;
    }
    const [, integer, fraction = '', exponent = '0'] = match;
    if (Math.abs(Number(exponent)) > EXPONENT_LIMIT) {
      return null;
    }
    const units = BigInt(integer + fraction);
    const places = fraction.length - Number(exponent);
    return places < 0 ? new Decimal(units * power(-places), 0) : new Decimal(units, places);
  }

  plus(other) {
    if (this.places === other.places) {
      return new Decimal(this.units + other.units, this.places);
    }
    if (this.places < other.places) {
      return other.plus(this);
    }
    return new Decimal(this.units + other.units * power(this.places - other.places), this.places);
  }

  /** Plain digits, with no exponent, no trailing zeros and no negative zero. */
  toString() {
    const sign = this.units < 0n ? '-' : '';
    const digits = (this.units < 0n ? -this.units : this.units).toString();
    if (this.places === 0) {
      return sign + digits;
    }
    const padded = digits.padStart(this.places + 1, '0');
    const point = padded.length - this.places;
    const fraction = padded.slice(point).replace(/0+$/, '');
    return sign + padded.slice(0, point) + (fraction === '' ? '' : `.${fraction}`);
  }
}

const POWERS = new Map();

/** Ten to the `exponent`. */
function power(exponent) {
  let known = POWERS.get(exponent);
  if (known === undefined) {
    known = 10n ** BigInt(exponent);
    POWERS.set(exponent, known);
  }
  return known;
}

const ZERO = new Decimal(0n, 0);

/** How many places at the table's front may be free before it is cut short. */
const FREE_PLACES_MAX = 4096;

export class Decimals {
  // The decimals from handle `#first` on, in order; undefined for a released one. As long as
  // the span of the live ones, and some free places before.
  #table = [];
  #first = 0;
  #free = 0;
  #live = 0;
  #peak = 0;
  #faults = { double_releases: 0, unknown_handles: 0, uses_after_release: 0 };

  /** The handle of a new decimal, or null if the text is not a decimal that the host holds. */
  parse(text) {
    const value = Decimal.parse(text);
    return value === null ? null : this.#keep(value);
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

  /** A decimal in plain digits. */
  toText(handle) {
    return this.#value(handle).toString();
  }

  release(handle) {
    const place = handle - this.#first;
    if (this.#table[place] === undefined) {
      if (handle < this.made) {
        this.#faults.double_releases += 1;
      } else {
        this.#faults.unknown_handles += 1;
      }
      return;
    }
    this.#table[place] = undefined;
    this.#live -= 1;
    while (this.#free < this.#table.length && this.#table[this.#free] === undefined) {
      this.#free += 1;
    }
    // The table is cut short only if that at least halves it, so a release costs little.
    if (this.#free >= FREE_PLACES_MAX && this.#free * 2 >= this.#table.length) {
      this.#table = this.#table.slice(this.#free);
      this.#first += this.#free;
      this.#free = 0;
    }
  }

  get made() {
    return this.#first + this.#table.length;
  }

  get live() {
    return this.#live;
  }

  get peak() {
    return this.#peak;
  }

  /** The counts of mistakes with handles, or null if all were released once. */
  check() {
    const faults = { ...this.#faults, unreleased: this.live };
    return Object.values(faults).every((count) => count === 0) ? null : faults;
  }

  #keep(value) {
    this.#live += 1;
    this.#peak = Math.max(this.#peak, this.#live);
    return this.#first + this.#table.push(value) - 1;
  }

  #value(handle) {
    const value = this.#table[handle - this.#first];
    if (value !== undefined) {
      return value;
    }
    if (handle < this.made) {
      this.#faults.uses_after_release += 1;
    } else {
      this.#faults.unknown_handles += 1;
    }
    return ZERO;
  }
}
