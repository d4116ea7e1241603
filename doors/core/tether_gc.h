/* Tether's core door for C, C++ and other languages that wasm-ld links.
 *
 * Link with libtether_gc.a; docs/core-abi.md is the contract. Objects are plain
 * memory: read and write them with loads and stores. They never move.
 *
 * A function that may collect keeps only the objects that a root reaches. Roots are
 * the shadow stack, scopes, pins, and registered ranges. Nothing here traps, except
 * the `_or_trap` forms. A function that fails returns NULL, 0 or a code; the code is
 * then in `tether_state.last_error` too.
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
    TETHER_WRAP_TABLE_FULL = 2,      /* value: the table's capacity */
    TETHER_ROOT_STACK_FULL = 3,      /* value: the stack's capacity */
    TETHER_NO_SUCH_ROOT = 4,         /* value: the index, or the range's beginning; 0 for a pop */
    TETHER_NO_SCOPE = 5,
    TETHER_INVALID_REF = 6,          /* value: what was passed */
    TETHER_INVALID_LAYOUT = 7,       /* value: the layout; or how many words or granules were
                                      * described; or the number that the next layout would have */
    TETHER_OUT_OF_BOUNDS = 8,        /* value: how many bytes were to be there; or the range's
                                      * end; or the largest alignment */
    TETHER_ALREADY_REGISTERED = 10,  /* value: the object */
    TETHER_NOT_REGISTERED = 11,      /* value: the object */
    TETHER_NOT_PINNED = 12,          /* value: the object */
    TETHER_INVALID_OPTION = 14,      /* value: the option: 0 heap_limit_bytes, 1 root_capacity,
                                      * 2 wrap_capacity, 3 wrap_limit, 6 sizing, 7 stress */
    TETHER_ALREADY_STARTED = 15,
    TETHER_BUSY = 16,                /* the call came from inside a release */
    TETHER_CLOSED = 17
};

/* ---- The words that compiled code may use directly ---- */

struct tether_state {
    uint32_t cursor;      /* the next free byte; memory from here to `limit` is free, and zero */
    uint32_t limit;       /* the end of the free memory that is zero */
    uint32_t colour;      /* the bits to OR into the first metadata byte of a new object */
    uint32_t sp;          /* the next free slot of the shadow stack, which grows up */
    uint32_t stack_limit; /* the end of the shadow stack's slots */
    uint32_t stack_base;  /* the first of the shadow stack's slots */
    uint32_t last_error;  /* the code of the last failure */
    uint32_t last_error_value; /* the figure of the last failure */
    uint32_t end;         /* memory from `limit` to here is free, but holds anything */
};

extern struct tether_state tether_state;

/* ---- Life ---- */

enum { TETHER_SIZING_DEFAULT = 0, TETHER_SIZING_FIXED = 1, TETHER_SIZING_FACTOR = 2, TETHER_SIZING_SQUARE_ROOT = 3 };

/* Zero in a field stands for the field's default. */
typedef struct {
    uint32_t heap_limit_bytes; /* bytes by which the collector may grow memory */
    uint32_t root_capacity; /* slots of the shadow stack, scopes included */
    void *stack_base;       /* where the shadow stack is: root_capacity + 1 words of the program's own */
    uint32_t wrap_capacity; /* entries of the wrap table at the start */
    uint32_t wrap_limit;    /* entries to which the wrap table may grow */
    uint32_t handle_floor;  /* handles registered between two collections, at least */
    uint32_t weight_floor_bytes; /* weight registered between two collections, at least */
    uint32_t sizing;        /* TETHER_SIZING_... */
    uint32_t sizing_value;  /* bytes, or percent */
    uint32_t stress;        /* collects at every so many allocations and registrations; closes the window */
    uint32_t interior_pointers; /* 1: a word of a conservative object that points inside an object keeps it */
} tether_options;

/* Makes the heap, with `options`, or with the defaults if `options` is NULL. Without it
 * the first operation makes the heap, with the defaults. Call it before the first inline
 * push or frame: until there is a heap, the shadow stack has no slots. */
uint32_t tether_start(const tether_options *options);
/* Releases every handle, and gives all memory back. The released handles can still be
 * drained. */
uint32_t tether_close(void);
uint32_t tether_abi_version(void);

/* ---- Allocation: NULL at failure. May collect. ---- */

/* Describes a layout: some fixed words, then elements of equal shape. Each part has up to
 * 64 words, and bit i of its references says that its word i is a reference. Returns the
 * layout's number, or 0 at failure. */
uint32_t tether_define_layout(uint32_t fixed_words, uint64_t fixed_references,
                              uint32_t element_words, uint64_t element_references);
/* A zeroed object of a layout with `length` elements; of `length` bytes for the layouts
 * 0 (leaf) and 1 (conservative). */
void *tether_allocate(uint32_t layout, uint32_t length);
/* A leaf: an object without references. Its content is whatever the memory held. */
void *tether_allocate_leaf(uint32_t size_bytes);
/* A zeroed object in which every aligned word may be a reference. */
void *tether_allocate_conservative(uint32_t size_bytes);
/* A zeroed object of 1 to 8 granules of 8 bytes, described by TETHER_TEMPLATE. */
void *tether_allocate_small(uint32_t granules, uint64_t template_);
/* The object that tether_allocate gives, at a multiple of `alignment`, a power of two up
 * to 4096. */
void *tether_allocate_aligned(uint32_t layout, uint32_t length, uint32_t alignment);

void *tether_allocate_or_trap(uint32_t layout, uint32_t length);
void *tether_allocate_leaf_or_trap(uint32_t size_bytes);
void *tether_allocate_conservative_or_trap(uint32_t size_bytes);
void *tether_allocate_small_or_trap(uint32_t granules, uint64_t template_);

/* Collects the whole heap now. */
uint32_t tether_collect(void);
/* Says when a collection is futile: if it makes room for less than `percent` of the heap. After
 * several futile collections in a row some requests are refused without another: see
 * docs/core-abi.md. At first `percent` is 2; with 0 no collection is futile. */
uint32_t tether_set_least_freed(uint32_t percent);
/* 1 if a live object starts at the address, else 0. */
uint32_t tether_is_object(const void *address);
/* The size of a live object in bytes, a multiple of 8; 0 for any other address. */
uint32_t tether_size_of(const void *object);

/* ---- Roots ---- */

/* Pushes a root, which may be NULL. */
uint32_t tether_push(const void *object);
uint32_t tether_push_or_trap(const void *object);
/* Pops the top root and returns it. */
void *tether_pop(void);
/* Pops roots until `depth` are left. */
uint32_t tether_truncate(uint32_t depth);
/* Opens a scope: every new object is rooted until the scope is left. */
uint32_t tether_enter_scope(void);
/* Leaves the innermost scope. The scope around it, if there is one, roots `keep`. */
uint32_t tether_leave_scope(const void *keep);
/* Pins an object: it lives until it is unpinned as often as it was pinned. */
uint32_t tether_pin(const void *object);
uint32_t tether_unpin(const void *object);
/* Adds a root range: memory whose aligned words may point to objects or into them. A
 * `begin` of NULL stands for the C stack, from the stack pointer when a collection begins,
 * up to `end`. */
uint32_t tether_add_roots(const void *begin, const void *end);
uint32_t tether_remove_roots(const void *begin);

/* ---- Wrappers ---- */

typedef struct { uint32_t kind, handle; } tether_handle;

/* Makes `wrapper` the owner of a handle. May collect; `wrapper` is kept. At an error the
 * handle is still the caller's. */
uint32_t tether_register(const void *wrapper, uint32_t kind, uint32_t handle, uint32_t weight_bytes);
uint32_t tether_register_or_trap(const void *wrapper, uint32_t kind, uint32_t handle, uint32_t weight_bytes);
/* A new leaf of two words, kind and handle, that owns the handle. NULL at failure. May
 * collect. */
void *tether_wrap(uint32_t kind, uint32_t handle, uint32_t weight_bytes);
void *tether_wrap_or_trap(uint32_t kind, uint32_t handle, uint32_t weight_bytes);
/* Writes the handle that `wrapper` owns, and its kind, to `into`. */
uint32_t tether_handle_of(const void *wrapper, tether_handle *into);
/* Says what the resource costs its owner now. */
uint32_t tether_set_weight(const void *wrapper, uint32_t weight_bytes);
/* Releases the handle of `wrapper` now. */
uint32_t tether_dispose(const void *wrapper);
/* Takes at most `max` released handles out, and returns their number. */
uint32_t tether_drain(tether_handle *into, uint32_t max);
/* The number of released handles that wait for tether_drain. */
uint32_t tether_pending(void);

/* The collector calls this with released handles, at the end of the operation that
 * released them. It returns how many handles it took, from the first on. The others wait
 * for tether_drain. From inside it every function answers TETHER_BUSY. It must leave the
 * shadow stack as it found it. It must not trap or throw: the collector would stay busy.
 *
 * Do one of three: define it; define TETHER_PULL in one file, to take handles with
 * tether_drain alone; or leave it to the host ("env" "tether_release", with wasm-ld's
 * --allow-undefined). */
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

/* Writes the counts to `into`; docs/core-abi.md says what each is. */
uint32_t tether_read_statistics(tether_statistics *into);
/* Checks the heap: 0, or the number of the first invariant that does not hold, or
 * 0xffffffff at an error. `at` is NULL, or gets the place. */
uint32_t tether_verify(uint32_t *at);

/* What each collection does besides collecting; see docs/guide/missing-roots.md. */
enum {
    TETHER_POISON = 1,     /* dead objects are filled with TETHER_POISON_WORD */
    TETHER_QUARANTINE = 2, /* no new object gets a dead object's address before the next collection */
    TETHER_VERIFY = 4      /* the heap is verified; tether_verify returns the first violation found */
};
#define TETHER_POISON_WORD 0xdeadbeefu

/* From now on, collects at every so many allocations and registrations; 0 for never. `modes`
 * is the sum of the modes above. */
uint32_t tether_stress(uint32_t every, uint32_t modes);

/* ---- Inline: what a compiler emits ---- */

/* The metadata of a small object: a byte for each granule of two words. If granules without
 * references are at the object's end, the last granule that has references is marked (0x40),
 * and tracing ends there. */
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

/* A zeroed object of `words` words, 1 to 16. Bit i of `references` says that word i holds a
 * reference. Both are constants. NULL at failure. May collect. */
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

/* A leaf. Its content is whatever the memory held. NULL at failure. May collect. */
static inline __attribute__((always_inline)) void *tether_new_leaf(uint32_t size_bytes) {
    if (__builtin_constant_p(size_bytes) && size_bytes >= 1 && size_bytes <= 64)
        return tether_new((size_bytes + 3) / 4, 0);
    return tether_allocate_leaf(size_bytes);
}

/* A frame of `count` slots on the shadow stack, all null; NULL if they do not fit. */
static inline void **tether_enter_frame(uint32_t count) {
    uint32_t frame = tether_state.sp;
    /* The limit is 0 before the heap is made and after it is closed. */
    if (__builtin_expect(frame + count * 4 > tether_state.stack_limit, 0))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        ((void **)frame)[i] = 0;
    tether_state.sp = frame + count * 4;
    return (void **)frame;
}

/* Leaves a frame, and all that were entered after it. */
static inline void tether_leave_frame(void **frame) {
    tether_state.sp = (uint32_t)frame;
}

#ifdef __cplusplus
}
#endif
#endif
