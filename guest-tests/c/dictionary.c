// A dictionary in C on Tether: a binary tree of words, each with an entry that the
// host keeps and that closes when the collector finds the word's node dead.
//
// The tree's root is a C variable, registered as a range of roots. All other references that
// a function holds while something may collect are in a frame on the shadow stack.

#include "tether_gc.h"

#define NULL_NODE ((struct node *)0)

enum { KIND_ENTRY = 1, TEXT_MAX_BYTES = 64 * 1024 };

struct node {
    struct node *left;
    struct node *right;
    char *text; // a leaf object
    uint32_t length;
    uint32_t count;
};

enum { NODE_WORDS = sizeof(struct node) / 4, NODE_REFERENCES = 7 };

// The header computes the metadata that docs/core-abi.md describes.
_Static_assert(TETHER_TEMPLATE(2, 0) == 0x04, "no reference");
_Static_assert(TETHER_TEMPLATE(2, 1) == 0x2c, "the first word");
_Static_assert(TETHER_TEMPLATE(4, 3) == 0x0458, "the first granule only");
_Static_assert(TETHER_TEMPLATE(6, 5) == 0x044828, "two granules of three");
_Static_assert(TETHER_TEMPLATE(6, 33) == 0x140028, "the last granule");
_Static_assert(TETHER_TEMPLATE(16, 0x8000) == 0x1400000000000020, "the last word");

static struct node *root;
static uint32_t words;
static int is_ready;

// ---- The host ----

#define IMPORT(name) __attribute__((import_module("tether:c-guest/entries@0.1.0"), import_name(name)))
#define EXPORT(name) __attribute__((export_name("tether:c-guest/words@0.1.0#" name)))

IMPORT("open") extern uint32_t entry_open(const char *word, uint32_t length);
IMPORT("close") extern void entries_close(const tether_handle *entries, uint32_t count);

// Passes dead entries from the collector to the host.
uint32_t tether_release(const tether_handle *handles, uint32_t count) {
    entries_close(handles, count);
    return count;
}

// The host puts one text at a time here. The text is used until the export returns.
static char input[TEXT_MAX_BYTES];

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, uint32_t old_size,
                                                                 uint32_t alignment, uint32_t size) {
    (void)old, (void)old_size, (void)alignment;
    if (size > TEXT_MAX_BYTES)
        __builtin_trap();
    return input;
}

// `result<u32, u32>`, as it is returned.
struct result {
    uint8_t is_error;
    uint32_t value;
};

static struct result result;

static struct result *answer(uint32_t error) {
    result = (struct result){.is_error = error != 0, .value = error ? error : words};
    return &result;
}

// ---- The tree ----

static int compare(const char *left, uint32_t left_length, const char *right, uint32_t right_length) {
    uint32_t common = left_length < right_length ? left_length : right_length;
    for (uint32_t i = 0; i < common; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return left_length == right_length ? 0 : left_length < right_length ? -1 : 1;
}

// The place of a word's node, or the place for a new one.
static struct node **find(const char *word, uint32_t length) {
    struct node **place = &root;
    while (*place) {
        int order = compare(word, length, (*place)->text, (*place)->length);
        if (order == 0)
            break;
        place = order < 0 ? &(*place)->left : &(*place)->right;
    }
    return place;
}

// A node with an entry of its own, or NULL.
static struct node *make(const char *word, uint32_t length) {
    void **frame = tether_enter_frame(2);
    if (!frame) {
        // `tether_push` fails, and sets the error for a full stack.
        (void)tether_push(0);
        return NULL_NODE;
    }
    struct node *node = NULL_NODE;
    char *text = frame[0] = tether_allocate_leaf(length);
    if (text && (node = frame[1] = tether_new(NODE_WORDS, NODE_REFERENCES))) {
        for (uint32_t i = 0; i < length; i++)
            text[i] = word[i];
        node->text = text;
        node->length = length;
        tether_handle entry = {KIND_ENTRY, entry_open(word, length)};
        if (tether_register(node, entry.kind, entry.handle, length)) {
            // The collector did not take the entry.
            entries_close(&entry, 1);
            node = NULL_NODE;
        }
    }
    tether_leave_frame(frame);
    return node;
}

static uint32_t add_word(const char *word, uint32_t length) {
    // Objects never move, so the place stays where it is when something collects.
    struct node **place = find(word, length);
    if (!*place) {
        struct node *node = make(word, length);
        if (!node)
            return tether_state.last_error;
        *place = node;
        words++;
    }
    (*place)->count++;
    return TETHER_OK;
}

static uint32_t ready(void) {
    if (is_ready)
        return TETHER_OK;
    uint32_t error = tether_start(0);
    if (!error)
        error = tether_add_roots(&root, &root + 1);
    is_ready = !error;
    return error;
}

static int is_space(char character) { return character == ' ' || character == '\n'; }

EXPORT("add") struct result *add(const char *text, uint32_t length) {
    uint32_t error = ready();
    for (uint32_t at = 0; at < length && !error;) {
        uint32_t begin = at;
        while (at < length && !is_space(text[at]))
            at++;
        if (at > begin)
            error = add_word(text + begin, at - begin);
        at++;
    }
    return answer(error);
}

EXPORT("count") uint32_t count(const char *word, uint32_t length) {
    struct node *node = *find(word, length);
    return node ? node->count : 0;
}

EXPORT("forget") void forget(void) {
    root = NULL_NODE;
    words = 0;
}

EXPORT("finish") uint32_t finish(void) {
    forget();
    return tether_close();
}
