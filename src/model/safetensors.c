/* Reading safetensors: the header is checked whole before a byte of data is used.
 *
 * The rules are those of the reference reader (a contiguous cover of the data section, no holes, checked arithmetic) and stricter ones:
 * no duplicate keys, bounded counts and names. A lexical pass bounds nesting, tensors and dimensions before the JSON parser allocates. */
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/half.h"
#include "util/json.h"
#include "util/utf8.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors data are little-endian and are read without swapping");

enum {
    HEADER_CAP = 25 << 20,
    TENSOR_CAP = 100000,
    MEMBER_CAP = 5 * TENSOR_CAP,    /* tensors, three members each, and as many entries of __metadata__ */
    NAME_CAP = 512,
    RANK_CAP = 8,
    PREFIX = 8                      /* bytes of the header's length */
};

struct xr_st_file {
    char *path;
    int fd;
    uint64_t size, data;            /* of the file; where its data section starts */
    struct timespec modified;
    xr_st_tensor *tensor;           // [n] by begin
    const xr_st_tensor **by_name;   // [n]
    size_t n;
    void *map;                      /* of the whole file, or NULL */
};

static const struct { const char *name; unsigned size; } dtypes[] = {
    [XR_F32] = { "F32", 4 }, [XR_F16] = { "F16", 2 }, [XR_BF16] = { "BF16", 2 }, [XR_I64] = { "I64", 8 },
    [XR_I32] = { "I32", 4 }, [XR_U8] = { "U8", 1 },   [XR_BOOL] = { "BOOL", 1 },
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

const char *xr_st_dtype_name(xr_dtype d) { return dtypes[d].name; }

size_t xr_st_dtype_size(xr_dtype d) { return dtypes[d].size; }

int xr_st_is_float(xr_dtype d) { return d == XR_F32 || d == XR_F16 || d == XR_BF16; }

uint64_t xr_st_numel(const xr_st_tensor *t)
{
    return (t->end - t->begin) / dtypes[t->dtype].size;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static xr_status read_at(const xr_st_file *f, uint64_t offset, void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(f->fd, (char *)out + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return xr_fail(XR_EIO, "%s: reading failed at byte %llu: %s", f->path, (unsigned long long)(offset + done), strerror(errno));
        if (got == 0)
            return xr_fail(XR_EIO, "%s: ends at byte %llu, but had %llu bytes when it was opened; another program is changing it: try again "
                           "when that has ended", f->path, (unsigned long long)(offset + done), (unsigned long long)f->size);
        done += (size_t)got;
    }
    return XR_OK;
}

/* What else people have under this name. */
static xr_status refuse_other_kinds(const xr_st_file *f)
{
    static const struct { const char *magic, *what; size_t n; } kinds[] = {
        { "version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with: git lfs pull", 23 },
        { "PK\003\004", "a zip archive (a PyTorch pickle?); pickles are never read; convert it with: python3 scripts/convert_hf.py", 4 },
        { "\200\002", "a Python pickle; pickles are never read; convert it with: python3 scripts/convert_hf.py", 2 },
        { "\211HDF\r\n", "an HDF5 file; a safetensors file was expected", 6 },
        { "<!DOCTYPE", "an HTML page; the download went wrong: fetch the file again", 9 },
        { "<html", "an HTML page; the download went wrong: fetch the file again", 5 },
    };
    char head[32] = { 0 };
    XR_TRY(read_at(f, 0, head, f->size < sizeof head ? (size_t)f->size : sizeof head));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!memcmp(head, kinds[i].magic, kinds[i].n))
            return xr_fail(XR_EDATA, "%s: is %s", f->path, kinds[i].what);
    return XR_OK;
}

static xr_status open_file(xr_st_file *f)
{
    struct stat st;
    f->fd = xr_file_open(f->path, O_RDONLY | O_NONBLOCK);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return xr_fail_open(f->path);
    if (!S_ISREG(st.st_mode))
        return xr_fail(XR_ENOINPUT, "%s: is %s; a safetensors file was expected", f->path,
                       S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    f->size = (uint64_t)st.st_size;
    f->modified = st.st_mtim;
    if (f->size < PREFIX)
        return xr_fail(XR_EDATA, "%s: too short: %llu bytes; a safetensors file starts with 8 bytes of header length; copy it again", f->path,
                       (unsigned long long)f->size);
    return refuse_other_kinds(f);
}

/* The header's text, NUL-terminated, without the spaces that pad it; caller frees. */
static char *read_header(xr_st_file *f, size_t *len)
{
    uint64_t n;
    if (read_at(f, 0, &n, PREFIX) < 0)
        return NULL;
    if (n == 0 || n > HEADER_CAP || n > f->size - PREFIX) {
        xr_fail(XR_EDATA, "%s: header length %llu; expected 1 to %llu (the file has %llu bytes, a header at most %d); it is cut, damaged or no "
                "safetensors file: copy it again", f->path, (unsigned long long)n,
                (unsigned long long)(f->size - PREFIX < HEADER_CAP ? f->size - PREFIX : HEADER_CAP), (unsigned long long)f->size, HEADER_CAP);
        return NULL;
    }
    char *text = xr_alloc((size_t)n + 1, 1);
    if (!text || read_at(f, PREFIX, text, (size_t)n) < 0) {
        xr_free(text);
        return NULL;
    }
    f->data = PREFIX + n;
    while (n > 0 && text[n - 1] == ' ')
        n--;
    *len = (size_t)n;
    return text;
}

/* --- the header's outer form: bounds for the parser ---------------------------------------------------------------- */

typedef struct bounds {
    int depth;
    size_t tensors, members, items; /* values at depth 1; of all objects; of the array that is open */
} bounds;

static const char *check_open(bounds *b, char c)
{
    if (c == '[' && b->depth != 2)
        return "a list where an object was expected";
    if (c == '{' && b->depth > 1)
        return "objects nested more than two deep";
    b->items = 1;
    b->depth++;
    return NULL;
}

static const char *check_comma(bounds *b)
{
    if (b->depth == 3)
        return ++b->items > RANK_CAP ? "a list of more than 8 numbers (dimensions of a tensor)" : NULL;
    b->members++;
    b->tensors += b->depth == 1;
    if (b->tensors > TENSOR_CAP)
        return "more than 100000 tensors";
    return b->members > MEMBER_CAP ? "more than 500000 entries" : NULL;
}

/* Walks the text once, outside strings; NULL when the parser may have it. Its own errors are left to the parser. */
static const char *beyond_bounds(const char *s, size_t len)
{
    bounds b = { 0 };
    const char *wrong = NULL;
    int string = 0;
    for (size_t i = 0; i < len && !wrong; i++) {
        char c = s[i];
        if (string)
            i += c == '\\', string = c != '"';
        else if (c == '"')
            string = 1;
        else if (c == '{' || c == '[')
            wrong = check_open(&b, c);
        else if (c == '}' || c == ']')
            b.depth -= b.depth > 0;
        else if (c == ',')
            wrong = check_comma(&b);
    }
    return wrong;
}

static json_t *parse_header(const xr_st_file *f, const char *text, size_t len)
{
    if (len == 0 || text[0] != '{' || text[len - 1] != '}') {
        xr_fail(XR_EDATA, "%s: the header must be one JSON object, '{' first and padded by spaces only; it is damaged or no safetensors file: "
                "copy it again", f->path);
        return NULL;
    }
    const char *wrong = beyond_bounds(text, len);
    if (wrong) {
        xr_fail(XR_EDATA, "%s: the header has %s; no model of this family has that: get the file from its source again", f->path, wrong);
        return NULL;
    }
    char *where = xr_asprintf("%s: header", f->path);
    json_t *j = where ? xr_json_parse(text, len, where) : NULL;
    xr_free(where);
    return j;
}

/* --- one tensor --------------------------------------------------------------------------------------------------- */

/* A refusal that names the tensor; foreign names are made fit for one line of a terminal. */
static xr_status refuse(const xr_st_file *f, const char *name, const char *what)
{
    xr_str shown = { 0 };
    size_t len = strlen(name);
    if (xr_utf8_printable(&shown, name, len < 80 ? len : 80) == XR_OK)
        xr_fail(XR_EDATA, "%s: tensor '%s'%s: %s; the file is damaged or not from a trusted writer: get it again", f->path,
                shown.s ? shown.s : "", len > 80 ? "…" : "", what);
    xr_str_free(&shown);
    return xr_error_status();
}

static xr_status check_name(const xr_st_file *f, const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_CAP)
        return refuse(f, name, len ? "its name is longer than 512 bytes" : "its name is empty");
    if (strstr(name, "../") || strstr(name, "..\\") || name[0] == '/')
        return refuse(f, name, "its name is a path; names of parameters were expected");
    xr_str shown = { 0 };
    xr_status status = xr_utf8_printable(&shown, name, len);
    if (status == XR_OK && strcmp(shown.s, name) != 0)
        status = refuse(f, name, "its name holds control characters");
    xr_str_free(&shown);
    return status;
}

static xr_status parse_dtype(const xr_st_file *f, xr_st_tensor *t, const json_t *j)
{
    const char *s = json_string_value(j);
    if (!s)
        return refuse(f, t->name, "'dtype' is not a string");
    for (int i = 0; i < N_DTYPES; i++) {
        if (!strcmp(s, dtypes[i].name)) {
            t->dtype = (xr_dtype)i;
            return XR_OK;
        }
    }
    char what[120];
    snprintf(what, sizeof what, "dtype '%.16s'; expected one of F32, F16, BF16, I64, I32, U8, BOOL (upper case)", s);
    xr_str shown = { 0 };
    xr_status status = xr_utf8_printable(&shown, what, strlen(what));
    if (status == XR_OK)
        status = refuse(f, t->name, shown.s);
    xr_str_free(&shown);
    return status;
}

/* An integer >= 0; jansson has refused what does not fit 63 bits. */
static int to_size(const json_t *j, uint64_t *out)
{
    if (!json_is_integer(j) || json_integer_value(j) < 0)
        return 0;
    *out = (uint64_t)json_integer_value(j);
    return 1;
}

/* *bytes = product of the dimensions and the element size. */
static xr_status parse_shape(const xr_st_file *f, xr_st_tensor *t, const json_t *j, uint64_t *bytes)
{
    size_t rank = json_array_size(j);
    if (!json_is_array(j) || rank > RANK_CAP)
        return refuse(f, t->name, "'shape' is not a list of at most 8 dimensions");
    t->rank = (int)rank;
    *bytes = dtypes[t->dtype].size;
    for (size_t i = 0; i < rank; i++) {
        if (!to_size(json_array_get(j, i), &t->shape[i]))
            return refuse(f, t->name, "'shape' holds something else than whole numbers >= 0");
        if (__builtin_mul_overflow(*bytes, t->shape[i], bytes))
            return refuse(f, t->name, "the product of its dimensions overflows 64 bits");
    }
    return XR_OK;
}

static xr_status parse_offsets(const xr_st_file *f, xr_st_tensor *t, const json_t *j, uint64_t bytes)
{
    char what[160];
    if (!json_is_array(j) || json_array_size(j) != 2 || !to_size(json_array_get(j, 0), &t->begin) || !to_size(json_array_get(j, 1), &t->end))
        return refuse(f, t->name, "'data_offsets' is not a pair of whole numbers >= 0");
    if (t->begin > t->end)
        return refuse(f, t->name, "'data_offsets' are reversed");
    if (t->end > f->size - f->data) {
        snprintf(what, sizeof what, "'data_offsets' reach to %llu, but the data section has %llu bytes", (unsigned long long)t->end,
                 (unsigned long long)(f->size - f->data));
        return refuse(f, t->name, what);
    }
    if (t->end - t->begin != bytes) {
        snprintf(what, sizeof what, "'data_offsets' span %llu bytes, shape and dtype need %llu", (unsigned long long)(t->end - t->begin),
                 (unsigned long long)bytes);
        return refuse(f, t->name, what);
    }
    return XR_OK;
}

static xr_status parse_tensor(const xr_st_file *f, xr_st_tensor *t, const char *name, const json_t *j)
{
    uint64_t bytes = 0;
    XR_TRY(check_name(f, name));
    t->name = xr_strdup(name);
    if (!t->name)
        return xr_error_status();
    if (!json_is_object(j) || json_object_size(j) != 3)
        return refuse(f, name, "expected an object of exactly 'dtype', 'shape' and 'data_offsets'");
    XR_TRY(parse_dtype(f, t, json_object_get(j, "dtype")));
    XR_TRY(parse_shape(f, t, json_object_get(j, "shape"), &bytes));
    return parse_offsets(f, t, json_object_get(j, "data_offsets"), bytes);
}

static xr_status check_metadata(const xr_st_file *f, json_t *j)
{
    const char *key;
    json_t *value;
    int ok = json_is_object(j);
    json_object_foreach(j, key, value)
        ok = ok && json_is_string(value);
    return ok ? XR_OK : xr_fail(XR_EDATA, "%s: __metadata__ is not a map from strings to strings; get the file from its source again", f->path);
}

static xr_status parse_tensors(xr_st_file *f, json_t *header)
{
    const char *name;
    json_t *j;
    f->tensor = xr_alloc(json_object_size(header), sizeof *f->tensor);
    if (!f->tensor)
        return xr_error_status();
    json_object_foreach(header, name, j) {
        if (!strcmp(name, "__metadata__"))
            XR_TRY(check_metadata(f, j));
        else
            XR_TRY(parse_tensor(f, &f->tensor[f->n++], name, j));
    }
    return XR_OK;
}

/* --- all tensors: a contiguous cover of the data -------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const xr_st_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const xr_st_tensor *const *)a)->name, (*(const xr_st_tensor *const *)b)->name);
}

static xr_status check_cover(const xr_st_file *f)
{
    uint64_t end = 0, size = f->size - f->data;
    for (size_t i = 0; i < f->n; i++) {
        const xr_st_tensor *t = &f->tensor[i];
        if (t->begin != end)
            return refuse(f, t->name, t->begin < end ? "its data overlap another tensor's" : "there is a gap before its data");
        end = t->end;
    }
    if (end == size)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: %llu bytes follow the last tensor's data; the tensors must cover the file exactly: get it from its source again",
                   f->path, (unsigned long long)(size - end));
}

static xr_status index_tensors(xr_st_file *f)
{
    qsort(f->tensor, f->n, sizeof *f->tensor, by_place);
    f->by_name = xr_alloc(f->n, sizeof *f->by_name);
    if (!f->by_name)
        return xr_error_status();
    for (size_t i = 0; i < f->n; i++)
        f->by_name[i] = &f->tensor[i];
    qsort(f->by_name, f->n, sizeof *f->by_name, by_name);
    return check_cover(f);
}

static xr_status load(xr_st_file *f)
{
    size_t len;
    XR_TRY(open_file(f));
    char *text = read_header(f, &len);
    json_t *header = text ? parse_header(f, text, len) : NULL;
    xr_free(text);
    if (!header)
        return xr_error_status();
    xr_status status = parse_tensors(f, header);
    json_decref(header);
    return status < 0 ? status : index_tensors(f);
}

xr_st_file *xr_st_open(const char *path)
{
    xr_st_file *f = xr_alloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->fd = -1;
    f->path = xr_strdup(path);
    if (f->path && load(f) == XR_OK)
        return f;
    xr_st_close(f);
    return NULL;
}

void xr_st_close(xr_st_file *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        xr_free(f->tensor[i].name);
    if (f->map)
        munmap(f->map, (size_t)f->size);
    if (f->fd >= 0)
        close(f->fd);
    xr_free(f->tensor);
    xr_free(f->by_name);
    xr_free(f->path);
    xr_free(f);
}

const char *xr_st_path(const xr_st_file *f) { return f->path; }

size_t xr_st_count(const xr_st_file *f) { return f->n; }

const xr_st_tensor *xr_st_at(const xr_st_file *f, size_t i)
{
    XR_ASSERT(i < f->n, "tensor %zu of %zu", i, f->n);
    return &f->tensor[i];
}

const xr_st_tensor *xr_st_find(const xr_st_file *f, const char *name)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, f->by_name[middle]->name);
        if (order == 0)
            return f->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* --- data --------------------------------------------------------------------------------------------------------- */

static xr_status check_unchanged(const xr_st_file *f)
{
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return xr_fail(XR_EIO, "%s: its state cannot be read: %s", f->path, strerror(errno));
    if ((uint64_t)st.st_size == f->size && st.st_mtim.tv_sec == f->modified.tv_sec && st.st_mtim.tv_nsec == f->modified.tv_nsec)
        return XR_OK;
    return xr_fail(XR_EIO, "%s: changed while it was being read (%llu bytes before, %llu now); try again when the other program has ended", f->path,
                   (unsigned long long)f->size, (unsigned long long)st.st_size);
}

static void widen(float *out, const uint16_t *in, size_t n, xr_dtype dtype)
{
    if (dtype == XR_BF16)
        for (size_t i = 0; i < n; i++)
            out[i] = xr_bf16_to_float(in[i]);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = xr_half_to_float(in[i]);
}

xr_status xr_st_read_part(xr_st_file *f, const xr_st_tensor *t, uint64_t first, size_t n, float *out)
{
    uint16_t chunk[8192];
    enum { CHUNK = sizeof chunk / sizeof *chunk };
    if (!xr_st_is_float(t->dtype))
        return xr_fail(XR_EDATA, "%s: tensor '%s' has dtype %s; F32, F16 or BF16 was expected", f->path, t->name, xr_st_dtype_name(t->dtype));
    XR_ASSERT(n <= xr_st_numel(t) && first <= xr_st_numel(t) - n, "%s: elements %llu + %zu of %llu", t->name, (unsigned long long)first, n,
              (unsigned long long)xr_st_numel(t));
    XR_TRY(check_unchanged(f));
    uint64_t from = f->data + t->begin + first * dtypes[t->dtype].size;
    if (t->dtype == XR_F32)
        return read_at(f, from, out, n * sizeof *out);
    for (size_t done = 0; done < n;) {
        size_t now = n - done < CHUNK ? n - done : CHUNK;
        XR_TRY(read_at(f, from + done * sizeof *chunk, chunk, now * sizeof *chunk));
        widen(out + done, chunk, now, t->dtype);
        done += now;
    }
    return XR_OK;
}

xr_status xr_st_read_bytes(xr_st_file *f, const xr_st_tensor *t, uint64_t from, size_t n, void *out)
{
    uint64_t size = t->end - t->begin;
    XR_ASSERT(n <= size && from <= size - n, "%s: bytes %llu + %zu of %llu", t->name, (unsigned long long)from, n, (unsigned long long)size);
    XR_TRY(check_unchanged(f));
    return read_at(f, f->data + t->begin + from, out, n);
}

xr_status xr_st_read_f32(xr_st_file *f, const xr_st_tensor *t, float *out)
{
    return xr_st_read_part(f, t, 0, (size_t)xr_st_numel(t), out);
}

/* The size is checked again before mapping; a file that shrinks later would stop the program with SIGBUS, so training never maps. */
const float *xr_st_map_f32(xr_st_file *f, const xr_st_tensor *t)
{
    uint64_t at = f->data + t->begin;
    if (t->dtype != XR_F32 || at % sizeof(float) || t->begin == t->end)
        return NULL;
    if (!f->map) {
        struct stat st;
        if (fstat(f->fd, &st) < 0 || (uint64_t)st.st_size != f->size)
            return NULL;
        void *map = mmap(NULL, (size_t)f->size, PROT_READ, MAP_PRIVATE, f->fd, 0);
        if (map == MAP_FAILED)
            return NULL;
        f->map = map;
    }
    return (const float *)(const void *)((const char *)f->map + at);
}

void *xr_st_take_map(xr_st_file *f, size_t *bytes)
{
    void *map = f->map;
    f->map = NULL;
    *bytes = map ? (size_t)f->size : 0;
    return map;
}
