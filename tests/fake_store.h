/* A store in memory, in place of src/data/store*.c (the linker takes these functions first): documents as given, or counted out by rule, with reads
 * counted and errors on demand. */
#ifndef XR_TESTS_FAKE_STORE_H
#define XR_TESTS_FAKE_STORE_H

#include <string.h>

#include "data/store.h"

struct xr_store {
    const char *path, *digest, *languages;      /* "de,en" */
    uint64_t n_documents;
    const int32_t *token;           // NULL: by rule: sentences of 15 tokens, documents of `rule`
    const uint64_t *offset;         // [n_documents + 1]
    const uint16_t *lang;           // [n_documents]
    uint64_t rule;
    uint64_t reads, read_tokens;    /* since they were last set to 0 */
    long fail_after;                /* the read after so many more fails; negative: none */
};

const char *xr_store_digest(const xr_store *s) { return s->digest; }
const char *xr_store_path(const xr_store *s) { return s->path; }
uint64_t xr_store_documents(const xr_store *s) { return s->n_documents; }
uint64_t xr_store_tokens(const xr_store *s) { return s->token ? s->offset[s->n_documents] : s->n_documents * s->rule; }

size_t xr_store_n_languages(const xr_store *s)
{
    size_t n = 1;
    for (const char *c = s->languages; *c; c++)
        n += *c == ',';
    return n;
}

const char *xr_store_language(const xr_store *s, size_t i)
{
    static char name[4][128];
    static int turn;
    const char *from = s->languages;
    for (; i > 0; i--)
        from = strchr(from, ',') + 1;
    size_t n = strcspn(from, ",");
    turn = (turn + 1) % 4;
    memcpy(name[turn], from, n);
    name[turn][n] = 0;
    return name[turn];
}

xr_status xr_store_document_table(xr_store *s, uint64_t first, size_t n, uint64_t *offset, uint16_t *language)
{
    for (size_t i = 0; i <= n; i++)
        offset[i] = s->token ? s->offset[first + i] : (first + i) * s->rule;
    for (size_t i = 0; i < n; i++)
        language[i] = s->token ? s->lang[first + i] : 0;
    return XR_OK;
}

xr_status xr_store_read(xr_store *s, uint64_t begin, size_t n, int32_t *id)
{
    if (s->fail_after >= 0 && s->fail_after-- == 0)
        return xr_fail(XR_EDATA, "%s: a bad chunk", s->path);
    XR_ASSERT(begin + n <= xr_store_tokens(s), "read beyond the end");
    s->reads++;
    s->read_tokens += n;
    for (size_t i = 0; i < n; i++)
        id[i] = s->token ? s->token[begin + i] : (begin + i) % 15 == 14 ? 2 : 10 + (int32_t)((begin + i) % 1000);
    return XR_OK;
}

#endif
