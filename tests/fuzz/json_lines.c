/* JSON lines and plain text: what comes after two bytes that choose format, options and buffer size. */
#include "fuzz.h"

static void fuzz_one(const uint8_t *data, size_t n)
{
    static const char *const formats[] = { NULL, "ccnet", "jsonl", "plain" };
    if (n < 2)
        return;
    xr_text_options o = { .format = formats[data[0] & 3], .skip_bad = 1, .max_bad_fraction = 1, .replace_bad_utf8 = data[0] >> 2 & 1,
                          .min_length = data[0] >> 3 & 4, .allow_truncated = data[0] >> 4 & 1, .buckets = data[0] & 0x40 ? "head,all" : NULL,
                          .min_language_score = data[0] & 0x80 ? 0.5 : 0, .max_perplexity = data[0] & 0x80 ? 100 : 0 };
    fuzz_shard(data + 2, n - 2, &o, 1 + data[1] % 40u);
}

static void fuzz_seeds(char **argv)
{
    static const char ccnet[] = "\1\7{\"url\": \"u\", \"raw_content\": \"a\\nb\", \"language\": \"de\", \"language_score\": 0.9, "
        "\"perplexity\": 50.5, \"bucket\": \"head\"}\n"
        "{\"metadata\": {\"line_ids\": [1], \"cc_segment\": \"s\", \"language\": \"en\"}, \"text\": \"one\"}\n";
    static const char jsonl[] = "\2\3{\"text\": \"\\u00e9\\ud83d\\ude00\"}\n\n{\"content\": \"x\", \"lang\": \"fr\"}\n{\"text\": 3}\n[{}]\n{\"text\": \"cut";
    static const char plain[] = "\x2f\1one\ntwo\r\n\nthree\n\xE2\x82\n\xC3\xA9\xF0\x9F\x98\x80\n";
    FUZZ_SEED(argv, "ccnet", ccnet);
    FUZZ_SEED(argv, "jsonl", jsonl);
    FUZZ_SEED(argv, "plain", plain);
}
