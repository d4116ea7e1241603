/* Tether's core door for C, C++ and whatever else wasm-ld links.
 *
 * Link with libtether_gc.a; docs/core-abi.md is the contract. Objects are plain
 * memory: read and write them with loads and stores. They never move.
 *
 * Whatever may collect keeps only what a root reaches: the shadow stack, scopes,
 * pins, and registered ranges. Nothing here traps, except the `_or_trap` forms: a
 * failure is NULL or a code, and `tether_state.last_error` says the same.
 */
#ifndef TETHER_GC_H
#define TETHER_GC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TETHER_ABI_VERSION 1u

/* ---- Error codes ---- */

enum {
    TETHER_OK = 0,
    TETHER_OUT_OF_MEMORY = 1,        /* value: bytes needed */
    TETHER_WRAP_TABLE_FULL = 2,      /* value: its capacity */
    TETHER_ROOT_STACK_FULL = 3,      /* value: its capacity */
    TETHER_NO_SUCH_ROOT = 4,         /* value: the index */
    TETHER_NO_SCOPE = 5,
    TETHER_INVALID_REF = 6,          /* value: what was passed */
    TETHER_INVALID_LAYOUT = 7,       /* value: the layout */
    TETHER_OUT_OF_BOUNDS = 8,        /* value: bytes of what was asked for, or allowed */
    TETHER_ALREADY_REGISTERED = 10,  /* value: the object */
    TETHER_NOT_REGISTERED = 11,      /* value: the object */
    TETHER_NOT_PINNED = 12,          /* value: the object */
    TETHER_INVALID_OPTION = 14,      /* value: which, see docs/core-abi.md */
    TETHER_ALREADY_STARTED = 15,
    TETHER_BUSY = 16,                /* called from inside a collection or a release */
    TETHER_CLOSED = 17
};

/* ---- The words that compiled code may use directly ---- */

struct tether_state {
    uint32_t cursor;      /* the next free byte; up to `limit`, memory is zero */
    uint32_t limit;
    uint32_t colour;      /* OR it into the first metadata byte of a new object */
    uint32_t sp;          /* the next free slot of the shadow stack, which grows up */
    uint32_t stack_limit; /* the end of its slots */
    uint32_t stack_base;  /* the first of its slots */
    uint32_t last_error;  /* the last failure's code, and its figure */
    uint32_t last_error_value;
    uint32_t end;         /* from `limit` up to here, memory is free but not zero */
};

extern struct tether_state tether_state;

/* ---- Life ---- */

enum { TETHER_SIZING_DEFAULT = 0, TETHER_SIZING_FIXED = 1, TETHER_SIZING_FACTOR = 2, TETHER_SIZING_SQUARE_ROOT = 3 };

/* Zero in a field means its default. */
typedef struct {
    uint32_t heap_limit_bytes;
    uint32_t root_capacity; /* slots of the shadow stack, scopes included */
    void *stack_base;       /* its place: root_capacity + 1 words of the program's own memory */
    uint32_t wrap_capacity;
    uint32_t wrap_limit;
    uint32_t handle_floor;
    uint32_t weight_floor_bytes;
    uint32_t sizing;        /* TETHER_SIZING_... */
    uint32_t sizing_value;  /* bytes, or percent */
    uint32_t stress;        /* collect at every so many allocations that come to the collector */
    uint32_t interior_pointers; /* 1: a word inside an object keeps it, in conservative objects too */
} tether_options;

/* Makes the heap: NULL for defaults. Any other operation does so too, with the
 * defaults; but pushing by hand needs the shadow stack to be there. */
uint32_t tether_start(const tether_options *options);
/* Releases every handle, gives all memory back. What was released can still be drained. */
uint32_t tether_close(void);
uint32_t tether_abi_version(void);

/* ---- Allocation: NULL at failure. May collect. ---- */

/* A layout's number, or 0 at failure: some fixed words, then elements of equal
 * shape; a set bit, from the lowest on, is a word that holds a reference. */
uint32_t tether_define_layout(uint32_t fixed_words, uint64_t fixed_references,
                              uint32_t element_words, uint64_t element_references);
/* A zeroed object of a layout, with `length` elements. */
void *tether_allocate(uint32_t layout, uint32_t length);
/* An object without references. Its content is whatever the memory held. */
void *tether_allocate_leaf(uint32_t size_bytes);
/* A zeroed object in which every aligned word may be a reference. */
void *tether_allocate_conservative(uint32_t size_bytes);
/* A zeroed object of up to 8 granules of 8 bytes, described by TETHER_TEMPLATE. */
void *tether_allocate_small(uint32_t granules, uint64_t template_);
/* As tether_allocate, at a multiple of `alignment`, a power of two up to 4096.
 * Layouts 0 (leaf) and 1 (conservative) take a length in bytes. */
void *tether_allocate_aligned(uint32_t layout, uint32_t length, uint32_t alignment);

void *tether_allocate_or_trap(uint32_t layout, uint32_t length);
void *tether_allocate_leaf_or_trap(uint32_t size_bytes);
void *tether_allocate_conservative_or_trap(uint32_t size_bytes);
void *tether_allocate_small_or_trap(uint32_t granules, uint64_t template_);

uint32_t tether_collect(void);
/* Collections that make room for less than this part of the heap are futile; after eight in a
 * row what does not fit is refused without one: see docs/core-abi.md. At first 2; 0: never. */
uint32_t tether_set_least_freed(uint32_t percent);
uint32_t tether_is_object(const void *address);
/* An object's size in bytes, rounded up to 8; 0 for what is no object. */
uint32_t tether_size_of(const void *object);

/* ---- Roots ---- */

uint32_t tether_push(const void *object);
uint32_t tether_push_or_trap(const void *object);
void *tether_pop(void);
uint32_t tether_truncate(uint32_t depth);
/* In a scope every new object is rooted, until the scope is left. */
uint32_t tether_enter_scope(void);
uint32_t tether_leave_scope(const void *keep);
uint32_t tether_pin(const void *object);
uint32_t tether_unpin(const void *object);
/* Memory whose aligned words may point to or into objects. A `begin` of NULL is
 * the C stack, from wherever it is at a collection up to `end`. */
uint32_t tether_add_roots(const void *begin, const void *end);
uint32_t tether_remove_roots(const void *begin);

/* ---- Wrappers ---- */

typedef struct { uint32_t kind, handle; } tether_handle;

uint32_t tether_register(const void *wrapper, uint32_t kind, uint32_t handle, uint32_t weight_bytes);
uint32_t tether_register_or_trap(const void *wrapper, uint32_t kind, uint32_t handle, uint32_t weight_bytes);
/* A new object of two words, kind and handle, that owns the handle. NULL at failure. */
void *tether_wrap(uint32_t kind, uint32_t handle, uint32_t weight_bytes);
void *tether_wrap_or_trap(uint32_t kind, uint32_t handle, uint32_t weight_bytes);
uint32_t tether_handle_of(const void *wrapper, tether_handle *into);
uint32_t tether_set_weight(const void *wrapper, uint32_t weight_bytes);
uint32_t tether_dispose(const void *wrapper);
/* Takes released handles out; gives their number. */
uint32_t tether_drain(tether_handle *into, uint32_t max);
uint32_t tether_pending(void);

/* Called with released handles, after the operation that released them; gives how
 * many it took, from the first on; the rest waits for tether_drain. In it, whatever
 * enters the collector answers TETHER_BUSY. It must leave the shadow stack as it found
 * it, and must not throw: the collector would stay busy. Define it, or define
 * TETHER_PULL in one file to take handles with tether_drain alone, or leave it to the
 * host ("env" "tether_release", with wasm-ld's --allow-undefined). */
uint32_t tether_release(const tether_handle *handles, uint32_t count);
#ifdef TETHER_PULL
uint32_t tether_release(const tether_handle *handles, uint32_t count) {
    (void)handles, (void)count;
    return 0;
}
#endif

/* ---- Looking at it ---- */

typedef struct {
    uint32_t collections, collections_for_handles;
    uint32_t heap_bytes, heap_peak_bytes;
    uint64_t live_bytes, allocated_bytes;
    uint64_t wrappers_registered, handles_released;
    uint32_t wrappers_live, unreleased_peak, wrap_table_capacity, wrap_table_peak;
    uint32_t roots, roots_peak;
    uint64_t external_bytes;
} tether_statistics;

uint32_t tether_read_statistics(tether_statistics *into);
/* 0, or the number of the first invariant that does not hold; `at` gets its place. */
uint32_t tether_verify(uint32_t *at);

/* What collections do besides, from now on; docs/guide/missing-roots.md. */
enum {
    TETHER_POISON = 1,     /* dead objects are filled with TETHER_POISON_WORD */
    TETHER_QUARANTINE = 2, /* and their addresses are given to no other before the next */
    TETHER_VERIFY = 4      /* the heap is verified; tether_verify has what was found first */
};
#define TETHER_POISON_WORD 0xdeadbeefu

/* Collects at every so many allocations and registrations; 0 for never. */
uint32_t tether_stress(uint32_t every, uint32_t modes);

/* ---- Inline: what a compiler emits ---- */

/* The metadata of a small object: a byte for each granule of two words. Tracing ends at
 * the last granule that has references, which says so if it is not the last of all. */
#define TETHER_FROM_(references, granule) ((uint64_t)(references) >> (2 * (granule)))
#define TETHER_IS_LAST_(words, references, granule)                               \
    ((granule) < ((words) + 1) / 2 - 1 && TETHER_FROM_(references, granule) > 0 && \
     TETHER_FROM_(references, granule) < 4)
#define TETHER_GRANULE_(words, references, granule)                                   \
    (((TETHER_FROM_(references, granule) & 3) << 3 |                                  \
      (TETHER_IS_LAST_(words, references, granule) ? (uint64_t)0x40 : (uint64_t)0)) \
     << (8 * (granule)))
#define TETHER_TEMPLATE(words, references)                                                    \
    (((references) && !TETHER_IS_LAST_(words, references, 0) ? (uint64_t)0x20 : (uint64_t)0) | \
     (uint64_t)4 << (8 * (((words) + 1) / 2 - 1)) |                                           \
     TETHER_GRANULE_(words, references, 0) | TETHER_GRANULE_(words, references, 1) |          \
     TETHER_GRANULE_(words, references, 2) | TETHER_GRANULE_(words, references, 3) |          \
     TETHER_GRANULE_(words, references, 4) | TETHER_GRANULE_(words, references, 5) |          \
     TETHER_GRANULE_(words, references, 6) | TETHER_GRANULE_(words, references, 7))

/* A zeroed object of `words` words (1 to 16, a constant), of which those with a
 * bit in `references` (a constant) hold references. */
static inline __attribute__((always_inline)) void *tether_new(uint32_t words, uint32_t references) {
    uint32_t granules = (words + 1) / 2;
    uint64_t bytes = TETHER_TEMPLATE(words, references);
    uint32_t address = tether_state.cursor;
    if (__builtin_expect(granules * 8 > tether_state.limit - address, 0))
        return tether_allocate_small(granules, bytes);
    tether_state.cursor = address + granules * 8;
    bytes |= tether_state.colour;
    uint8_t *metadata = (uint8_t *)((address & 0xffff0000u) | ((address & 0xffffu) >> 3));
    if (granules & 8) { __builtin_memcpy(metadata, &bytes, 8); }
    if (granules & 4) { __builtin_memcpy(metadata, &bytes, 4); metadata += 4; bytes >>= 32; }
    if (granules & 2) { __builtin_memcpy(metadata, &bytes, 2); metadata += 2; bytes >>= 16; }
    if (granules & 1) { __builtin_memcpy(metadata, &bytes, 1); }
    return (void *)address;
}

/* An object without references; its content is whatever the memory held. */
static inline __attribute__((always_inline)) void *tether_new_leaf(uint32_t size_bytes) {
    if (__builtin_constant_p(size_bytes) && size_bytes >= 1 && size_bytes <= 64)
        return tether_new((size_bytes + 3) / 4, 0);
    return tether_allocate_leaf(size_bytes);
}

/* A frame of `count` slots on the shadow stack, all null; NULL where they do not fit. */
static inline void **tether_enter_frame(uint32_t count) {
    uint32_t frame = tether_state.sp;
    /* Of a closed heap the limit is 0. */
    if (__builtin_expect(frame + count * 4 > tether_state.stack_limit, 0))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        ((void **)frame)[i] = 0;
    tether_state.sp = frame + count * 4;
    return (void **)frame;
}

static inline void tether_leave_frame(void **frame) {
    tether_state.sp = (uint32_t)frame;
}

#ifdef __cplusplus
}
#endif
#endif
