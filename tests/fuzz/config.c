/* config.json of a model, and YAML options of a run: the first byte says which. What is accepted passes the check again. */
#include "fuzz.h"
#include "model/config.h"
#include "train/options.h"

static void read_config(const uint8_t *data, size_t n)
{
    xr_config c;
    memset(&c, 0, sizeof c);
    if (xr_config_read(&c, fuzz_file(data, n)) == XR_OK && xr_config_check(&c, "config") < 0)
        abort();
    xr_config_free(&c);
}

static void read_yaml(const uint8_t *data, size_t n, unsigned verb)
{
    xr_options o;
    if (xr_options_init(&o, verb) < 0)
        abort();
    (void)xr_options_yaml(&o, (const char *)data, n, "options");
    xr_options_free(&o);
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    if (data[0] % 2)
        read_yaml(data + 1, n - 1, data[0] % 4 == 1 ? XR_V_FINETUNE : XR_V_PRETRAIN);
    else
        read_config(data + 1, n - 1);
}

static void fuzz_seeds(char **argv)
{
    static const char config[] = "\2{\"model_type\":\"xlm-roberta\",\"architectures\":[\"XLMRobertaForSequenceClassification\"],\"hidden_size\":64,"
        "\"num_hidden_layers\":2,\"num_attention_heads\":2,\"intermediate_size\":128,\"vocab_size\":100,\"max_position_embeddings\":514,"
        "\"type_vocab_size\":1,\"id2label\":{\"0\":\"a\",\"1\":\"b\"},\"layer_norm_eps\":1e-05,\"pad_token_id\":1}";
    static const char yaml[] = "\1# finetune\nmodel: x\nlearning_rate: 1e-4\ntrain_file: [a, 'b']\nnum_epochs: 3 # c\ngroup_by_length: true\n";
    FUZZ_SEED(argv, "config", config);
    FUZZ_SEED(argv, "yaml", yaml);
}
