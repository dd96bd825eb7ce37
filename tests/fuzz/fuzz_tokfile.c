/* Token streams as they come, and once more with their checksums put right, so that damage gets behind them.
 * What the reader in order accepts, the reader at random gives back the same. */
#include "base/die.h"
#include "base/mem.h"
#include "text/tokblock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char path[] = "/tmp/quern-fuzz-tokfile.XXXXXX";
static int fd = -1;

static void remove_file(void)
{
	unlink(path);
}

static void put_file(const uint8_t *p, size_t n)
{
	if (fd < 0) {
		fd = mkstemp(path);
		atexit(remove_file);
	}
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, p, n, 0) != (ssize_t)n)
		die("%s: cannot write:", path);
}

/* Reads at random what documents and tokens there are; -1 when refused. */
static int64_t read_mapped(uint32_t **ids)
{
	struct err e;
	struct tok_map *m = tok_map_open(path, &e);
	if (!m)
		return -1;
	size_t n = (size_t)tok_map_tokens(m), docs = (size_t)tok_map_docs(m);
	uint64_t *starts = xcalloc(docs + 1, sizeof *starts);
	uint8_t *flags = xcalloc(n, 1);
	*ids = xcalloc(n, sizeof **ids);
	int64_t rc = (int64_t)n;
	if (tok_map_read(m, 0, n, *ids, flags, &e) < 0 || tok_map_doc_starts(m, 0, docs, starts, &e) < 0)
		rc = -1;
	for (size_t i = 0; rc >= 0 && i < docs; i++)
		if (starts[i] > starts[i + 1] || tok_map_source(m, i).n > TOK_MAX_NAMES)
			abort();
	for (size_t i = 0; i < tok_map_streams(m); i++)
		if (tok_map_provenance(m, i).p[0] != '{')
			abort();
	free(starts);
	free(flags);
	tok_map_close(m);
	return rc;
}

static void read_both(const uint8_t *p, size_t n)
{
	put_file(p, n);
	uint32_t *ids = NULL;
	int64_t mapped = read_mapped(&ids);
	struct err e;
	struct reader *r = reader_open(path, &e);
	struct tok_reader *t = r ? tok_reader_new(r, &e) : NULL;
	struct tok_doc d;
	size_t at = 0;
	int rc = t ? 1 : -1;
	while (rc > 0) {
		rc = tok_reader_doc(t, &d, &e);
		if (rc <= 0)
			break;
		for (size_t i = 0; i < d.n; i++)
			if (d.ids[i] >= tok_reader_info(t)->vocab)
				abort();
		if (mapped >= 0 && (d.n > (size_t)mapped - at || memcmp(ids + at, d.ids, d.n * sizeof *ids)))
			abort();
		at += d.n;
	}
	int gz = n >= 2 && p[0] == 0x1f && p[1] == 0x8b;
	if (rc == 0 && !gz && (mapped < 0 || at != (size_t)mapped))
		abort();
	tok_reader_free(t);
	reader_close(r);
	free(ids);
}

static void put_crc(uint8_t *to, const uint8_t *p, size_t n)
{
	uint32_t crc = (uint32_t)crc32(0, p, (uInt)n);
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(crc >> 8 * i);
}

static void repair(uint8_t *p, size_t n)
{
	unsigned width = 2;
	for (size_t at = 0; n - at >= TOK_TAG_SIZE;) {
		enum tok_piece piece = tok_piece_of(p + at);
		size_t size = piece == TOK_PIECE_END ? TOK_END_SIZE : TOK_BLOCK_SIZE;
		if (piece == TOK_PIECE_BAD || n - at < size)
			return;
		struct tok_block b = { 0 };
		struct tok_end end = { 0 };
		size_t body = 0;
		put_crc(p + at + size - 4, p + at, size - 4);
		if (piece == TOK_PIECE_HEAD)
			width = p[at + 14];
		else if (piece == TOK_PIECE_BLOCK)
			body = tok_block_parse(p + at, width, &b) ? 0 : b.size;
		else
			body = tok_end_parse(p + at, &end) ? 0 : tok_padded(end.provenance_size);
		if (body > n - at - size)
			return;
		if (piece != TOK_PIECE_HEAD) {
			put_crc(p + at + (piece == TOK_PIECE_BLOCK ? 20 : 56), p + at + size, body);
			put_crc(p + at + size - 4, p + at, size - 4);
		}
		at += size + body;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	read_both(data, n);
	uint8_t *copy = xmalloc(n);
	if (n)
		memcpy(copy, data, n);
	repair(copy, n);
	read_both(copy, n);
	free(copy);
	return 0;
}
