/* Sentences of tagged words. The first byte is the size of buffers. */
#include "data/entities.h"
#include "data/tagged.h"
#include "fuzz.h"

/* Entities lie in the sentence, one behind the other, and every B or S begins one. */
static uint64_t check_entities(const xr_tagged_reader *r)
{
    xr_entity_walk walk = XR_ENTITY_WALK;
    xr_entity e;
    size_t found = 0, begun = 0, behind = 0;
    for (size_t i = 0; i <= r->n; i++) {
        const char *tag = i < r->n && r->word[i].tag && xr_tag_kind_of(r->word[i].tag) == XR_TAG_ENTITY ? r->word[i].tag : "O";
        char prefix = *tag == 'U' ? 'S' : *tag == 'L' ? 'E' : *tag;      /* BILOU's names */
        begun += prefix == 'B' || prefix == 'S';
        if (!(i < r->n ? xr_entity_step(&walk, (xr_tag){ prefix, (int)strlen(tag) }, i, &e) : xr_entity_finish(&walk, i, &e)))
            continue;
        if (e.begin < behind || e.begin >= e.end || e.end != i)
            abort();
        behind = e.end;
        found++;
    }
    if (found < begun)
        abort();
    return found;
}

/* A number that stands for all that came out. */
static uint64_t read_all(const char *path, size_t chunk)
{
    xr_tagged_reader r;
    uint64_t sum = 0;
    size_t line = 0;
    int rc;
    xr_stream_chunk(chunk);
    rc = xr_tagged_open(&r, path);
    xr_stream_chunk(0);
    if (rc < 0) {
        xr_error_clear();
        return (uint64_t)-rc;
    }
    while ((rc = fuzz_got(xr_tagged_next(&r), &r.broken, &sum)) >= 0) {
        for (size_t i = 0; rc > 0 && i < r.n; i++) {
            const xr_tagged_word *w = &r.word[i];
            int json = r.format == XR_TAGGED_JSONL;     /* many words a line, of any characters */
            if (json ? w->line < line : strchr(w->text, '\t') || (w->tag && strchr(w->tag, '\t')) || w->line <= line)
                abort();
            line = w->line;
            sum = sum * 31 + xr_xxh64(w->text, strlen(w->text)) + (w->tag ? xr_xxh64(w->tag, strlen(w->tag)) : 5);
        }
        if (rc > 0)
            sum = sum * 31 + check_entities(&r);
    }
    xr_tagged_close(&r);
    xr_error_clear();
    return sum;
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    fuzz_both(read_all, data + 1, n - 1, 1 + data[0] % 40u);
}

static void fuzz_seeds(char **argv)
{
    static const char plain[] = "\3Paris\tB-LOC\nis\tO\r\n\n\tO\nx y\tI-PER\n  \n\xE2\x80\x8F\tS-ORG\nz\tE-ORG";
    static const char prefixed[] = "\7en:Paris\tB-LOC\nen::\tO\n\nen:a\tB\tC\nb\xFF\tO\n\nen:c\nde:d\t \n";
    FUZZ_SEED(argv, "plain", plain);
    static const char blank[] = "\5-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects\tVBZ I-VP O\n\nGerman JJ I-NP I-MISC\n";
    static const char iob2[] = "\6# sent_id = 1\n1\tParis\tB-LOC\t-\tme\n2\t#\tO\t-\tme\n\n1\tx\tO\t-\tme\n";
    static const char conllu[] = "\4# text = im\n1-2\tim\t_\t_\t_\t_\t_\t_\t_\t_\n1\tin\tin\tADP\t_\t_\t0\troot\t_\t_\n2\tdem\tder\tDET\t_\t_\t1\tdet\t_\t_\n";
    static const char json[] = "\10{\"tokens\": [\"a\\tb\", \"\"], \"tags\": [\"B-X\", \"O\"]}\n\n{\"tokens\": [\"c\"], \"tags\": [\"U-X\"]}\n";
    FUZZ_SEED(argv, "prefixed", prefixed);
    FUZZ_SEED(argv, "blank", blank);
    FUZZ_SEED(argv, "iob2", iob2);
    FUZZ_SEED(argv, "conllu", conllu);
    FUZZ_SEED(argv, "jsonl", json);
}
