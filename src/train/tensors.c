#include "train/tensors.h"

#include <stdlib.h>
#include <string.h>

#include "model/hf_files.h"
#include "util/alloc.h"
#include "util/half.h"

enum { PART = 1 << 16 };                        /* elements */
#define ROW_CAP ((size_t)1 << 24)               /* elements of a row, which are read together */

int xr_element_is_float(xr_element e) { return e <= XR_EL_BF16; }

size_t xr_element_size(xr_element e)
{
    static const unsigned char size[] = { [XR_EL_F32] = 4, [XR_EL_F64] = 8,  [XR_EL_F16] = 2, [XR_EL_BF16] = 2, [XR_EL_I64] = 8, [XR_EL_I32] = 4,
                                          [XR_EL_U8] = 1,  [XR_EL_BOOL] = 1, [XR_EL_U16] = 2, [XR_EL_U32] = 4,  [XR_EL_U64] = 8 };
    return size[e];
}

static double value_of(xr_element e, const void *raw, size_t i)
{
    switch (e) {
    case XR_EL_F32: return (double)((const float *)raw)[i];
    case XR_EL_F64: return ((const double *)raw)[i];
    case XR_EL_F16: return (double)xr_half_to_float(((const uint16_t *)raw)[i]);
    case XR_EL_BF16: return (double)xr_bf16_to_float(((const uint16_t *)raw)[i]);
    case XR_EL_I64: return (double)((const int64_t *)raw)[i];
    case XR_EL_I32: return ((const int32_t *)raw)[i];
    case XR_EL_U16: return ((const uint16_t *)raw)[i];
    case XR_EL_U32: return ((const uint32_t *)raw)[i];
    case XR_EL_U64: return (double)((const uint64_t *)raw)[i];
    default: return ((const uint8_t *)raw)[i];
    }
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const xr_tensor_entry *)a)->name, ((const xr_tensor_entry *)b)->name);
}

static xr_status count_elements(xr_tensor_entry *e)
{
    e->n = 1;
    for (int i = 0; i < e->rank; i++)
        if (__builtin_mul_overflow(e->n, e->shape[i], &e->n))
            return xr_fail(XR_EDATA, "tensor %s: the product of its dimensions overflows 64 bits; the file is damaged", e->name);
    return XR_OK;
}

/* Takes over the strings of `e`. */
static xr_status add(xr_tensors *t, xr_tensor_entry *e)
{
    xr_status status = e->name ? count_elements(e) : xr_error_status();
    if (status == XR_OK)
        status = xr_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v);
    if (status == XR_OK) {
        t->v[t->n++] = *e;
        return XR_OK;
    }
    xr_free(e->name);
    xr_free(e->place);
    return status;
}

static void sort(xr_tensors *t)
{
    if (t->n > 0)
        qsort(t->v, t->n, sizeof *t->v, by_name);
}

/* A checkpoint's datasets carry the names of their rows, whose dots became groups. */
static xr_status add_dataset(const xr_h5_item *item, void *context)
{
    static const xr_element elements[] = { [XR_H5_F32] = XR_EL_F32, [XR_H5_F64] = XR_EL_F64, [XR_H5_U16] = XR_EL_U16, [XR_H5_U32] = XR_EL_U32,
                                           [XR_H5_U64] = XR_EL_U64 };
    xr_tensors *t = context;
    xr_tensor_entry e = { .type = item->type_name, .known = item->known, .element = elements[item->known ? item->type : XR_H5_F32], .rank = item->rank,
                          .h5 = t->h5 };
    memcpy(e.shape, item->shape, sizeof e.shape);
    int named = xr_h5_has_text(t->h5, item->name, "name"), marked = xr_h5_has_text(t->h5, item->name, "element");
    if (named < 0 || marked < 0)
        return xr_error_status();
    if (item->known && item->type == XR_H5_U16 && marked) {
        e.type = "BF16";
        e.element = XR_EL_BF16;
    }
    e.place = xr_strdup(item->name);
    if (!e.place)
        return xr_error_status();
    e.name = named ? xr_h5_text(t->h5, item->name, "name") : xr_strdup(item->name);
    return add(t, &e);
}

xr_status xr_tensors_h5(xr_tensors *t, const char *path)
{
    t->h5 = xr_h5_open(path);
    if (!t->h5)
        return xr_error_status();
    XR_TRY(xr_h5_each(t->h5, add_dataset, t));
    sort(t);
    return XR_OK;
}

static xr_status add_stored(xr_tensors *t, xr_st_file *file, const xr_st_tensor *s)
{
    static const xr_element elements[] = { [XR_F32] = XR_EL_F32, [XR_F16] = XR_EL_F16, [XR_BF16] = XR_EL_BF16, [XR_I64] = XR_EL_I64,
                                           [XR_I32] = XR_EL_I32, [XR_U8] = XR_EL_U8,   [XR_BOOL] = XR_EL_BOOL };
    xr_tensor_entry e = { .type = xr_st_dtype_name(s->dtype), .known = 1, .element = elements[s->dtype], .rank = s->rank, .st = file, .tensor = s };
    memcpy(e.shape, s->shape, sizeof e.shape);
    e.name = xr_strdup(s->name);
    return add(t, &e);
}

xr_status xr_tensors_safetensors(xr_tensors *t, const char *path)
{
    t->st = xr_st_open(path);
    if (!t->st)
        return xr_error_status();
    for (size_t i = 0; i < xr_st_count(t->st); i++)
        XR_TRY(add_stored(t, t->st, xr_st_at(t->st, i)));
    sort(t);
    return XR_OK;
}

xr_status xr_tensors_model(xr_tensors *t, const char *dir)
{
    xr_hf_files *f = xr_alloc(1, sizeof *f);
    if (!f)
        return xr_error_status();
    if (xr_hf_files_open(f, dir) < 0) {
        xr_free(f);
        return xr_error_status();
    }
    t->files = f;
    for (size_t i = 0; i < f->n; i++)
        XR_TRY(add_stored(t, f->tensor[i].file, f->tensor[i].t));
    sort(t);
    return XR_OK;
}

void xr_tensors_close(xr_tensors *t)
{
    for (size_t i = 0; i < t->n; i++) {
        xr_free(t->v[i].name);
        xr_free(t->v[i].place);
    }
    xr_free(t->v);
    xr_h5_close(t->h5);
    xr_st_close(t->st);
    if (t->files)
        xr_hf_files_close(t->files);
    xr_free(t->files);
    *t = (xr_tensors){ 0 };
}

static int named(const void *key, const void *element)
{
    return strcmp(key, ((const xr_tensor_entry *)element)->name);
}

const xr_tensor_entry *xr_tensors_find(const xr_tensors *t, const char *name)
{
    return t->n ? bsearch(name, t->v, t->n, sizeof *t->v, named) : NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static const xr_h5_type h5_types[] = { [XR_EL_F32] = XR_H5_F32, [XR_EL_F64] = XR_H5_F64, [XR_EL_U16] = XR_H5_U16, [XR_EL_BF16] = XR_H5_U16,
                                       [XR_EL_U32] = XR_H5_U32, [XR_EL_U64] = XR_H5_U64 };

static xr_status find_rows(xr_tensor_reader *r)
{
    uint64_t rows;
    if (!r->e->h5)
        return XR_OK;
    r->dataset = xr_h5_find(r->e->h5, r->e->place, h5_types[r->e->element], &rows, &r->cols);
    return r->dataset < 0 ? xr_error_status() : XR_OK;
}

size_t xr_tensor_together(const xr_tensor_entry *e)
{
    return e->h5 && e->rank == 2 && e->shape[1] > 0 ? (size_t)e->shape[1] : 1;
}

xr_status xr_tensor_reader_open(xr_tensor_reader *r, const xr_tensor_entry *e, size_t together)
{
    XR_ASSERT(e->known, "%s is of type %s", e->name, e->type);
    *r = (xr_tensor_reader){ .e = e, .dataset = -1 };
    together = together ? together : xr_tensor_together(e);
    if (together > ROW_CAP)
        return xr_fail(XR_EDATA, "tensor %s: a row has %zu elements; at most %zu are read", e->name, together, ROW_CAP);
    XR_TRY(find_rows(r));
    r->cols = xr_tensor_together(e);
    r->most = together < PART ? PART - PART % together : together;
    r->raw = xr_alloc(r->most, xr_element_size(e->element));
    r->value = r->raw ? xr_alloc(r->most, sizeof *r->value) : NULL;
    return r->value ? XR_OK : xr_error_status();
}

static xr_status read_raw(xr_tensor_reader *r, size_t n)
{
    size_t size = xr_element_size(r->e->element);
    if (r->e->h5)
        return xr_h5_rows(r->e->h5, r->dataset, r->at / r->cols, n / r->cols, r->raw);
    return xr_st_read_bytes(r->e->st, r->e->tensor, r->at * size, n * size, r->raw);
}

xr_status xr_tensor_reader_next(xr_tensor_reader *r, size_t *n)
{
    uint64_t left = r->e->n - r->at;
    *n = left < r->most ? (size_t)left : r->most;
    if (*n == 0)
        return XR_OK;
    XR_TRY(read_raw(r, *n));
    for (size_t i = 0; i < *n; i++)
        r->value[i] = value_of(r->e->element, r->raw, i);
    r->at += *n;
    return XR_OK;
}

void xr_tensor_reader_close(xr_tensor_reader *r)
{
    if (r->dataset >= 0)
        xr_h5_forget(r->e->h5);
    xr_free(r->raw);
    xr_free(r->value);
    *r = (xr_tensor_reader){ .dataset = -1 };
}
