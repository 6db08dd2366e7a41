/* The one C++ file: sentencepiece behind the C functions of data/spm.h. Nothing thrown here passes the border. */
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <unordered_map>

#define _Noreturn [[noreturn]]
extern "C" {
#include "data/spm.h"
#include "util/alloc.h"
}

namespace sp = sentencepiece;

enum { KEPT_PIECES = 1 << 14 };

struct xr_spm {
    sp::SentencePieceProcessor processor;
};

/* To be called in a catch block: the exception in flight becomes the pending error. */
static xr_status caught(const char *doing) noexcept
{
    try {
        throw;
    } catch (const std::bad_alloc &) {
        return xr_fail(XR_ESYSTEM, "%s: out of memory in sentencepiece", doing);
    } catch (const std::exception &e) {
        return xr_fail(XR_ESOFTWARE, "%s: sentencepiece threw: %s", doing, e.what());
    } catch (...) {
        return xr_fail(XR_ESOFTWARE, "%s: sentencepiece threw something that is no std::exception", doing);
    }
}

extern "C" xr_spm *xr_spm_load(const char *path, const void *bytes, size_t len)
{
    xr_spm *m = nullptr;
    try {
        m = new xr_spm;
        const auto status = m->processor.LoadFromSerializedProto({static_cast<const char *>(bytes), len});
        if (status.ok())
            return m;
        xr_fail(XR_EDATA, "%s: sentencepiece refuses the model: %s", path, status.error_message());
    } catch (...) {
        caught(path);
    }
    xr_spm_free(m);
    return nullptr;
}

extern "C" void xr_spm_free(xr_spm *m)
{
    try {
        delete m;
    } catch (...) {
        caught("closing a tokenizer");
    }
}

extern "C" int xr_spm_size(const xr_spm *m)
{
    try {
        return m->processor.GetPieceSize();
    } catch (...) {
        caught("counting pieces");
        return 0;
    }
}

extern "C" const char *xr_spm_piece(const xr_spm *m, int id)
{
    try {
        return m->processor.IdToPiece(id).c_str();
    } catch (...) {
        caught("looking up a piece");
        return nullptr;
    }
}

extern "C" xr_status xr_spm_encode(const xr_spm *m, const char *text, size_t len, uint32_t base, xr_tokens *out)
{
    try {
        /* Kept between calls, so that its strings need not be allocated again, three for each piece; but not as large as one huge text made it. */
        static thread_local sp::ImmutableSentencePieceText spt;
        const auto status = m->processor.Encode({text, len}, spt.mutable_proto());
        if (!status.ok())
            return xr_fail(XR_ESOFTWARE, "encoding %zu bytes: sentencepiece says: %s", len, status.error_message());
        const size_t n = spt.pieces_size();
        XR_TRY(xr_grow(&out->v, &out->cap, out->n + n, sizeof *out->v));
        for (size_t i = 0; i < n; i++) {
            const auto piece = spt.pieces(static_cast<int>(i));
            const int32_t id = static_cast<int32_t>(piece.id());
            out->v[out->n++] = {id == 0 ? static_cast<int32_t>(XR_ID_UNK) : id + 1, base + piece.begin(),
                                base + piece.end()};
        }
        if (n > KEPT_PIECES)
            spt = {};
        return XR_OK;
    } catch (...) {
        return caught("encoding text");
    }
}

/* The library has no call for it in this version; the pieces of an encoding, <unk> among them as what it stands for, are that text. */
extern "C" xr_status xr_spm_normalize(const xr_spm *m, const char *text, size_t len, xr_str *out)
{
    try {
        /* Kept between calls, so that its strings need not be allocated again, three for each piece; but not as large as one huge text made it. */
        static thread_local sp::ImmutableSentencePieceText spt;
        const auto status = m->processor.Encode({text, len}, spt.mutable_proto());
        if (!status.ok())
            return xr_fail(XR_ESOFTWARE, "encoding %zu bytes: sentencepiece says: %s", len, status.error_message());
        for (size_t i = 0; i < spt.pieces_size(); i++) {
            const auto piece = spt.pieces(static_cast<int>(i));
            XR_TRY(xr_str_append(out, piece.piece().data(), piece.piece().size()));
        }
        return XR_OK;
    } catch (...) {
        return caught("normalising text");
    }
}

namespace {

/* Feeds the trainer from a C callback; an error there ends the input and shows in status(). */
class Lines : public sp::SentenceIterator {
  public:
    explicit Lines(xr_spm_lines source) : source_(source) { Next(); }
    bool done() const override { return got_ <= 0; }
    void Next() override
    {
        const char *line = nullptr;
        size_t len = 0;
        got_ = source_.next(source_.context, &line, &len);
        if (got_ > 0)
            value_.assign(line, len);
    }
    const std::string &value() const override { return value_; }
    sp::util::Status status() const override
    {
        return got_ < 0 ? sp::util::Status(sp::util::StatusCode::kInternal, "input") : sp::util::Status();
    }

  private:
    xr_spm_lines source_;
    int got_ = 0;
    std::string value_;
};

} // namespace

/* The library's message holds the number that a person needs; the rest of it is a line of its source. Sizes are
 * shown as our users count them, with <pad> and <mask>. */
static xr_status training_failed(int vocab_size, const char *message)
{
    int limit = 0;
    if (const char *at = std::strstr(message, "value <= "); at && std::sscanf(at, "value <= %d", &limit) == 1)
        return xr_fail(XR_EDATA, "vocabulary of %d is too large for this text, which gives at most %d; use that or "
                       "less, or more text",
                       vocab_size + 2, limit + 2);
    if (const char *at = std::strstr(message, "required_chars. "); at) {
        int size = 0;
        if (std::sscanf(at, "required_chars. %d vs %d", &size, &limit) == 2)
            return xr_fail(XR_EDATA, "vocabulary of %d is too small: the characters of this text alone need %d; use "
                           "more, or a lower character coverage", vocab_size + 2, limit + 2);
    }
    return xr_fail(XR_EDATA, "sentencepiece cannot train on this text: %s", message);
}

extern "C" xr_status xr_spm_train(int vocab_size, double character_coverage, xr_spm_lines lines, xr_spm_model *out)
{
    try {
        char coverage[32];  /* without a decimal point from the locale */
        const long parts = std::lround(character_coverage * 1e9);
        std::snprintf(coverage, sizeof coverage, "%ld.%09ld", parts / 1000000000, parts % 1000000000);
        const std::unordered_map<std::string, std::string> settings = {
            {"model_type", "unigram"}, {"vocab_size", std::to_string(vocab_size)}, {"character_coverage", coverage},
            {"normalization_rule_name", "nmt_nfkc"}, {"add_dummy_prefix", "true"}, {"remove_extra_whitespaces", "true"},
            {"byte_fallback", "false"}, {"unk_id", "0"}, {"bos_id", "1"}, {"eos_id", "2"}, {"pad_id", "-1"},
            {"num_threads", "8"}, {"shuffle_input_sentence", "false"}, {"max_sentence_length", "8192"},
            {"minloglevel", "3"}};
        Lines source(lines);
        std::string model;
        const auto status = sp::SentencePieceTrainer::Train(settings, &source, &model);
        if (xr_error_status() < 0)
            return xr_error_status();
        if (!status.ok())
            return training_failed(vocab_size, status.error_message());
        out->bytes = static_cast<char *>(xr_alloc(model.size(), 1));
        if (!out->bytes)
            return xr_error_status();
        std::memcpy(out->bytes, model.data(), model.size());
        out->len = model.size();
        return XR_OK;
    } catch (...) {
        return caught("training a tokenizer");
    }
}
