// The dictionary of ../dictionary.c by a guest that imports the collector: a binary tree of words,
// each with an entry that the host keeps and that closes when the collector finds the word's node
// dead.
//
// It is written against wit-bindgen's C, and knows nothing of how it is put together with the
// collector. The bottom root is an object that holds the tree. A function that makes objects opens a
// scope, which roots them.

#include "bound_dictionary.h"

#include <string.h>

typedef tether_gc_types_reference_t reference;
typedef tether_gc_types_error_t error;

enum { KIND_ENTRY = 1, LEAF = 0, MOST_DRAINED = 64 };

// The words of a node, of which the first three are references; and the tree's one.
enum { LEFT, RIGHT, TEXT, LENGTH, COUNT, NODE_WORDS };
enum { TREE, HOLDER_WORDS };

static tether_gc_types_layout_t node_layout;
static reference holder;
static uint32_t words;

static uint32_t get(reference object, uint32_t index) {
    uint32_t word = 0;
    error failed;
    if (!tether_gc_heap_get(object, index, &word, &failed))
        __builtin_trap();
    return word;
}

static void set(reference object, uint32_t index, uint32_t word) {
    error failed;
    if (!tether_gc_heap_set(object, index, word, &failed))
        __builtin_trap();
}

// Closes the entries of nodes that have died.
static void close_dead(void) {
    tether_gc_wrappers_list_dead_handle_t dead;
    do {
        tether_gc_wrappers_drain(MOST_DRAINED, &dead);
        // The two records have the same fields.
        tether_c_guest_entries_list_entry_t entries = {
            (tether_c_guest_entries_entry_t *)dead.ptr, dead.len};
        if (dead.len > 0)
            tether_c_guest_entries_close(&entries);
        tether_gc_wrappers_list_dead_handle_free(&dead);
    } while (dead.len == MOST_DRAINED);
}

static int compare(const uint8_t *word, size_t length, reference node) {
    bound_dictionary_list_u8_t text;
    error failed;
    size_t other = get(node, LENGTH);
    if (!tether_gc_heap_read_bytes(get(node, TEXT), 0, other, &text, &failed))
        __builtin_trap();
    int order = memcmp(word, text.ptr, length < other ? length : other);
    bound_dictionary_list_u8_free(&text);
    return order ? order : (length > other) - (length < other);
}

// A word's place: an object and which of its words names the node, or is to name it.
struct place {
    reference object;
    uint32_t index;
};

static struct place find(const uint8_t *word, size_t length) {
    struct place place = {holder, TREE};
    for (reference node; (node = get(place.object, place.index));) {
        int order = compare(word, length, node);
        if (order == 0)
            break;
        place = (struct place){node, order < 0 ? LEFT : RIGHT};
    }
    return place;
}

// Puts a new node with an entry of its own into a place.
static bool make(struct place place, const uint8_t *word, size_t length, error *failed) {
    reference text, node;
    bound_dictionary_list_u8_t bytes = {(uint8_t *)word, length};
    if (!tether_gc_heap_allocate(LEAF, length, &text, failed) ||
        !tether_gc_heap_write_bytes(text, 0, &bytes, failed) ||
        !tether_gc_heap_allocate(node_layout, 0, &node, failed))
        return false;
    set(node, TEXT, text);
    set(node, LENGTH, length);
    bound_dictionary_string_t name = {(uint8_t *)word, length};
    tether_c_guest_entries_entry_t entry = {KIND_ENTRY, tether_c_guest_entries_open(&name)};
    if (!tether_gc_wrappers_register(node, entry.kind, entry.number, length, failed)) {
        // The collector did not take the entry.
        tether_c_guest_entries_list_entry_t entries = {&entry, 1};
        tether_c_guest_entries_close(&entries);
        return false;
    }
    set(place.object, place.index, node);
    words++;
    return true;
}

static bool add_word(const uint8_t *word, size_t length, error *failed) {
    // Objects never move, so the place stays where it is when something collects.
    struct place place = find(word, length);
    if (!get(place.object, place.index)) {
        error ignored;
        if (!tether_gc_roots_enter_scope(failed))
            return false;
        bool made = make(place, word, length, failed);
        tether_gc_roots_leave_scope(0, &ignored);
        if (!made)
            return false;
    }
    reference node = get(place.object, place.index);
    set(node, COUNT, get(node, COUNT) + 1);
    return true;
}

static bool ready(error *failed) {
    tether_gc_heap_words_t none = {0, 0}, node = {NODE_WORDS, 7}, one = {HOLDER_WORDS, 1};
    tether_gc_types_layout_t holder_layout;
    return holder || (tether_gc_heap_define_layout(&node, &none, &node_layout, failed) &&
                      tether_gc_heap_define_layout(&one, &none, &holder_layout, failed) &&
                      tether_gc_heap_allocate(holder_layout, 0, &holder, failed) &&
                      tether_gc_roots_push(holder, failed));
}

static bool is_space(uint8_t character) { return character == ' ' || character == '\n'; }

bool exports_tether_c_guest_words_add(bound_dictionary_string_t *text, uint32_t *ret, uint32_t *err) {
    error failed;
    bool done = ready(&failed);
    for (size_t at = 0; at < text->len && done;) {
        size_t begin = at;
        while (at < text->len && !is_space(text->ptr[at]))
            at++;
        if (at > begin)
            done = add_word(text->ptr + begin, at - begin, &failed);
        at++;
    }
    bound_dictionary_string_free(text);
    close_dead();
    *ret = words;
    // As the core door numbers errors, from 1 on.
    *err = done ? 0 : failed.code + 1;
    return done;
}

uint32_t exports_tether_c_guest_words_count(bound_dictionary_string_t *word) {
    uint32_t count = 0;
    if (holder) {
        struct place place = find(word->ptr, word->len);
        reference node = get(place.object, place.index);
        count = node ? get(node, COUNT) : 0;
    }
    bound_dictionary_string_free(word);
    return count;
}

void exports_tether_c_guest_words_forget(void) {
    if (holder)
        set(holder, TREE, 0);
    words = 0;
}

uint32_t exports_tether_c_guest_words_finish(void) {
    error failed;
    uint32_t waiting = 0;
    exports_tether_c_guest_words_forget();
    holder = 0;
    bool closed = tether_gc_wrappers_close(&waiting, &failed);
    close_dead();
    return closed ? 0 : failed.code + 1;
}
