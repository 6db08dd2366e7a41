#include <sentencepiece_processor.h>

extern "C" {
#include "naive/spm_library.h"
}

struct naive_spm {
    sentencepiece::SentencePieceProcessor processor;
};

extern "C" naive_spm *naive_spm_load(const void *bytes, size_t len)
{
    auto *m = new naive_spm;
    if (m->processor.LoadFromSerializedProto({static_cast<const char *>(bytes), len}).ok())
        return m;
    delete m;
    return nullptr;
}

extern "C" void naive_spm_free(naive_spm *m) { delete m; }

extern "C" size_t naive_spm_encode(const naive_spm *m, const char *text, size_t len, naive_piece *out, size_t cap)
{
    static thread_local sentencepiece::ImmutableSentencePieceText spt;
    if (!m->processor.Encode({text, len}, spt.mutable_proto()).ok())
        return SIZE_MAX;
    for (size_t i = 0; i < spt.pieces_size() && i < cap; i++) {
        const auto piece = spt.pieces(static_cast<int>(i));
        out[i] = {static_cast<int>(piece.id()), piece.begin(), piece.end()};
    }
    return spt.pieces_size();
}
