/* Tether's core door, linked into the module. Handles come back by push. */
#include "tether_gc.h"

#define EXPLICIT_LIFETIMES 0

static uint32_t array_layout;

static void start(const tether_options *options) {
    if (tether_start(options) != TETHER_OK)
        __builtin_trap();
    array_layout = tether_define_layout(0, 0, 1, 1);
}

#define START() start(0)
#define START_SMALL_TABLE() \
    start(&(tether_options){.wrap_capacity = 490, .wrap_limit = 490, .handle_floor = 490})

#define FRAME(count)                           \
    void **frame = tether_enter_frame(count); \
    if (__builtin_expect(!frame, 0))           \
    __builtin_trap()
#define LEAVE() tether_leave_frame(frame)

#define NEW(type, references) ((type *)tether_new(sizeof(type) / 4, references))
#define NEW_LEAF(size) tether_new_leaf(size)
#define NEW_LARGE_LEAF(size) ((void *)tether_allocate_leaf(size))
#define NEW_ARRAY(length) ((void *)tether_allocate(array_layout, length))
#define FREE(object, size) ((void)(object))
#define COLLECT() ((void)tether_collect())

__attribute__((import_module("bench"), import_name("release"))) extern void host_release(int32_t);

uint32_t tether_release(const tether_handle *handles, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        host_release((int32_t)handles[i].handle);
    return count;
}

#define WRAP(handle) ((int32_t *)tether_wrap(1, (uint32_t)(handle), 0))
#define DROP(wrapper) ((void)(wrapper))
#define RELEASE_ALL() ((void)tether_collect())

static int64_t read_statistic(int32_t which) {
    tether_statistics statistics;
    if (tether_read_statistics(&statistics) != TETHER_OK)
        return -1;
    return which == 0 ? (int64_t)statistics.collections
           : which == 1 ? (int64_t)statistics.unreleased_peak
                        : -1;
}
#define STATISTIC(which) read_statistic(which)
