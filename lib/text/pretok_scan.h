/*
 * pretok_scan: the hand-written scanners of the known patterns. A scanner gives the end of the piece that
 * starts at text[at], at < n; pieces tile the text. Bytes that are not UTF-8 count as U+FFFD each. Pure,
 * thread-safe after scan_init.
 */
#ifndef QUERN_PRETOK_SCAN_H
#define QUERN_PRETOK_SCAN_H

#include <stddef.h>

typedef size_t scan_fn(const char *text, size_t n, size_t at);

void scan_init(void); /* builds the class table, once */

scan_fn scan_gpt2, scan_cl100k, scan_cl100k_tail, scan_qwen, scan_o200k, scan_digits2;

#endif
