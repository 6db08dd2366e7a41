/* safetensors: what opens has tensors that lie in the file, and every element of them can be read. */
#include "fuzz.h"
#include "model/safetensors.h"

static void read_tensor(xr_st_file *f, const xr_st_tensor *t)
{
    enum { MOST = 256 };
    static float x[MOST];
    uint64_t n = xr_st_numel(t), first = n > MOST ? n - MOST : 0;
    if (t->end < t->begin || (t->end - t->begin) != n * xr_st_dtype_size(t->dtype) || xr_st_find(f, t->name) != t)
        abort();
    if (xr_st_is_float(t->dtype) && xr_st_read_part(f, t, first, (size_t)(n - first), x) < 0)
        abort();
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    xr_st_file *f = xr_st_open(fuzz_file(data, n));
    for (size_t i = 0; f && i < xr_st_count(f); i++)
        read_tensor(f, xr_st_at(f, i));
    xr_st_close(f);
}

static void fuzz_seeds(char **argv)
{
    static const char two[] = "\x78\0\0\0\0\0\0\0"
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[8,12]}}           "
        "\0\0\x80\x3f\0\0\0\x40\0\x3c\0\x40";
    static const char none[] = "\x26\0\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"}}       ";
    FUZZ_SEED(argv, "two", two);
    FUZZ_SEED(argv, "none", none);
}
