/*
 * err: the message of a failure caused by input, carried from the place that saw it to the command that
 * prints it.
 *
 * A function that can meet bad input takes a `struct err *` last, and returns -1 (or NULL) after filling it.
 * Messages start lower case, name file and place first ("FILE:LINE: what is wrong", "FILE: byte N: what"),
 * and end without a full stop. Nothing here allocates, prints or exits. One err belongs to one thread.
 */
#ifndef QUERN_ERR_H
#define QUERN_ERR_H

#if defined(__GNUC__)
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#else
#define PRINTF_LIKE(f, a)
#endif

struct err {
	char msg[1024];
};

/* Sets the message; returns -1, so that a parser can write `return err_set(e, ...)`. A NULL e is fine. A
 * format that ends in ':' gets the text of errno appended. */
int err_set(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts "prefix: " in front of the message; returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
