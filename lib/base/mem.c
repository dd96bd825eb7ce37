#include "base/mem.h"
#include "base/die.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void mem_exhausted(const char *what)
{
	die("out of memory (%s)", what);
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);
	if (!p)
		die("out of memory (%zu bytes asked for)", n);
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);
	if (!p)
		die("out of memory (%zu x %zu bytes asked for)", n, size);
	return p;
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		die("out of memory (%zu bytes asked for)", n);
	return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	return xrealloc(p, mul_size(n, size));
}

char *xstrndup(const char *s, size_t n)
{
	char *p = xmalloc(add_size(n, 1));
	memcpy(p, s, n);
	p[n] = 0;
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap, ap2;
	va_start(ap, fmt);
	va_copy(ap2, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	char *p = xmalloc((size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, ap2);
	va_end(ap2);
	return p;
}

size_t mul_size(size_t a, size_t b)
{
	if (b && a > SIZE_MAX / b)
		die("out of memory (%zu x %zu bytes asked for)", a, b);
	return a * b;
}

size_t add_size(size_t a, size_t b)
{
	if (a > SIZE_MAX - b)
		die("out of memory (%zu + %zu bytes asked for)", a, b);
	return a + b;
}

/* Below this, a mapping of its own costs more than it saves. */
#define HUGE_PAGE ((size_t)2 << 20)

static size_t round_up(size_t n, size_t to)
{
	return add_size(n, to - 1) / to * to;
}

/* Zeroed, at the start of a huge page. */
static char *map_pages(size_t n, int flags)
{
	/* Map one page more than asked for, so that the start can be put on a huge-page boundary. */
	char *p = mmap(NULL, add_size(n, HUGE_PAGE), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (p == MAP_FAILED)
		die("out of memory (%zu bytes asked for)", n);
	size_t head = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
	if (head)
		munmap(p, head);
	if (HUGE_PAGE - head)
		munmap(p + head + n, HUGE_PAGE - head);
	return p + head;
}

void *mem_alloc(size_t n)
{
	if (n < HUGE_PAGE) {
		size_t r = round_up(n ? n : 1, 64);
		void *p = aligned_alloc(64, r);
		if (!p)
			die("out of memory (%zu bytes asked for)", n);
		return memset(p, 0, r);
	}
	size_t r = round_up(n, HUGE_PAGE);
	char *p = map_pages(r, 0);
#ifdef MADV_HUGEPAGE
	madvise(p, r, MADV_HUGEPAGE);
#endif
	return p;
}

void *mem_reserve(size_t n)
{
	if (n < HUGE_PAGE)
		return mem_alloc(n);
	size_t r = round_up(n, HUGE_PAGE);
	char *p = map_pages(r, MAP_NORESERVE);
#ifdef MADV_NOHUGEPAGE
	madvise(p, r, MADV_NOHUGEPAGE);
#endif
	return p;
}

void mem_free(void *p, size_t n)
{
	if (!p)
		return;
	if (n < HUGE_PAGE)
		free(p);
	else
		munmap(p, round_up(n, HUGE_PAGE));
}

void scratch_release(struct scratch *s)
{
	mem_free(s->p, s->bytes);
	*s = (struct scratch){ 0 };
}

void *scratch_need(struct scratch *s, size_t bytes)
{
	if (bytes > s->bytes) {
		scratch_release(s);
		s->p = mem_alloc(bytes);
		s->bytes = bytes;
	}
	return s->p;
}

void mem_grow(void *pp, size_t *cap, size_t need, size_t size)
{
	if (need <= *cap)
		return;
	size_t n = *cap ? *cap : 16;
	while (n < need)
		n = add_size(n, n);
	void *p;
	memcpy(&p, pp, sizeof p);
	p = xreallocarray(p, n, size);
	memcpy(pp, &p, sizeof p);
	*cap = n;
}

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	_Alignas(16) char data[];
};

void *arena_alloc(struct arena *a, size_t n)
{
	n = round_up(n ? n : 1, 16);
	struct arena_block *b = a->head;
	if (!b || b->cap - b->used < n) {
		size_t cap = b ? b->cap * 2 : 4096;
		if (cap > (size_t)1 << 20)
			cap = (size_t)1 << 20;
		if (cap < n)
			cap = n;
		b = xmalloc(add_size(sizeof *b, cap));
		b->next = a->head;
		b->used = 0;
		b->cap = cap;
		a->head = b;
	}
	void *p = b->data + b->used;
	b->used += n;
	a->used += n;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, add_size(n, 1));
	if (n) /* s may then be NULL */
		memcpy(p, s, n);
	p[n] = 0;
	return p;
}

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;
		free(b);
		b = next;
	}
}

void arena_reset(struct arena *a)
{
	if (!a->head)
		return;
	/* The newest block is the largest: keep that one. */
	free_blocks(a->head->next);
	a->head->next = NULL;
	a->head->used = 0;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	free_blocks(a->head);
	a->head = NULL;
	a->used = 0;
}
