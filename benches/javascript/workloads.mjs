// The workloads W1 to W6 in plain JavaScript; see ../c/workloads.c for what each
// does. Given the host, it gives the functions.

const makeTree = (depth) =>
  depth === 0
    ? { left: null, right: null }
    : { left: makeTree(depth - 1), right: makeTree(depth - 1) };

const countTree = (node) =>
  node.left === null ? 1 : 1 + countTree(node.left) + countTree(node.right);

const nodesOf = (depth) => 2 ** (depth + 1) - 1;

function populate(depth, parent) {
  if (depth <= 0) return;
  parent.left = { left: null, right: null, i: 0, j: 0 };
  parent.right = { left: null, right: null, i: 0, j: 0 };
  populate(depth - 1, parent.left);
  populate(depth - 1, parent.right);
}

const makeNodes = (depth) =>
  depth <= 0
    ? { left: null, right: null, i: 0, j: 0 }
    : { left: makeNodes(depth - 1), right: makeNodes(depth - 1), i: 0, j: 0 };

const countNodes = (node) =>
  node === null ? 0 : 1 + countNodes(node.left) + countNodes(node.right);

const checkBlock = (block) => {
  const size = block[0] | (block[1] << 8) | (block[2] << 16) | (block[3] << 24);
  return size + block[size - 1];
};

// Objects that die at once escape to this variable on a branch that is never taken. Otherwise
// the compiler would not allocate them.
let sink = null;

export default (host) => ({
  w1(maxDepth) {
    const minDepth = 4;
    let sum = countTree(makeTree(maxDepth + 1));
    const longLived = makeTree(maxDepth);
    for (let depth = minDepth; depth <= maxDepth; depth += 2) {
      const iterations = 1 << (maxDepth - depth + minDepth);
      for (let i = 0; i < iterations; i += 1) sum += depth * countTree(makeTree(depth));
    }
    return sum + countTree(longLived);
  },

  w2(stretchDepth) {
    const minDepth = 4;
    const maxDepth = stretchDepth - 2;
    makeNodes(stretchDepth);
    const longLived = { left: null, right: null, i: 0, j: 0 };
    populate(maxDepth, longLived);
    const array = new Float64Array(500000);
    for (let i = 0; i < 250000; i += 1) array[i] = 1 / (i + 1);
    let sum = 0;
    for (let depth = minDepth; depth <= maxDepth; depth += 2) {
      const iterations = Math.floor((2 * nodesOf(stretchDepth)) / nodesOf(depth));
      for (let i = 0; i < iterations; i += 1) {
        const root = { left: null, right: null, i: 0, j: 0 };
        populate(depth, root);
        sum += root.left.right === null ? 0 : 1;
      }
      for (let i = 0; i < iterations; i += 1) {
        sum += makeNodes(depth).left.right === null ? 0 : 1;
      }
    }
    return sum + countNodes(longLived) + Math.trunc(1000 / array[999]);
  },

  w3(millions) {
    let head = null;
    for (let i = 0; i < millions * 50000; i += 1) head = { next: head, value: i };
    let sum = 0;
    for (let i = 0; i < millions * 1000000; i += 1) {
      const dead = { next: null, value: i };
      if (millions === 0) sink = dead;
      sum += dead.value;
    }
    for (let at = head; at !== null; at = at.next) sum += at.value;
    return sum;
  },

  w4(thousands) {
    let state = 2463534242 | 0;
    const nextRandom = () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state >>> 0;
    };
    const slots = new Array(65536).fill(null);
    let sum = 0;
    for (let i = 0; i < thousands * 1000; i += 1) {
      const first = nextRandom();
      const second = nextRandom();
      const base = 16 << (first & 7);
      const size = base + (second & (base - 1) & ~3);
      const slot = first >>> 16;
      const old = slots[slot];
      if (old !== null) sum += checkBlock(old);
      const block = new Uint8Array(size);
      block[0] = size;
      block[1] = size >> 8;
      block[size - 1] = slot;
      slots[slot] = block;
    }
    for (const block of slots) if (block !== null) sum += checkBlock(block);
    return sum;
  },

  w5(millions) {
    let sum = 0;
    for (let i = 0; i < millions * 1000000; i += 1) {
      const dead = { a: i, b: 0, c: 0, d: 0 };
      if (millions === 0) sink = dead;
      sum += dead.a;
    }
    return sum;
  },

  // A registry's callbacks run between tasks, never within one. So the handles that a loop
  // like this one drops stay unreleased until its end.
  w6(thousands) {
    const registry = new FinalizationRegistry((handle) => host.release(handle));
    let sum = 0;
    for (let i = 0; i < thousands * 1000; i += 1) {
      const wrapper = { kind: 1, handle: host.acquire() };
      registry.register(wrapper, wrapper.handle);
      sum += wrapper.handle & 1;
    }
    return thousands + (sum < 0 ? 1 : 0);
  },
});
