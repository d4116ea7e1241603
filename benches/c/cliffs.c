/* The cliffs: inputs at which a collector may become steep. Each stands beside its level, which
 * is that work without the condition that makes it steep.
 *
 * A level is an export with `_level` behind its name, or the cliff's own export in a memory
 * without a limit; driver/src/cliffs.rs pairs them. An export does its work `n` times or
 * with `n` objects. It measures nanoseconds or bytes, keeps them for `statistic(2)`, and returns
 * for how many operations the nanoseconds are. It traps if an object is damaged, if a
 * handle is lost, or if `tether_verify` finds a violation.
 */
#include "tether_gc.h"

#define EXPORT(name) __attribute__((export_name(name))) extern
#define IMPORT(name) __attribute__((import_module("bench"), import_name(name))) extern
#define ESCAPE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")
#define CHECK(condition)   \
    do {                   \
        if (!(condition))  \
            __builtin_trap(); \
    } while (0)

enum { KIB = 1024, MIB = 1024 * 1024 };

IMPORT("now") double host_now(void);

/* ---- The beginning and the end of every cliff ---- */

static int64_t figure = -1;
static double clock_started;
static uint64_t handles_released;

uint32_t tether_release(const tether_handle *handles, uint32_t count) {
    (void)handles;
    handles_released += count;
    return count;
}

static void start_clock(void) { clock_started = host_now(); }
static double stop_clock(void) { return host_now() - clock_started; }

static tether_statistics statistics(void) {
    tether_statistics now;
    CHECK(tether_read_statistics(&now) == TETHER_OK);
    return now;
}

/* Makes the heap, and gives a frame of two roots. */
static void **begin_with(const tether_options *options) {
    CHECK(tether_start(options) == TETHER_OK);
    void **frame = tether_enter_frame(2);
    CHECK(frame);
    return frame;
}

static void **begin(void) { return begin_with(0); }

static int64_t end(int64_t measured, int64_t count) {
    figure = measured;
    CHECK(tether_verify(0) == 0);
    tether_statistics now = statistics();
    CHECK(now.handles_released == handles_released);
    CHECK(now.wrappers_registered == handles_released + now.wrappers_live);
    return count;
}

/* An array of references, all null. */
static void **new_array(uint32_t length) {
    void **array = tether_allocate(tether_define_layout(0, 0, 1, 1), length);
    CHECK(array);
    return array;
}

/* Zeroed memory that is the program's own. */
static uint32_t *program_memory(uint32_t words) {
    size_t page = __builtin_wasm_memory_grow(0, (words + 16383) / 16384);
    CHECK(page != (size_t)-1);
    return (uint32_t *)(page * 65536);
}

/* A numbered node of a list. Nodes are made in several sizes; behind these two words
 * they have nothing. */
typedef struct node {
    struct node *next;
    uint32_t number;
} node;

/* Puts a node of so many words before a list. NULL if memory is exhausted. */
static inline __attribute__((always_inline)) node *prepend(void **list, uint32_t words,
                                                           uint32_t number) {
    node *first = tether_new(words, 0x1);
    if (!first)
        return 0;
    first->number = number;
    first->next = *list;
    *list = first;
    return first;
}

/* Puts nodes of so many words before a list, numbered from 0 on, up to `most`, or until
 * memory is exhausted. */
static inline __attribute__((always_inline)) uint32_t fill(void **list, uint32_t words,
                                                          uint32_t most) {
    uint32_t count = 0;
    while (count < most && prepend(list, words, count))
        count++;
    return count;
}

/* The length of a list in which each node's number is less than that before it by `step`,
 * down to 0. */
static uint32_t count_list(const node *first, uint32_t step) {
    uint32_t count = 0;
    for (const node *at = first; at; at = at->next, count++)
        CHECK(at->number == (at->next ? at->next->number + step : 0));
    return count;
}

/* Drops all nodes of a list but those whose number is a multiple of `step`. */
static void thin_out(void **list, uint32_t step) {
    node *kept = 0, *next;
    for (node *at = *list; at; at = next) {
        next = at->next;
        if (at->number % step)
            continue;
        if (kept)
            kept->next = at;
        else
            *list = at;
        at->next = 0;
        kept = at;
    }
}

/* ---- Marking, if the mark stack cannot grow ---- */

/* Makes objects of 8 bytes, each dead at once: with a limit they leave no memory to grow. Gives
 * the number of collections that they bring. */
static uint32_t make_garbage(int32_t count) {
    uint32_t before = statistics().collections;
    start_clock();
    for (int32_t i = 0; i < count; i++) {
        void *dead = tether_new(2, 0);
        CHECK(dead);
        ESCAPE(dead);
    }
    figure = stop_clock();
    uint32_t collections = statistics().collections - before;
    CHECK(collections);
    return collections;
}

typedef struct payload {
    struct payload *other;
    uint32_t number;
} payload;

typedef struct holder {
    payload *held;
    struct holder *next;
} holder;

/* A list of nodes in a row, each with a payload from a part of the heap that is older:
 * marking goes along the list, and has all payloads yet to trace at its end. */
EXPORT("mark_list") int64_t mark_list(int32_t n) {
    void **frame = begin();
    for (int32_t i = 0; i < n; i++)
        CHECK(prepend(&frame[0], 2, i));
    for (int32_t i = 0; i < n; i++) {
        holder *first = tether_new(2, 0x3);
        CHECK(first);
        first->held = frame[0];
        frame[0] = first->held->other;
        first->held->other = 0;
        first->next = frame[1];
        frame[1] = first;
    }
    uint32_t collections = make_garbage(6 * n);
    int32_t count = 0;
    for (holder *at = frame[1]; at; at = at->next, count++)
        CHECK(at->held->number == (uint32_t)count && !at->held->other);
    CHECK(count == n);
    return end(figure, collections);
}

/* A chain of n objects of 8 KiB, each with as many children as it has room for. */
EXPORT("mark_wide") int64_t mark_wide(int32_t n) {
    enum { children = 2047 };
    void **frame = begin();
    uint32_t layout = tether_define_layout(1, 1, 1, 1);
    for (int32_t i = 0; i < n; i++) {
        void **parent = tether_allocate(layout, children);
        CHECK(parent);
        parent[0] = frame[0];
        frame[0] = parent;
        for (int32_t c = 1; c <= children; c++) {
            payload *child = tether_new(2, 0x1);
            CHECK(child);
            child->number = i ^ c;
            parent[c] = child;
        }
    }
    uint32_t collections = make_garbage(6 * n * children);
    int32_t left = n;
    for (void **at = frame[0]; at; at = at[0]) {
        left--;
        for (int32_t c = 1; c <= children; c++)
            CHECK(((payload *)at[c])->number == (uint32_t)(left ^ c));
    }
    CHECK(left == 0);
    return end(figure, collections);
}

/* ---- Tables that have no room to double ---- */

static int is_lack_of_room(void) {
    return tether_state.last_error == TETHER_OUT_OF_MEMORY ||
           tether_state.last_error == TETHER_WRAP_TABLE_FULL;
}

/* Wrappers that all live, until one is refused. */
EXPORT("wraps") int64_t wraps(int32_t n) {
    void **frame = begin_with(&(tether_options){.wrap_limit = 1 << 22});
    frame[0] = new_array(n);
    int32_t done = 0;
    start_clock();
    for (uint32_t *wrapper; done < n && (wrapper = tether_wrap(1, done, 0)); done++)
        ((void **)frame[0])[done] = wrapper;
    double took = stop_clock();
    CHECK(done == n || is_lack_of_room());
    for (int32_t i = 0; i < done; i++)
        CHECK(((uint32_t **)frame[0])[i][1] == (uint32_t)i);
    CHECK(statistics().wrappers_live == (uint32_t)done);
    return end(took, done);
}

/* Pins of as many objects, until one is refused. Only the pins keep them. */
EXPORT("pins") int64_t pins(int32_t n) {
    uint32_t **pinned = (uint32_t **)program_memory(n);
    begin();
    int32_t done = 0;
    start_clock();
    for (; done < n; done++) {
        uint32_t *object = tether_new(2, 0);
        if (!object || tether_pin(object) != TETHER_OK)
            break;
        object[0] = done;
        pinned[done] = object;
    }
    double took = stop_clock();
    CHECK(done == n || is_lack_of_room());
    CHECK(tether_collect() == TETHER_OK);
    for (int32_t i = 0; i < done; i++)
        CHECK(pinned[i][0] == (uint32_t)i);
    return end(took, done);
}

/* ---- Tables that are searched ---- */

/* Root ranges, all added, then all removed. In between only they keep some objects. */
EXPORT("ranges") int64_t ranges(int32_t n) {
    enum { step = 97 };
    uint32_t *words = program_memory(2 * n);
    begin();
    start_clock();
    for (int32_t i = 0; i < n; i++)
        CHECK(tether_add_roots(words + 2 * i, words + 2 * i + 1) == TETHER_OK);
    double took = stop_clock();
    for (int32_t i = 0; i < n; i += step) {
        uint32_t *object = tether_new(2, 0);
        object[0] = i;
        words[2 * i] = (uint32_t)object;
    }
    CHECK(tether_collect() == TETHER_OK);
    for (int32_t i = 0; i < n; i += step)
        CHECK(((uint32_t *)words[2 * i])[0] == (uint32_t)i);
    start_clock();
    for (int32_t i = 0; i < n; i++)
        CHECK(tether_remove_roots(words + 2 * i) == TETHER_OK);
    return end(took + stop_clock(), n);
}

/* The ranges of `ranges`, each removed before the next is added. */
EXPORT("ranges_level") int64_t ranges_level(int32_t n) {
    uint32_t *words = program_memory(2 * n);
    begin();
    start_clock();
    for (int32_t i = 0; i < n; i++) {
        CHECK(tether_add_roots(words + 2 * i, words + 2 * i + 1) == TETHER_OK);
        CHECK(tether_remove_roots(words + 2 * i) == TETHER_OK);
    }
    return end(stop_clock(), n);
}

/* Definitions of layouts, of which so many differ: each number must come again for the
 * same description, and for no other. */
static int64_t define_layouts(int32_t n, int32_t different) {
    uint32_t *numbers = program_memory(different);
    begin();
    start_clock();
    for (int32_t i = 0; i < n; i++) {
        uint32_t layout = tether_define_layout(64, 1 + i % different, 0, 0);
        CHECK(layout);
        if (i < different)
            numbers[i] = layout;
        else
            CHECK(numbers[i % different] == layout);
    }
    double took = stop_clock();
    for (int32_t i = 0; i < different; i += 97)
        CHECK(tether_define_layout(64, 1 + i, 0, 0) == numbers[i] &&
              (i == 0 || numbers[i] != numbers[i - 1]));
    return end(took, n);
}

EXPORT("layouts") int64_t layouts(int32_t n) { return define_layouts(n, n); }
EXPORT("layouts_level") int64_t layouts_level(int32_t n) { return define_layouts(n, 16); }

/* ---- Large objects ---- */

/* So many leaves of 60,000 bytes, and as many blocks full of small objects: in turns, or
 * one kind after the other. */
static int64_t leaves_and_blocks(int32_t n, int in_turns) {
    enum { leaf_bytes = 60000, block_bytes = 57344, small_words = 16 };
    const uint32_t in_block = block_bytes / (4 * small_words);
    void **frame = begin();
    start_clock();
    frame[0] = new_array(n);
    for (int32_t pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < n; i++) {
            if (in_turns ? pass == 0 : pass == 1) {
                uint32_t *leaf = tether_allocate_leaf(leaf_bytes);
                CHECK(leaf);
                leaf[0] = i;
                ((void **)frame[0])[i] = leaf;
            }
            if (pass == 0)
                for (uint32_t s = 0; s < in_block; s++)
                    CHECK(prepend(&frame[1], small_words, i * in_block + s));
        }
    double took = stop_clock();
    for (int32_t i = 0; i < n; i++)
        CHECK(((uint32_t **)frame[0])[i][0] == (uint32_t)i);
    return end(took, n + count_list(frame[1], 1));
}

EXPORT("turns") int64_t turns(int32_t n) { return leaves_and_blocks(n, 1); }
EXPORT("turns_level") int64_t turns_level(int32_t n) { return leaves_and_blocks(n, 0); }

/* Nanoseconds of `tether_size_of` each of n live leaves: of several sizes the slowest or
 * the fastest. An index by address may not suit all the strides at which leaves lie. */
static int64_t sizes_of_leaves(int32_t n, int slowest) {
    static const uint32_t sizes[] = {16384, 20000, 20480, 23936, 23992, 24000, 24008, 24576};
    void **frame = begin();
    double took = 0;
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        frame[0] = 0;
        CHECK(tether_collect() == TETHER_OK);
        void **leaves = frame[0] = new_array(n);
        for (int32_t i = 0; i < n; i++) {
            leaves[i] = tether_allocate_leaf(sizes[s]);
            CHECK(leaves[i]);
        }
        start_clock();
        for (int32_t i = 0; i < n; i++)
            CHECK(tether_size_of(leaves[i]) == sizes[s]);
        double this = stop_clock();
        if (s == 0 || (slowest ? this > took : this < took))
            took = this;
    }
    return end(took, n);
}

EXPORT("size_of") int64_t size_of(int32_t n) { return sizes_of_leaves(n, 1); }
EXPORT("size_of_level") int64_t size_of_level(int32_t n) { return sizes_of_leaves(n, 0); }

/* The least nanoseconds of five collections. */
static double least_collection(void) {
    double least = 0;
    for (int i = 0; i < 5; i++) {
        start_clock();
        CHECK(tether_collect() == TETHER_OK);
        double took = stop_clock();
        if (i == 0 || took < least)
            least = took;
    }
    return least;
}

/* What a root range of n words, none of which is a reference, adds to a collection with
 * so many large objects. */
static int64_t words_among(int32_t n, uint32_t large) {
    uint32_t *words = program_memory(n);
    for (int32_t i = 0; i < n; i++)
        words[i] = i % 2 ? i % 1000 : 0;
    void **frame = begin();
    void **leaves = frame[0] = new_array(large);
    for (uint32_t i = 0; i < large; i++) {
        leaves[i] = tether_allocate_leaf(10000);
        CHECK(leaves[i]);
        *(uint32_t *)leaves[i] = i;
    }
    double without = least_collection();
    CHECK(tether_add_roots(words, words + n) == TETHER_OK);
    double with = least_collection();
    for (uint32_t i = 0; i < large; i++)
        CHECK(*(uint32_t *)leaves[i] == i);
    return end(with > without ? with - without : 0, n);
}

EXPORT("root_words") int64_t root_words(int32_t n) { return words_among(n, 20000); }
EXPORT("root_words_level") int64_t root_words_level(int32_t n) { return words_among(n, 0); }

/* ---- When to collect, and how much it frees ---- */

/* So many wrappers registered and disposed of at once, with 15 MiB of other objects live.
 * The weight of each is gone when the next is registered. */
static int64_t register_and_dispose(int32_t n, uint32_t weight_bytes) {
    void **frame = begin();
    const uint32_t live = 15 * MIB / 16;
    CHECK(fill(&frame[0], 4, live) == live);
    start_clock();
    for (int32_t i = 0; i < n; i++) {
        void *wrapper = tether_new(2, 0);
        CHECK(tether_register(wrapper, 1, i, weight_bytes) == TETHER_OK);
        CHECK(tether_dispose(wrapper) == TETHER_OK);
    }
    double took = stop_clock();
    CHECK(handles_released == (uint64_t)n);
    CHECK(count_list(frame[0], 1) == live);
    return end(took, n);
}

EXPORT("weights") int64_t weights(int32_t n) { return register_and_dispose(n, MIB); }
EXPORT("weights_level") int64_t weights_level(int32_t n) { return register_and_dispose(n, 0); }

/* 50 MiB of dying leaves of 8 KiB, in a heap that once was full of so many MiB of objects of
 * 64 bytes, of which one in each 4 KiB is left. */
static int64_t leaves_among_survivors(int32_t once_mib) {
    enum { leaf_bytes = 8 * KIB, leaves = 50 * MIB / leaf_bytes };
    void **frame = begin();
    const uint32_t full = once_mib * (MIB / 64);
    CHECK(fill(&frame[0], 16, full) == full);
    thin_out(&frame[0], 64);
    CHECK(tether_collect() == TETHER_OK);
    start_clock();
    for (uint32_t i = 0; i < leaves; i++) {
        uint32_t *leaf = tether_new_leaf(leaf_bytes);
        CHECK(leaf);
        leaf[0] = i;
        ESCAPE(leaf);
    }
    double took = stop_clock();
    count_list(frame[0], 64);
    return end(took, leaves);
}

EXPORT("survivors") int64_t survivors(int32_t n) { return leaves_among_survivors(n); }
EXPORT("survivors_level") int64_t survivors_level(int32_t n) {
    (void)n;
    return leaves_among_survivors(0);
}

/* A heap in which n wrappers were once live and looked up, and little is live now. */
static void **after_wrappers(int32_t n) {
    void **frame = begin_with(&(tether_options){.wrap_limit = 1 << 22});
    CHECK(fill(&frame[0], 4, 100) == 100);
    if (n) {
        void **wrappers = frame[1] = new_array(n);
        for (int32_t i = 0; i < n; i++) {
            wrappers[i] = tether_wrap(1, i, 0);
            CHECK(wrappers[i]);
        }
        for (int32_t i = 0; i < n; i++) {
            tether_handle handle;
            CHECK(tether_handle_of(wrappers[i], &handle) == TETHER_OK);
            CHECK(handle.handle == (uint32_t)i);
        }
    }
    frame[1] = 0;
    for (int i = 0; i < 3; i++)
        CHECK(tether_collect() == TETHER_OK);
    CHECK(handles_released == (uint64_t)n);
    return frame;
}

/* Collections that each drop one wrapper, which was looked up. */
static int64_t time_after_wrappers(int32_t n) {
    enum { collections = 100 };
    void **frame = after_wrappers(n);
    double took = 0;
    for (int i = 0; i < collections; i++) {
        tether_handle handle;
        frame[1] = tether_wrap(1, i, 0);
        CHECK(tether_handle_of(frame[1], &handle) == TETHER_OK);
        CHECK(handle.handle == (uint32_t)i);
        frame[1] = 0;
        start_clock();
        CHECK(tether_collect() == TETHER_OK);
        took += stop_clock();
    }
    CHECK(count_list(frame[0], 1) == 100);
    return end(took, collections);
}

EXPORT("after_wrappers_time") int64_t after_wrappers_time(int32_t n) {
    return time_after_wrappers(n);
}
EXPORT("after_wrappers_time_level") int64_t after_wrappers_time_level(int32_t n) {
    (void)n;
    return time_after_wrappers(0);
}

static int64_t bytes_after_wrappers(int32_t n) {
    void **frame = after_wrappers(n);
    return end(statistics().heap_bytes, count_list(frame[0], 1));
}

EXPORT("after_wrappers_bytes") int64_t after_wrappers_bytes(int32_t n) {
    return bytes_after_wrappers(n);
}
EXPORT("after_wrappers_bytes_level") int64_t after_wrappers_bytes_level(int32_t n) {
    (void)n;
    return bytes_after_wrappers(0);
}

/* ---- Full heaps; the host's limit makes them full ---- */

/* n objects of 8 bytes, each dead at once, in a heap full of live ones, from which some were
 * dropped that lie far from each other. */
static int64_t objects_in_full_heap(int32_t n, uint32_t dropped) {
    void **frame = begin();
    uint32_t live = fill(&frame[0], 2, UINT32_MAX), apart = live / (dropped + 1);
    node *at = frame[0];
    for (uint32_t i = 0; i < dropped; i++) {
        for (uint32_t s = 1; s < apart; s++)
            at = at->next;
        at->next = at->next->next;
    }
    CHECK(tether_collect() == TETHER_OK);
    start_clock();
    for (int32_t i = 0; i < n; i++) {
        uint32_t *object = tether_new(2, 0);
        CHECK(object || is_lack_of_room());
        if (object)
            object[0] = i;
        ESCAPE(object);
    }
    double took = stop_clock();
    uint32_t count = 1;
    for (node *at = frame[0]; at->next; at = at->next, count++)
        CHECK(at->number > at->next->number);
    CHECK(count == live - dropped);
    return end(took, n);
}

EXPORT("full") int64_t full(int32_t n) { return objects_in_full_heap(n, 0); }
EXPORT("full_level") int64_t full_level(int32_t n) { return objects_in_full_heap(n, 100000); }
EXPORT("nearly_full") int64_t nearly_full(int32_t n) { return objects_in_full_heap(n, 10); }
EXPORT("nearly_full_level") int64_t nearly_full_level(int32_t n) { return full_level(n); }

/* n requests for a leaf of that size, which dies at once if it can be had, in a heap that is
 * full and of which little lives, 16 bytes in each 4 KiB. */
static int64_t requests_among_survivors(int32_t n, uint32_t leaf_bytes) {
    void **frame = begin();
    fill(&frame[0], 4, UINT32_MAX);
    thin_out(&frame[0], 256);
    CHECK(tether_collect() == TETHER_OK);
    start_clock();
    for (int32_t i = 0; i < n; i++) {
        uint32_t *leaf = tether_allocate_leaf(leaf_bytes);
        CHECK(leaf || is_lack_of_room());
        if (leaf)
            leaf[0] = i;
    }
    double took = stop_clock();
    count_list(frame[0], 256);
    return end(took, n);
}

EXPORT("requests") int64_t requests(int32_t n) { return requests_among_survivors(n, 8 * KIB); }
EXPORT("requests_level") int64_t requests_level(int32_t n) {
    return requests_among_survivors(n, 2 * KIB);
}

/* ---- How much fits into the host's limit ---- */

/* Bytes of live objects of 16 bytes that fit after so many MiB of leaves died together. */
static int64_t fits_after_leaves(int32_t mib, uint32_t leaf_bytes) {
    void **frame = begin();
    uint32_t leaf_count = mib * MIB / leaf_bytes;
    void **leaves = frame[0] = new_array(leaf_count);
    for (uint32_t i = 0; i < leaf_count; i++) {
        leaves[i] = tether_allocate_leaf(leaf_bytes);
        CHECK(leaves[i]);
    }
    frame[0] = 0;
    CHECK(tether_collect() == TETHER_OK);
    int64_t count = fill(&frame[0], 4, UINT32_MAX);
    CHECK(count_list(frame[0], 1) == count);
    return end(count * 16, count);
}

EXPORT("fits_10k") int64_t fits_10k(int32_t n) { return fits_after_leaves(n, 10000); }
EXPORT("fits_100k") int64_t fits_100k(int32_t n) { return fits_after_leaves(n, 100000); }
EXPORT("fits_1m") int64_t fits_1m(int32_t n) { return fits_after_leaves(n, 1000000); }
EXPORT("fits_level") int64_t fits_level(int32_t n) {
    (void)n;
    return fits_after_leaves(0, 1);
}

/* Bytes of leaves of 8 KiB that fit in such a heap, of which so little lives, or in a fresh
 * one. */
static int64_t leaves_that_fit(int is_fresh) {
    enum { leaf_bytes = 8 * KIB, most = 32 * MIB / leaf_bytes };
    void **frame = begin();
    void **leaves = frame[1] = new_array(most);
    if (!is_fresh) {
        fill(&frame[0], 4, UINT32_MAX);
        thin_out(&frame[0], 256);
        CHECK(tether_collect() == TETHER_OK);
    }
    int64_t count = 0;
    while (count < most && (leaves[count] = tether_allocate_leaf(leaf_bytes)))
        count++;
    count_list(frame[0], 256);
    return end(count * leaf_bytes, count);
}

EXPORT("leaves_fit") int64_t leaves_fit(int32_t n) {
    (void)n;
    return leaves_that_fit(0);
}
EXPORT("leaves_fit_level") int64_t leaves_fit_level(int32_t n) {
    (void)n;
    return leaves_that_fit(1);
}

/* Bytes of the largest leaf, in MiB, of at most 2n, that fits beside a list of 37/60 n MiB. A
 * leaf of so many MiB has died before, which was at the end of memory. */
static int64_t leaf_fits_after(int32_t n, int32_t dead_mib) {
    void **frame = begin();
    const uint32_t live = n * 37 / 60 * (MIB / 64);
    CHECK(fill(&frame[0], 16, live) == live);
    if (dead_mib) {
        CHECK(tether_allocate_leaf(dead_mib * MIB));
        CHECK(tether_collect() == TETHER_OK);
    }
    int64_t mib = 2 * n;
    while (mib > 0 && !tether_allocate_leaf(mib * MIB))
        mib--;
    CHECK(count_list(frame[0], 1) == live);
    return end(mib * MIB, live);
}

EXPORT("leaf_fits") int64_t leaf_fits(int32_t n) { return leaf_fits_after(n, n); }
EXPORT("leaf_fits_level") int64_t leaf_fits_level(int32_t n) { return leaf_fits_after(n, 0); }

/* ---- Counts ---- */

/* 0: collections; 2: what the cliff measured, in nanoseconds or bytes; -1 for others. */
EXPORT("statistic") int64_t statistic(int32_t which) {
    return which == 0 ? statistics().collections : which == 2 ? figure : -1;
}
