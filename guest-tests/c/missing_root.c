// A program with a deliberate mistake: `pair` roots its first object too late.
//
// If no collection runs between the two allocations, nobody sees the mistake. If every
// allocation collects, the second object gets the first one's place: the sums are wrong, and
// nothing says why. With quarantine the next operation, the push, answers
// TETHER_INVALID_REF and names the object. docs/guide/missing-roots.md tells the story.

#define TETHER_PULL
#include "tether_gc.h"

#define EXPORT(name) __attribute__((export_name("tether:c-guest/pairs@0.1.0#" name)))

struct number {
    uint32_t value;
    uint32_t unused;
};

static struct number *number(uint32_t value) {
    struct number *number = tether_new(2, 0);
    if (number)
        number->value = value;
    return number;
}

// Pushes two new numbers. Gives the object that could not be pushed, or null.
static void *push_pair(uint32_t left, uint32_t right) {
    struct number *first = number(left);
    struct number *second = number(right); // may collect, and nothing roots `first`
    if (tether_push(first))
        return first;
    if (tether_push(second))
        return second;
    return 0;
}

struct result {
    uint8_t is_error;
    uint32_t value;
};

static struct result result;

EXPORT("add-up") struct result *add_up(uint32_t rounds, uint32_t every, uint32_t modes) {
    uint32_t sum = 0;
    tether_start(0);
    result = (struct result){.is_error = 1, .value = 0};
    if (tether_stress(every, modes))
        return &result;
    for (uint32_t i = 0; i < rounds; i++) {
        result.value = (uint32_t)push_pair(i, 2 * i);
        if (result.value)
            return &result;
        struct number *second = tether_pop();
        struct number *first = tether_pop();
        sum += first->value + second->value;
    }
    result = (struct result){.is_error = 0, .value = sum};
    return &result;
}
