#include "data/spm_write.h"

#include <string.h>

#include "data/spm_check.h"
#include "util/alloc.h"
#include "util/fs.h"

/* Fields of ModelProto, of a piece and of the settings (sentencepiece_model.proto). */
enum { FIELD_PIECE = 1, FIELD_TRAINER = 2, FIELD_NORMALIZER = 3, FIELD_SELF_TEST = 4 };
enum { FIELD_TEXT = 1, FIELD_SCORE = 2, FIELD_TYPE = 3 };
enum { FIELD_VOCAB_SIZE = 4 };

/* No dummy prefix, no white space removed, none escaped; the character map is absent. */
static const char plain_normalizer[] = { 0x1A, 0x06, 0x18, 0x00, 0x20, 0x00, 0x28, 0x00 };

/* ---- reading ---- */

xr_spm_entry xr_spm_read_entry(const xr_wire_field *field)
{
    xr_spm_entry piece = { .type = XR_SPM_NORMAL, .all = field->all };
    xr_wire s = field->bytes;
    while (s.p < s.end) {
        xr_wire_field f = xr_wire_take(&s);
        if (f.number == FIELD_TEXT) {
            piece.text = (const char *)f.bytes.p;
            piece.len = (size_t)(f.bytes.end - f.bytes.p);
        } else if (f.number == FIELD_SCORE) {
            memcpy(&piece.score, &(uint32_t){ (uint32_t)f.value }, sizeof piece.score);
        } else if (f.number == FIELD_TYPE) {
            piece.type = (int)f.value;
        }
    }
    return piece;
}

static xr_wire whole(const xr_spm_file *f)
{
    const uint8_t *p = (const uint8_t *)f->bytes;
    return (xr_wire){ p, p + f->len };
}

static xr_status list_pieces(xr_spm_file *f)
{
    size_t cap = 0;
    for (xr_wire s = whole(f); s.p < s.end;) {
        xr_wire_field field = xr_wire_take(&s);
        if (field.number != FIELD_PIECE)
            continue;
        XR_TRY(xr_grow(&f->piece, &cap, f->n + 1, sizeof *f->piece));
        f->piece[f->n++] = xr_spm_read_entry(&field);
    }
    return XR_OK;
}

static xr_status open_file(xr_spm_file *f, const char *path)
{
    f->path = xr_strdup(path);
    if (!f->path)
        return xr_error_status();
    f->bytes = xr_file_read(path, XR_SPM_FILE_CAP, &f->len);
    if (!f->bytes)
        return xr_error_status();
    XR_TRY(xr_spm_check(path, f->bytes, f->len));
    return list_pieces(f);
}

xr_status xr_spm_file_open(xr_spm_file *f, const char *path)
{
    *f = (xr_spm_file){ 0 };
    xr_status status = open_file(f, path);
    if (status < 0)
        xr_spm_file_close(f);
    return status;
}

void xr_spm_file_close(xr_spm_file *f)
{
    xr_free(f->path);
    xr_free(f->bytes);
    xr_free(f->piece);
    *f = (xr_spm_file){ 0 };
}

/* ---- writing ---- */

static xr_status put_varint(xr_str *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        XR_TRY(xr_str_putc(out, (char)(value | 0x80)));
    return xr_str_putc(out, (char)value);
}

static xr_status put_tag(xr_str *out, uint64_t number, uint64_t wire)
{
    return put_varint(out, number << 3 | wire);
}

static xr_status put_bytes(xr_str *out, uint64_t number, const char *s, size_t n)
{
    XR_TRY(put_tag(out, number, XR_WIRE_BYTES));
    XR_TRY(put_varint(out, n));
    return xr_str_append(out, s, n);
}

static xr_status copy(xr_str *out, xr_wire all)
{
    return xr_str_append(out, (const char *)all.p, (size_t)(all.end - all.p));
}

static xr_status fill_piece(xr_str *b, const xr_spm_new *piece)
{
    uint32_t bits;
    memcpy(&bits, &piece->score, sizeof bits);
    XR_TRY(put_bytes(b, FIELD_TEXT, piece->text, piece->len));
    XR_TRY(put_tag(b, FIELD_SCORE, XR_WIRE_32));
    for (int i = 0; i < 32; i += 8)
        XR_TRY(xr_str_putc(b, (char)(bits >> i & 0xFF)));
    return XR_OK;
}

static xr_status put_piece(xr_str *out, const xr_spm_new *piece)
{
    xr_str b = { 0 };
    xr_status status = fill_piece(&b, piece);
    if (status == XR_OK)
        status = put_bytes(out, FIELD_PIECE, b.s, b.len);
    xr_str_free(&b);
    return status;
}

static xr_status fill_trainer(xr_str *b, xr_wire s, size_t n_pieces)
{
    while (s.p < s.end) {
        xr_wire_field f = xr_wire_take(&s);
        if (f.number != FIELD_VOCAB_SIZE || f.wire != XR_WIRE_VARINT) {
            XR_TRY(copy(b, f.all));
            continue;
        }
        XR_TRY(put_tag(b, FIELD_VOCAB_SIZE, XR_WIRE_VARINT));
        XR_TRY(put_varint(b, n_pieces));
    }
    return XR_OK;
}

static xr_status put_trainer(xr_str *out, xr_wire settings, size_t n_pieces)
{
    xr_str b = { 0 };
    xr_status status = fill_trainer(&b, settings, n_pieces);
    if (status == XR_OK)
        status = put_bytes(out, FIELD_TRAINER, b.len ? b.s : "", b.len);
    xr_str_free(&b);
    return status;
}

/* Where the rewriting is: the next piece of the file, and the next one to keep. */
typedef struct cursor { size_t at, kept; } cursor;

/* New pieces follow the last piece of the file, wherever that stands among the settings. */
static xr_status put_old_piece(const xr_spm_file *f, const xr_spm_edit *e, cursor *c, xr_wire all, xr_str *out)
{
    if (!e->keep) {
        XR_TRY(copy(out, all));
    } else if (c->kept < e->n_keep && e->keep[c->kept] == c->at) {
        XR_TRY(copy(out, all));
        c->kept++;
    }
    if (++c->at < f->n)
        return XR_OK;
    for (size_t i = 0; i < e->n_add; i++)
        XR_TRY(put_piece(out, &e->add[i]));
    return XR_OK;
}

xr_status xr_spm_rewrite(const xr_spm_file *f, const xr_spm_edit *e, xr_str *out)
{
    size_t n_pieces = (e->keep ? e->n_keep : f->n) + e->n_add;
    cursor c = { 0 };
    for (xr_wire s = whole(f); s.p < s.end;) {
        xr_wire_field field = xr_wire_take(&s);
        if (field.number == FIELD_PIECE)
            XR_TRY(put_old_piece(f, e, &c, field.all, out));
        else if (field.number == FIELD_TRAINER)
            XR_TRY(put_trainer(out, field.bytes, n_pieces));
        else if (field.number != FIELD_SELF_TEST && !(e->plain && field.number == FIELD_NORMALIZER))
            XR_TRY(copy(out, field.all));
    }
    XR_ASSERT(!e->keep || c.kept == e->n_keep, "piece to keep is not in the file, or they are not ascending");
    return e->plain ? xr_str_append(out, plain_normalizer, sizeof plain_normalizer) : XR_OK;
}
