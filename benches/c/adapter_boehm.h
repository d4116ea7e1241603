/* Boehm's collector, which cannot see Wasm's locals. So it has a shadow stack like Tether's,
 * of which exactly the slots in use are roots. Leaves are atomic; arrays are kept
 * by their starts alone, as the collector's documentation advises for large ones.
 * (Free lists in the program, as in gc_inline.h, were tried: no faster here.) */
#include <gc.h>
#include <gc/gc_mark.h>

#define EXPLICIT_LIFETIMES 0

enum { shadow_capacity = 16384 };
static void *shadow_stack[shadow_capacity];
static void **shadow_top = shadow_stack;

static void push_shadow_stack(void) { GC_push_all_eager(shadow_stack, shadow_top); }

static void start(void) {
    GC_set_all_interior_pointers(0);
    GC_INIT();
    GC_exclude_static_roots(shadow_stack, shadow_stack + shadow_capacity);
    GC_set_push_other_roots(push_shadow_stack);
}
#define START() start()

static inline void **enter_frame(uint32_t count) {
    void **frame = shadow_top;
    if (__builtin_expect((uint32_t)(shadow_stack + shadow_capacity - frame) < count, 0))
        __builtin_trap();
    for (uint32_t i = 0; i < count; i++)
        frame[i] = 0;
    shadow_top = frame + count;
    return frame;
}
#define FRAME(count) void **frame = enter_frame(count)
#define LEAVE() (shadow_top = frame)

static inline void *new_large(uint32_t size) {
    return size > 100000 ? GC_MALLOC_IGNORE_OFF_PAGE(size) : GC_MALLOC(size);
}

#define NEW(type, references) ((type *)GC_MALLOC(sizeof(type)))
#define NEW_LEAF(size) GC_MALLOC_ATOMIC(size)
#define NEW_LARGE_LEAF(size) GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(size)
#define NEW_ARRAY(length) new_large((uint32_t)(length) * sizeof(void *))
#define FREE(object, size) ((void)(object))
#define COLLECT() GC_gcollect()

__attribute__((import_module("bench"), import_name("release"))) extern void host_release(int32_t);

static void finalize(void *wrapper, void *data) {
    (void)data;
    host_release(((int32_t *)wrapper)[1]);
}

static inline int32_t *wrap(int32_t handle) {
    int32_t *wrapper = GC_MALLOC_ATOMIC(8);
    wrapper[0] = 1;
    wrapper[1] = handle;
    GC_REGISTER_FINALIZER_NO_ORDER(wrapper, finalize, 0, 0, 0);
    return wrapper;
}
#define WRAP(handle) wrap(handle)
#define DROP(wrapper) ((void)(wrapper))
#define RELEASE_ALL()                          \
    do {                                       \
        GC_gcollect();                         \
    } while (GC_invoke_finalizers() > 0)

#define STATISTIC(which) ((which) == 0 ? (int64_t)GC_get_gc_no() : -1)
