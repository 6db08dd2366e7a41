/* SHA-256 as FIPS 180-4 writes it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"

typedef struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    unsigned char block[64];
} sha256;

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void compress(uint32_t h[8], const unsigned char *p)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = big_endian(p + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[i - 7] + (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof v);
    /* The standard's a is v[-i mod 8] of round i: turning the names, not the values, saves half the time. */
#pragma GCC unroll 8
    for (unsigned i = 0; i < 64; i++) {
        uint32_t a = v[(0 - i) % 8], b = v[(1 - i) % 8], c = v[(2 - i) % 8], e = v[(4 - i) % 8], f = v[(5 - i) % 8], g = v[(6 - i) % 8];
        uint32_t *d = &v[(3 - i) % 8], *k = &v[(7 - i) % 8];
        uint32_t t1 = *k + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
        *d += t1;
        *k = t1 + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

static void sha256_begin(sha256 *s)
{
    *s = (sha256){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

static void sha256_update(sha256 *s, const unsigned char *p, size_t n)
{
    size_t held = s->bytes % 64;
    s->bytes += n;
    if (held) {
        size_t take = n < 64 - held ? n : 64 - held;
        memcpy(s->block + held, p, take);
        p += take;
        n -= take;
        if (held + take < 64)
            return;
        compress(s->h, s->block);
    }
    for (; n >= 64; p += 64, n -= 64)
        compress(s->h, p);
    if (n)
        memcpy(s->block, p, n);
}

static void sha256_end(sha256 *s, char hex[65])
{
    unsigned char tail[72] = { 0x80 };
    uint64_t bits = s->bytes * 8;
    size_t zeros = (119 - s->bytes % 64) % 64;
    for (size_t i = 0; i < 8; i++)
        tail[1 + zeros + i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_update(s, tail, 1 + zeros + 8);
    for (size_t i = 0; i < 64; i++)
        hex[i] = "0123456789abcdef"[s->h[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = 0;
}

void xr_sha256_hex(const void *data, size_t len, char hex[65])
{
    sha256 s;
    sha256_begin(&s);
    sha256_update(&s, data, len);
    sha256_end(&s, hex);
}

xr_status xr_file_sha256(const char *path, char hex[65])
{
    enum { CHUNK = 1 << 18 };
    sha256 s;
    int fd = xr_file_open(path, O_RDONLY);
    if (fd < 0)
        return xr_fail_open(path);
    unsigned char *chunk = xr_alloc(CHUNK, 1);
    ssize_t n = chunk ? 1 : -1;
    sha256_begin(&s);
    while (chunk && (n = read(fd, chunk, CHUNK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            xr_fail(XR_EIO, "%s: reading failed after %llu bytes: %s", path, (unsigned long long)s.bytes,
                    strerror(errno));
            break;
        }
        sha256_update(&s, chunk, (size_t)n);
    }
    xr_free(chunk);
    close(fd);
    if (n < 0)
        return xr_error_status();
    sha256_end(&s, hex);
    return XR_OK;
}
