/*
 * mem: memory that is there or ends the program, with checked sizes.
 *
 * Running out of memory is the one failure that the library does not report: it prints "out of memory" and
 * exits 1. All functions are thread-safe except those on one arena.
 */
#ifndef QUERN_MEM_H
#define QUERN_MEM_H

#include <stddef.h>
#include <stdint.h>

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size); /* zeroed; n * size is checked */
void *xrealloc(void *p, size_t n);
void *xreallocarray(void *p, size_t n, size_t size); /* n * size is checked */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...)
#if defined(__GNUC__)
	__attribute__((format(printf, 1, 2)))
#endif
	;

/* What the functions here call; for libraries that report the same in their own way. */
void mem_exhausted(const char *what)
#if defined(__GNUC__)
	__attribute__((noreturn))
#endif
	;

/* a * b and a + b; end the program on overflow (a size computed from input is checked against the input
 * first). */
size_t mul_size(size_t a, size_t b);
size_t add_size(size_t a, size_t b);
static inline size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}
static inline size_t most(size_t a, size_t b)
{
	return a > b ? a : b;
}
static inline size_t div_up(size_t a, size_t b)
{
	return a / b + (a % b != 0);
}

/* Memory that a module keeps between calls. It grows by being taken anew: what it held is lost. */
struct scratch {
	void *p;
	size_t bytes;
};
void *scratch_need(struct scratch *s, size_t bytes);
void scratch_release(struct scratch *s); /* for leak checkers */

/* Zeroed memory for tensors, aligned to 64 bytes, on huge pages where the system has them. Free with
 * mem_free(p, n). */
void *mem_alloc(size_t n);
void mem_free(void *p, size_t n);
/* The same in small pages: what is never touched takes no memory, whatever n is. */
void *mem_reserve(size_t n);

/* Grows `*p` (element size `size`, `*cap` elements) to hold at least `need` elements, doubling. */
void mem_grow(void *p, size_t *cap, size_t need, size_t size);
#define GROW(p, cap, need) mem_grow(&(p), &(cap), (need), sizeof *(p))

/* Arena: many small pieces freed together. Pieces are aligned to 16 bytes and not zeroed. */
struct arena {
	struct arena_block *head;
	size_t used; /* bytes handed out, for statistics */
};
void *arena_alloc(struct arena *a, size_t n);
char *arena_strndup(struct arena *a, const char *s, size_t n); /* NUL-terminated copy */
void arena_reset(struct arena *a);                             /* forgets the pieces, keeps one block */
void arena_release(struct arena *a);

#endif
