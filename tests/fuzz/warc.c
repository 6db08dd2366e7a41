/* WARC records, plain: what comes after two bytes that choose options and buffer size. */
#include "fuzz.h"

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 2)
        return;
    xr_text_options o = { .format = "wet", .skip_bad = 1, .max_bad_fraction = 1, .replace_bad_utf8 = data[0] & 1, .verify_digest = data[0] >> 1 & 1,
                          .min_length = data[0] & 4, .allow_truncated = data[0] >> 3 & 1 };
    fuzz_shard(data + 2, n - 2, &o, 1 + data[1] % 40u);
}

static void fuzz_seeds(char **argv)
{
#define HEAD "WARC/1.0\r\nWARC-Type: conversion\r\n"
    static const char whole[] = "\1\7" "WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 4\r\n\r\na: b\r\n\r\n"
        HEAD "WARC-Identified-Content-Language: deu,eng\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\none\ntwo\n\r\n\r\n"
        HEAD "WARC-Block-Digest: sha1:H54GQUHDQ5KQ7WVYG3WX43OIQHPCGAA3\r\nContent-Length: 2\r\n\r\na\n\r\n\r\n";
    static const char lines[] = "\2\1" "WARC/1.0\nWARC-Type: conversion\nContent-Length: 30\n\none\n\n"
        "WARC/1.1\nWARC-Type: conversion\nContent-Length: 3\n\ntwo\n\n";
    static const char lengths[] = "\0\3" HEAD "Content-Length: 2\r\n\r\nlong\r\n\r\n" HEAD "Content-Length: 99\r\n\r\nshort\r\n\r\n"
        HEAD "\r\nnone\r\n\r\n" HEAD "Content-Length: 2\r\n\r\nok\r\n\r\n";
    FUZZ_SEED(argv, "whole", whole);
    FUZZ_SEED(argv, "lines", lines);
    FUZZ_SEED(argv, "lengths", lengths);
}
