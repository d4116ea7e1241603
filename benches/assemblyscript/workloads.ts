// The workloads W1 to W5 in AssemblyScript, as a program in it would be written;
// see ../c/workloads.c for what each does.
//
// The incremental runtime collects by itself. The minimal one collects when it is called, and
// may be called only while no reference is on the stack. So all that lives stands in globals,
// and `safepoint` collects when as much was allocated as is known to live, but at least 4 MiB.

// The value 1 is `Runtime.Minimal` in AssemblyScript's own sources.
const MINIMAL: bool = ASC_RUNTIME == 1;

const OVERHEAD: u32 = 24;
const LEAST_BUDGET: u32 = 4 << 20;

let allocated: u32 = 0;
let budget: u32 = LEAST_BUDGET;

@inline
function expectLive(bytes: u32): void {
  budget = max(bytes, LEAST_BUDGET);
}

@inline
function safepoint(bytes: u32): void {
  if (MINIMAL) {
    allocated += bytes;
    if (allocated > budget) {
      allocated = 0;
      __collect();
    }
  }
}

// W1

@final class Tree {
  left: Tree | null;
  right: Tree | null;
}

function makeTree(depth: i32): Tree {
  if (depth == 0) return new Tree();
  const left = makeTree(depth - 1);
  const right = makeTree(depth - 1);
  const node = new Tree();
  node.left = left;
  node.right = right;
  return node;
}

function countTree(node: Tree): u32 {
  const left = node.left;
  return left ? 1 + countTree(left) + countTree(node.right!) : 1;
}

@inline
function nodesOf(depth: i32): u32 {
  return (<u32>1 << (depth + 1)) - 1;
}

let longLivedTree: Tree | null = null;

export function w1(maxDepth: i32): i64 {
  const minDepth = 4;
  let sum: i64 = countTree(makeTree(maxDepth + 1));
  safepoint(nodesOf(maxDepth + 1) * (8 + OVERHEAD));
  longLivedTree = makeTree(maxDepth);
  expectLive(nodesOf(maxDepth) * (8 + OVERHEAD));
  for (let depth = minDepth; depth <= maxDepth; depth += 2) {
    const iterations = 1 << (maxDepth - depth + minDepth);
    for (let i = 0; i < iterations; i++) {
      sum += <i64>depth * countTree(makeTree(depth));
      safepoint(nodesOf(depth) * (8 + OVERHEAD));
    }
  }
  return sum + countTree(longLivedTree!);
}

// W2

@final class Node {
  left: Node | null;
  right: Node | null;
  i: i32;
  j: i32;
}

function populate(depth: i32, parent: Node): void {
  if (depth <= 0) return;
  const left = new Node();
  parent.left = left;
  const right = new Node();
  parent.right = right;
  populate(depth - 1, left);
  populate(depth - 1, right);
}

function makeNodes(depth: i32): Node {
  if (depth <= 0) return new Node();
  const left = makeNodes(depth - 1);
  const right = makeNodes(depth - 1);
  const parent = new Node();
  parent.left = left;
  parent.right = right;
  return parent;
}

function countNodes(parent: Node | null): u32 {
  return parent ? 1 + countNodes(parent.left) + countNodes(parent.right) : 0;
}

let longLivedNodes: Node | null = null;
let doubles: StaticArray<f64> | null = null;

// These are functions of their own, so that no reference is on the stack afterwards.
function populateOnce(depth: i32): i64 {
  const root = new Node();
  populate(depth, root);
  return root.left!.right ? 1 : 0;
}

function makeNodesOnce(depth: i32): i64 {
  return makeNodes(depth).left!.right ? 1 : 0;
}

export function w2(stretchDepth: i32): i64 {
  const minDepth = 4;
  const maxDepth = stretchDepth - 2;
  const arrayLength = 500000;
  makeNodesOnce(stretchDepth);
  safepoint(nodesOf(stretchDepth) * (16 + OVERHEAD));
  longLivedNodes = new Node();
  populate(maxDepth, longLivedNodes!);
  const array = new StaticArray<f64>(arrayLength);
  doubles = array;
  for (let i = 0; i < arrayLength / 2; i++) unchecked((array[i] = 1.0 / (i + 1)));
  expectLive(nodesOf(maxDepth) * (16 + OVERHEAD) + arrayLength * 8);
  let sum: i64 = 0;
  for (let depth = minDepth; depth <= maxDepth; depth += 2) {
    const iterations: u32 = (2 * nodesOf(stretchDepth)) / nodesOf(depth);
    for (let i: u32 = 0; i < iterations; i++) {
      sum += populateOnce(depth);
      safepoint(nodesOf(depth) * (16 + OVERHEAD));
    }
    for (let i: u32 = 0; i < iterations; i++) {
      sum += makeNodesOnce(depth);
      safepoint(nodesOf(depth) * (16 + OVERHEAD));
    }
  }
  sum += countNodes(longLivedNodes);
  return sum + <i64>(1000.0 / unchecked(doubles![999]));
}

// W3

@final class Link {
  next: Link | null;
  value: i64;
}

let head: Link | null = null;

function prepend(value: i64): void {
  const link = new Link();
  link.value = value;
  link.next = head;
  head = link;
}

function deadLink(value: i64): i64 {
  const link = new Link();
  link.value = value;
  return link.value;
}

export function w3(millions: i32): i64 {
  const shortLived = <u32>millions * 1000000;
  const live = <u32>millions * 50000;
  for (let i: u32 = 0; i < live; i++) prepend(i);
  expectLive(live * (16 + OVERHEAD));
  let sum: i64 = 0;
  for (let i: u32 = 0; i < shortLived; i++) {
    sum += deadLink(i);
    safepoint(16 + OVERHEAD);
  }
  let at = head;
  while (at) {
    sum += at.value;
    at = at.next;
  }
  return sum;
}

// W4

let randomState: u32 = 2463534242;

@inline
function nextRandom(): u32 {
  let x = randomState;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  randomState = x;
  return x;
}

// A block's first word is its size, its last byte the number of its slot.
@inline
function checkBlock(block: ArrayBuffer): i64 {
  const at = changetype<usize>(block);
  const size = load<u32>(at);
  return <i64>size + <i64>load<u8>(at + size - 1);
}

let slots: StaticArray<ArrayBuffer | null> | null = null;

function replace(slot: u32, size: u32): i64 {
  const old = unchecked(slots![slot]);
  const sum = old ? checkBlock(old) : 0;
  const block = new ArrayBuffer(size);
  const at = changetype<usize>(block);
  store<u32>(at, size);
  store<u8>(at + size - 1, slot);
  unchecked((slots![slot] = block));
  return sum;
}

export function w4(thousands: i32): i64 {
  slots = new StaticArray<ArrayBuffer | null>(65536);
  expectLive(50 << 20);
  let sum: i64 = 0;
  for (let i: u32 = 0; i < <u32>thousands * 1000; i++) {
    const first = nextRandom();
    const second = nextRandom();
    const base = <u32>16 << (first & 7);
    const size = base + (second & (base - 1) & ~(<u32>3));
    sum += replace(first >> 16, size);
    safepoint(size + OVERHEAD);
  }
  for (let slot = 0; slot < 65536; slot++) {
    const block = unchecked(slots![slot]);
    if (block) sum += checkBlock(block);
  }
  return sum;
}

// W5

@final class Leaf {
  a: i32;
  b: i32;
  c: i32;
  d: i32;
}

function deadLeaf(value: u32): i64 {
  const leaf = new Leaf();
  leaf.a = value;
  return <i64>(<u32>leaf.a);
}

export function w5(millions: i32): i64 {
  let sum: i64 = 0;
  for (let i: u32 = 0; i < <u32>millions * 1000000; i++) {
    sum += deadLeaf(i);
    safepoint(16 + OVERHEAD);
  }
  return sum;
}
