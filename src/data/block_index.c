/* The block index as a file: written once, whole or not at all, and mapped. */
#include "data/block_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/xxh.h"

static const char magic[8] = "XRBLOCKS";
enum { VERSION = 1, BYTE_ORDER_MARK = 0x01020304 };

typedef struct header {
    char magic[8];
    uint32_t version, byte_order;
    char digest[32], content[32];   /* of what the blocks are made from; of all bytes behind the header */
    uint64_t bytes, n_languages;    /* of the whole file */
} header;

typedef struct entry { char name[64]; uint64_t n_blocks, n_documents, n_tokens; } entry;

void xr_block_index_free(xr_block_index *x)
{
    for (size_t i = 0; i < x->n && !x->map; i++) {
        xr_free(x->language[i].block);
        xr_free(x->language[i].document);
    }
    if (x->map)
        munmap(x->map, x->map_bytes);
    xr_free(x->language);
    memset(x, 0, sizeof *x);
}

/* ---- writing ---- */

typedef struct sink { FILE *file; xr_xxh *hash; uint64_t bytes; int failed; } sink;

static void put(sink *s, const void *data, size_t size, uint64_t n)
{
    xr_xxh_update(s->hash, data, (size_t)n * size);
    s->failed |= n && fwrite(data, size, (size_t)n, s->file) != n;
    s->bytes += n * size;
}

static void put_content(sink *s, const xr_block_index *x)
{
    for (size_t i = 0; i < x->n; i++) {
        const xr_block_language *l = &x->language[i];
        entry e = { .n_blocks = l->n_blocks, .n_documents = l->n_documents, .n_tokens = l->n_tokens };
        memcpy(e.name, l->name, sizeof e.name);
        put(s, &e, sizeof e, 1);
    }
    for (size_t i = 0; i < x->n; i++) {
        put(s, x->language[i].block, sizeof(uint64_t), x->language[i].n_blocks);
        put(s, x->language[i].document, sizeof(xr_block_document), x->language[i].n_documents + 1);
    }
}

/* The header stands first and is known last. */
static xr_status write_file(const xr_block_index *x, const char *tmp, const char digest[33])
{
    header h = { .version = VERSION, .byte_order = BYTE_ORDER_MARK, .n_languages = x->n };
    char content[33] = "";
    sink s = { .file = fopen(tmp, "wb"), .hash = xr_xxh_new(), .bytes = sizeof h };
    if (!s.file || !s.hash || fwrite(&h, sizeof h, 1, s.file) != 1)
        s.failed = 1;
    else
        put_content(&s, x);
    if (s.hash)
        xr_xxh_final(s.hash, content);
    memcpy(h.magic, magic, sizeof h.magic);
    memcpy(h.digest, digest, sizeof h.digest);
    memcpy(h.content, content, sizeof h.content);
    h.bytes = s.bytes;
    s.failed = s.failed || fseek(s.file, 0, SEEK_SET) != 0 || fwrite(&h, sizeof h, 1, s.file) != 1;
    int why = errno;
    if (s.file && fclose(s.file) != 0)
        s.failed = 1, why = errno;
    return s.failed ? xr_fail(XR_EIO, "%s: writing the index of blocks failed: %s", tmp, strerror(why)) : XR_OK;
}

xr_status xr_block_index_write(const xr_block_index *x, const char *path, const char digest[33])
{
    xr_outfile out;
    XR_TRY(xr_outfile_begin(&out, path));
    xr_status status = write_file(x, out.tmp, digest);
    if (status == XR_OK)
        status = xr_outfile_commit(&out);
    xr_outfile_abort(&out);
    return status;
}

/* ---- reading ---- */

static xr_status map_file(xr_block_index *x, const char *path)
{
    struct stat st;
    int fd = xr_file_open(path, O_RDONLY);
    if (fd < 0)
        return xr_fail_open(path);
    xr_status status = XR_OK;
    if (fstat(fd, &st) < 0)
        status = xr_fail(XR_EIO, "%s: cannot be looked at: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < sizeof(header))
        status = xr_fail(XR_EDATA, "%s: too short for an index of blocks", path);
    else {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            status = xr_fail(XR_ESYSTEM, "%s: cannot be mapped: %s", path, strerror(errno));
        else
            x->map = map, x->map_bytes = (size_t)st.st_size;
    }
    close(fd);
    return status;
}

static xr_status check_header(const xr_block_index *x, const char *path, const char digest[33])
{
    const header *h = x->map;
    if (memcmp(h->magic, magic, sizeof magic) != 0 || h->version != VERSION || h->byte_order != BYTE_ORDER_MARK)
        return xr_fail(XR_EDATA, "%s: not an index of blocks as this program writes it", path);
    if (memcmp(h->digest, digest, sizeof h->digest) != 0)
        return xr_fail(XR_EDATA, "%s: made from other data", path);
    if (h->bytes != x->map_bytes || h->n_languages > (x->map_bytes - sizeof *h) / sizeof(entry))
        return xr_fail(XR_EDATA, "%s: %zu bytes; its header says %llu", path, x->map_bytes, (unsigned long long)h->bytes);
    xr_xxh *hash = xr_xxh_new();
    if (!hash)
        return xr_error_status();
    char content[33];
    xr_xxh_update(hash, h + 1, x->map_bytes - sizeof *h);
    xr_xxh_final(hash, content);
    return memcmp(content, h->content, sizeof h->content) == 0 ? XR_OK : xr_fail(XR_EDATA, "%s: its digest does not match its content", path);
}

/* Points the languages into the map. */
static xr_status take_languages(xr_block_index *x, const char *path)
{
    const header *h = x->map;
    const entry *e = (const entry *)(h + 1);
    uint64_t at = sizeof *h + h->n_languages * sizeof *e, left = x->map_bytes - at;
    x->language = xr_alloc((size_t)h->n_languages, sizeof *x->language);
    if (!x->language)
        return xr_error_status();
    x->n = (size_t)h->n_languages;
    for (size_t i = 0; i < x->n; i++) {
        xr_block_language *l = &x->language[i];
        if (e[i].n_blocks > left / 8 || e[i].n_documents >= (left - e[i].n_blocks * 8) / sizeof *l->document || e[i].name[sizeof e->name - 1])
            return xr_fail(XR_EDATA, "%s: language %zu reaches beyond the file", path, i);
        memcpy(l->name, e[i].name, sizeof l->name);
        l->n_blocks = e[i].n_blocks, l->n_documents = e[i].n_documents, l->n_tokens = e[i].n_tokens;
        l->block = (uint64_t *)(void *)((char *)x->map + at);
        l->document = (xr_block_document *)(void *)(l->block + l->n_blocks);
        uint64_t used = l->n_blocks * 8 + (l->n_documents + 1) * sizeof *l->document;
        at += used, left -= used;
    }
    return XR_OK;
}

xr_status xr_block_index_open(xr_block_index *x, const char *path, const char digest[33])
{
    memset(x, 0, sizeof *x);
    xr_status status = map_file(x, path);
    if (status == XR_OK)
        status = check_header(x, path, digest);
    if (status == XR_OK)
        status = take_languages(x, path);
    if (status < 0)
        xr_block_index_free(x);
    return status;
}
