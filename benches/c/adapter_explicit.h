/* Explicit allocation and release, for programs that know every lifetime: dlmalloc or talc
 * behind two functions, or wasi-libc's malloc. */
#define EXPLICIT_LIFETIMES 1

#ifdef WITH_LIBC
#include <stdlib.h>
static inline void *explicit_allocate(size_t size) { return malloc(size); }
static inline void explicit_free(void *block, size_t size) {
    (void)size;
    free(block);
}
#else
extern void *explicit_allocate(size_t size);
extern void explicit_free(void *block, size_t size);
#endif

#define START() ((void)0)
#define FRAME(count) void *frame[count] = {0}
#define LEAVE() ((void)frame)

static inline void *new_zeroed(uint32_t size) {
    uint32_t *object = explicit_allocate(size);
    for (uint32_t i = 0; i < size / 4; i++)
        object[i] = 0;
    return object;
}

static inline void *new_array(uint32_t length) {
    void *array = explicit_allocate(length * sizeof(void *));
    __builtin_memset(array, 0, length * sizeof(void *));
    return array;
}

#define NEW(type, references) ((type *)new_zeroed(sizeof(type)))
#define NEW_LEAF(size) explicit_allocate(size)
#define NEW_LARGE_LEAF(size) explicit_allocate(size)
#define NEW_ARRAY(length) new_array(length)
#define FREE(object, size) explicit_free(object, size)

__attribute__((import_module("bench"), import_name("release"))) extern void host_release(int32_t);

static inline int32_t *wrap(int32_t handle) {
    int32_t *wrapper = explicit_allocate(8);
    wrapper[0] = 1;
    wrapper[1] = handle;
    return wrapper;
}
#define WRAP(handle) wrap(handle)
#define DROP(wrapper) (host_release((wrapper)[1]), explicit_free(wrapper, 8))
#define RELEASE_ALL() ((void)0)

#define STATISTIC(which) ((which) == 0 ? 0 : -1)
