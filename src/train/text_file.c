#include "train/text_file.h"

#include <string.h>

#include "util/alloc.h"
#include "util/log.h"

/* Appends to a message about the content, where the format was guessed. */
static xr_status offer_plain(const xr_text_file *f)
{
    char *why = f->guessed && xr_error_status() == XR_EDATA ? xr_strdup(xr_error_message()) : NULL;
    if (!why)
        return xr_error_status();
    xr_error_clear();
    xr_status status = xr_fail(XR_EDATA, "%s; where every line is a text as it stands, give --format plain", why);
    xr_free(why);
    return status;
}

static xr_status check_options(const xr_options *o)
{
    if (strcmp(o->format, "plain") != 0 || !(o->text_column || o->text_pair_column))
        return XR_OK;
    return xr_fail(XR_EUSAGE, "--text%s-column has no effect with --format plain, where every line is a text; leave one of them out",
                   o->text_column ? "" : "-pair");
}

static void warn_of_tabs(const xr_text_file *f)
{
    const xr_source_reader *r = &f->reader;
    if (f->guessed && strcmp(r->source->name, "plain") == 0 && r->head && memchr(r->head, '\t', r->head_len))
        xr_warn("%s: read as plain text, a line a text, but the first line has tabs: where they separate columns, give --format tsv (--format plain: they "
                "do not)", xr_stream_path(r->stream));
}

xr_status xr_text_file_open(xr_text_file *f, const char *path, const xr_options *o)
{
    XR_TRY(check_options(o));
    f->guessed = strcmp(o->format, "auto") == 0;
    xr_columns columns = { o->text_column, o->text_pair_column, "", "", 0, f->guessed && !o->text_column && !o->text_pair_column };
    if (xr_source_open(&f->reader, path, f->guessed ? NULL : o->format, &columns) < 0)
        return offer_plain(f);
    warn_of_tabs(f);
    return XR_OK;
}

int xr_text_file_next(xr_text_file *f, xr_record *out)
{
    int got = xr_source_next(&f->reader, out);
    return got < 0 && !f->reader.broken && strcmp(f->reader.source->name, "plain") != 0 ? offer_plain(f) : got;
}

void xr_text_file_close(xr_text_file *f)
{
    xr_source_close(&f->reader);
}
