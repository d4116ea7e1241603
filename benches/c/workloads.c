/* The workloads, written once for all allocators: the adapter supplies the memory.
 *
 * A function that holds references across an allocation has a FRAME with exactly
 * the slots that a compiler would spill. A reference that is not held across an
 * allocation has no slot. If lifetimes are explicit (FREE does something), a frame is
 * an ordinary local array.
 *
 * Every workload gives a checksum, on which all peers must agree. ESCAPE keeps the
 * compiler from seeing through an object and leaving it out.
 *
 * Define ADAPTER as the adapter's header.
 */
#include <stddef.h>
#include <stdint.h>

#include ADAPTER

#define EXPORT(name) __attribute__((export_name(name))) extern
#define IMPORT(name) __attribute__((import_module("bench"), import_name(name))) extern
#define ESCAPE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

IMPORT("now") double host_now(void);
IMPORT("acquire") int32_t host_acquire(void);

/* ---- W1: binary trees, as in the Benchmarks Game ---- */

typedef struct tree {
    struct tree *left, *right;
} tree;

static tree *make_tree(uint32_t depth) {
    if (depth == 0) {
        tree *leaf = NEW(tree, 0x3);
        ESCAPE(leaf);
        return leaf;
    }
    FRAME(2);
    frame[0] = make_tree(depth - 1);
    frame[1] = make_tree(depth - 1);
    tree *node = NEW(tree, 0x3);
    node->left = frame[0];
    node->right = frame[1];
    LEAVE();
    return node;
}

static uint32_t count_tree(const tree *node) {
    return node->left ? 1 + count_tree(node->left) + count_tree(node->right) : 1;
}

/* Counts a tree that dies here; with explicit lifetimes, frees it. */
static uint32_t consume_tree(tree *node) {
#if EXPLICIT_LIFETIMES
    uint32_t count = node->left ? 1 + consume_tree(node->left) + consume_tree(node->right) : 1;
    FREE(node, sizeof *node);
    return count;
#else
    return count_tree(node);
#endif
}

EXPORT("w1") int64_t w1(int32_t max_depth) {
    START();
    const int32_t min_depth = 4;
    int64_t sum = consume_tree(make_tree(max_depth + 1));
    FRAME(1);
    frame[0] = make_tree(max_depth);
    for (int32_t depth = min_depth; depth <= max_depth; depth += 2) {
        int32_t iterations = 1 << (max_depth - depth + min_depth);
        for (int32_t i = 0; i < iterations; i++)
            sum += (int64_t)depth * consume_tree(make_tree(depth));
    }
    sum += count_tree(frame[0]);
#if EXPLICIT_LIFETIMES
    consume_tree(frame[0]);
#endif
    LEAVE();
    return sum;
}

/* ---- W2: GCBench, by Ellis, Kovac and Boehm ---- */

typedef struct node {
    struct node *left, *right;
    int32_t i, j;
} node;

static uint32_t nodes_of(int32_t depth) { return (1u << (depth + 1)) - 1; }

static void populate(int32_t depth, node *parent) {
    if (depth <= 0)
        return;
    FRAME(1);
    frame[0] = parent;
    parent->left = NEW(node, 0x3);
    parent->right = NEW(node, 0x3);
    populate(depth - 1, parent->left);
    populate(depth - 1, parent->right);
    LEAVE();
}

static node *make_nodes(int32_t depth) {
    if (depth <= 0) {
        node *leaf = NEW(node, 0x3);
        ESCAPE(leaf);
        return leaf;
    }
    FRAME(2);
    frame[0] = make_nodes(depth - 1);
    frame[1] = make_nodes(depth - 1);
    node *parent = NEW(node, 0x3);
    parent->left = frame[0];
    parent->right = frame[1];
    LEAVE();
    return parent;
}

static uint32_t count_nodes(const node *parent) {
    return parent ? 1 + count_nodes(parent->left) + count_nodes(parent->right) : 0;
}

static void free_nodes(node *parent) {
#if EXPLICIT_LIFETIMES
    if (parent) {
        free_nodes(parent->left);
        free_nodes(parent->right);
        FREE(parent, sizeof *parent);
    }
#else
    (void)parent;
#endif
}

EXPORT("w2") int64_t w2(int32_t stretch_depth) {
    START();
    const int32_t min_depth = 4, max_depth = stretch_depth - 2, long_lived_depth = stretch_depth - 2;
    const uint32_t array_length = 500000;
    FRAME(3);
    node *stretch = make_nodes(stretch_depth);
    ESCAPE(stretch);
    free_nodes(stretch);
    frame[0] = NEW(node, 0x3);
    populate(long_lived_depth, frame[0]);
    frame[1] = NEW_LARGE_LEAF(array_length * sizeof(double));
    double *array = frame[1];
    for (uint32_t i = 0; i < array_length; i++)
        array[i] = i < array_length / 2 ? 1.0 / (i + 1) : 0.0;
    int64_t sum = 0;
    for (int32_t depth = min_depth; depth <= max_depth; depth += 2) {
        uint32_t iterations = 2 * nodes_of(stretch_depth) / nodes_of(depth);
        for (uint32_t i = 0; i < iterations; i++) {
            node *root = NEW(node, 0x3);
            /* Live across `populate`, which it is given, and which roots it. */
            populate(depth, root);
            sum += root->left->right != 0;
            free_nodes(root);
        }
        for (uint32_t i = 0; i < iterations; i++) {
            node *root = make_nodes(depth);
            sum += root->left->right != 0;
            free_nodes(root);
        }
    }
    sum += count_nodes(frame[0]);
    sum += (int64_t)(1000.0 / array[999]);
    free_nodes(frame[0]);
    FREE(frame[1], array_length * sizeof(double));
    LEAVE();
    return sum;
}

/* ---- W3: a long live list, then short-lived nodes ---- */

typedef struct link {
    struct link *next;
    int64_t value;
} link;

EXPORT("w3") int64_t w3(int32_t millions) {
    START();
    const uint32_t short_lived = (uint32_t)millions * 1000000, live = (uint32_t)millions * 50000;
    FRAME(1);
    for (uint32_t i = 0; i < live; i++) {
        link *head = NEW(link, 0x1);
        head->value = i;
        head->next = frame[0];
        frame[0] = head;
    }
    int64_t sum = 0;
    for (uint32_t i = 0; i < short_lived; i++) {
        link *dead = NEW(link, 0x1);
        dead->value = i;
        ESCAPE(dead);
        sum += dead->value;
        FREE(dead, sizeof *dead);
    }
    for (link *at = frame[0]; at;) {
        link *next = at->next;
        sum += at->value;
        FREE(at, sizeof *at);
        at = next;
    }
    LEAVE();
    return sum;
}

/* ---- W4: leaf blocks of many sizes, replaced at random ---- */

static uint32_t random_state;

static uint32_t next_random(void) {
    uint32_t x = random_state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return random_state = x;
}

/* A block's first word is its size, its last byte the number of its slot. */
static int64_t check_block(const uint8_t *block) {
    return *(const uint32_t *)block + block[*(const uint32_t *)block - 1];
}

EXPORT("w4") int64_t w4(int32_t thousands) {
    START();
    enum { slot_count = 65536 };
    random_state = 2463534242u;
    FRAME(1);
    frame[0] = NEW_ARRAY(slot_count);
    uint8_t **slots = frame[0];
    int64_t sum = 0;
    for (uint32_t i = 0; i < (uint32_t)thousands * 1000; i++) {
        uint32_t first = next_random(), second = next_random();
        uint32_t base = 16u << (first & 7);
        uint32_t size = base + (second & (base - 1) & ~3u);
        uint32_t slot = first >> 16;
        uint8_t *old = slots[slot];
        if (old) {
            sum += check_block(old);
            FREE(old, *(const uint32_t *)old);
        }
        uint8_t *block = NEW_LEAF(size);
        *(uint32_t *)block = size;
        block[size - 1] = (uint8_t)slot;
        slots[slot] = block;
    }
    for (uint32_t slot = 0; slot < slot_count; slot++)
        if (slots[slot]) {
            sum += check_block(slots[slot]);
            FREE(slots[slot], *(const uint32_t *)slots[slot]);
        }
    FREE(slots, slot_count * sizeof *slots);
    LEAVE();
    return sum;
}

/* ---- W5: short-lived leaves ---- */

EXPORT("w5") int64_t w5(int32_t millions) {
    START();
    int64_t sum = 0;
    for (uint32_t i = 0; i < (uint32_t)millions * 1000000; i++) {
        uint32_t *leaf = NEW_LEAF(16);
        leaf[0] = i;
        ESCAPE(leaf);
        sum += leaf[0];
        FREE(leaf, 16);
    }
    return sum;
}

/* ---- W6: host handles, each owned by an object that dies at once ---- */

static int64_t wrap_and_drop(int32_t thousands) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < (uint32_t)thousands * 1000; i++) {
        int32_t *wrapper = WRAP(host_acquire());
        ESCAPE(wrapper);
        sum += wrapper[1] & 1;
        DROP(wrapper);
    }
    RELEASE_ALL();
    return thousands + (sum < 0);
}

EXPORT("w6") int64_t w6(int32_t thousands) {
    START();
    return wrap_and_drop(thousands);
}

#ifdef START_SMALL_TABLE
/* W6 with a wrap table of a few hundred entries. */
EXPORT("w6_small") int64_t w6_small(int32_t thousands) {
    START_SMALL_TABLE();
    return wrap_and_drop(thousands);
}
#endif

/* ---- W7: the time of one full collection, by the size and shape of the live objects ---- */

#if !EXPLICIT_LIFETIMES
/* Nanoseconds: the median of three collections, back to back, so that the work that a lazy
 * sweep leaves over is in the next one's time. */
static int64_t time_collection(void) {
    double took[3];
    COLLECT();
    for (int i = 0; i < 3; i++) {
        double before = host_now();
        COLLECT();
        took[i] = host_now() - before;
    }
    double low = took[0] < took[1] ? took[0] : took[1], high = took[0] < took[1] ? took[1] : took[0];
    return (int64_t)(took[2] < low ? low : took[2] > high ? high : took[2]);
}

EXPORT("w7_list") int64_t w7_list(int32_t count) {
    START();
    FRAME(1);
    for (int32_t i = 0; i < count; i++) {
        tree *head = NEW(tree, 0x3);
        head->left = frame[0];
        frame[0] = head;
    }
    int64_t nanoseconds = time_collection();
    LEAVE();
    return nanoseconds;
}

static tree *make_balanced(int32_t count) {
    if (count == 0)
        return 0;
    FRAME(2);
    frame[0] = make_balanced((count - 1) / 2);
    frame[1] = make_balanced(count - 1 - (count - 1) / 2);
    tree *parent = NEW(tree, 0x3);
    parent->left = frame[0];
    parent->right = frame[1];
    LEAVE();
    return parent;
}

EXPORT("w7_tree") int64_t w7_tree(int32_t count) {
    START();
    FRAME(1);
    frame[0] = make_balanced(count);
    int64_t nanoseconds = time_collection();
    LEAVE();
    return nanoseconds;
}

/* An array of objects of two words. */
EXPORT("w7_array") int64_t w7_array(int32_t count) {
    START();
    FRAME(1);
    frame[0] = NEW_ARRAY(count);
    tree **elements = frame[0];
    for (int32_t i = 0; i < count; i++)
        elements[i] = NEW(tree, 0x3);
    int64_t nanoseconds = time_collection();
    LEAVE();
    return nanoseconds;
}

/* An array of leaves of 8 to 40 bytes. */
EXPORT("w7_strings") int64_t w7_strings(int32_t count) {
    START();
    random_state = 2463534242u;
    FRAME(1);
    frame[0] = NEW_ARRAY(count);
    uint8_t **elements = frame[0];
    for (int32_t i = 0; i < count; i++) {
        uint32_t size = 8 + (next_random() & 31);
        elements[i] = NEW_LEAF(size);
        elements[i][0] = (uint8_t)size;
    }
    int64_t nanoseconds = time_collection();
    LEAVE();
    return nanoseconds;
}
#endif

/* ---- Counts of the collector ---- */

/* 0: collections; 1: the most handles that were unreleased at one time; -1 if the
 * allocator does not count them. */
EXPORT("statistic") int64_t statistic(int32_t which) { return STATISTIC(which); }
