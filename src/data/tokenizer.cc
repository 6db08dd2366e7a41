/* The one C++ file: sentencepiece's trainer behind the C function of data/spm.h. Nothing thrown here passes the border. */
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
