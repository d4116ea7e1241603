// A C program without a single root of its own: no shadow stack, no scope, no pin.
//
// Its C stack is registered as a root range. `cargo tether link --spill-pointers` puts every
// value that may be a pointer on that stack while something may collect. So the collector
// finds the objects in the variables here, at every level of optimisation.

#define TETHER_PULL
#include "tether_gc.h"

#define EXPORT(name) __attribute__((export_name("tether:c-guest/holding@0.1.0#" name)))

// The linker defines it: the stack grows down from here.
extern char __stack_high;

enum { NODE_MARK = 0x51ED, CELL_MARK = 0xCE11 };

struct node {
    struct node *left;
    struct node *right;
    uint32_t depth;
    uint32_t mark;
};

struct cell {
    struct cell *next;
    uint32_t number;
    uint32_t mark;
};

static uint32_t error;

static void *take(void *object) {
    if (!object && !error)
        error = tether_state.last_error;
    return object;
}

// Each kind of allocation is used: inline, by layout of every word, and by template.
static struct node *new_node(uint32_t depth) {
    struct node *node = take(depth & 1 ? tether_new(4, 3) : tether_allocate_conservative(sizeof *node));
    if (node) {
        node->depth = depth;
        node->mark = NODE_MARK;
    }
    return node;
}

static struct cell *cons(uint32_t number, struct cell *next) {
    struct cell *cell = take(tether_allocate_small(2, TETHER_TEMPLATE(3, 1)));
    if (cell) {
        cell->next = next;
        cell->number = number;
        cell->mark = CELL_MARK;
    }
    return cell;
}

// Objects that no variable names, only expressions: each waits while the next is made.
static struct node *join(struct node *parent, struct node *left, struct node *right) {
    if (!parent || !left || !right)
        return 0;
    parent->left = left;
    parent->right = right;
    return parent;
}

static struct node *tree(uint32_t depth) {
    if (depth <= 1)
        return new_node(depth);
    return join(new_node(depth), tree(depth - 1), tree(depth - 1));
}

static uint32_t sound_nodes(struct node *node, uint32_t depth) {
    if (!node || node->mark != NODE_MARK || node->depth != depth)
        return 0;
    return 1 + sound_nodes(node->left, depth - 1) + sound_nodes(node->right, depth - 1);
}

static uint32_t sound_cells(struct cell *list, uint32_t length) {
    uint32_t sound = 0;
    while (list && list->mark == CELL_MARK && list->number == length - sound) {
        sound++;
        list = list->next;
    }
    return sound;
}

static uint32_t round(uint32_t depth) {
    // Both are held while the other is made and looked at.
    struct cell *list = 0;
    for (uint32_t number = 1; number <= depth && !error; number++)
        list = cons(number, list);
    struct node *whole = tree(depth);
    struct cell *longer = cons(depth + 1, list);
    return sound_nodes(whole, depth) + sound_cells(longer, depth + 1);
}

struct result {
    uint8_t is_error;
    uint32_t value;
};

static struct result result;
static int is_ready;

EXPORT("hold") struct result *hold(uint32_t rounds, uint32_t depth, uint32_t every) {
    uint32_t sound = 0;
    if (!is_ready) {
        tether_options options = {.stress = every};
        error = tether_start(&options);
        if (!error)
            error = tether_add_roots(0, &__stack_high);
        is_ready = !error;
    }
    for (uint32_t i = 0; i < rounds && !error; i++)
        sound += round(depth);
    result = (struct result){.is_error = error != 0, .value = error ? error : sound};
    return &result;
}

EXPORT("collections") uint32_t collections(void) {
    tether_statistics statistics;
    tether_read_statistics(&statistics);
    return statistics.collections;
}

EXPORT("live-bytes") uint32_t live_bytes(void) {
    tether_statistics statistics;
    tether_collect();
    tether_read_statistics(&statistics);
    return (uint32_t)statistics.live_bytes;
}
