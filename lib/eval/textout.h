/*
 * textout: the text of a completion as it grows: bytes go in token by token, whole UTF-8 characters come out.
 *
 * A stop string ends the text before its first byte; while what has arrived could still become a stop string
 * it is withheld. Bytes that are not UTF-8 come out as U+FFFD, one for each maximal malformed part (Unicode
 * 15, section 3.9), so that what is streamed and what a JSON string holds are the same text.
 */
#ifndef QUERN_TEXTOUT_H
#define QUERN_TEXTOUT_H

#include "base/buf.h"

struct textout {
	const struct str *stops; /* the caller's; empty ones are ignored */
	size_t nstops;
	struct buf text;    /* what may be shown, valid UTF-8, only ever grows */
	struct buf pending; /* withheld bytes */
	int stopped;        /* index of the stop string found + 1 */
};

void textout_init(struct textout *t, const struct str *stops, size_t nstops);
/* More bytes; 1 when a stop string is complete: the text is finished and later bytes are ignored. */
int textout_add(struct textout *t, const char *p, size_t n);
/* No more bytes will come: withheld text is released. */
void textout_end(struct textout *t);
void textout_reset(struct textout *t); /* for the next completion, same stops */
void textout_release(struct textout *t);

#endif
