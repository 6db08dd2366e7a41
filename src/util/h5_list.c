/* What is in an HDF5 file: its datasets, by name. Nothing is read of their contents. */
#include "util/h5_lib.h"

enum { RANK_CAP = 8 };

typedef struct walk {
    xr_h5_in *h;
    xr_status (*visit)(const xr_h5_item *item, void *context);
    void *context;
    xr_status status;
} walk;

static int same_type(hid_t stored, xr_h5_type type)
{
    hid_t memory = xr_h5_memory_type(type);
    return H5Tget_class(stored) == H5Tget_class(memory) && H5Tget_size(stored) == H5Tget_size(memory) &&
           (H5Tget_class(stored) != H5T_INTEGER || H5Tget_sign(stored) == H5T_SGN_NONE);
}

static void describe_type(hid_t stored, xr_h5_item *item)
{
    static const struct { xr_h5_type type; const char *name; } types[] = {
        { XR_H5_F32, "F32" }, { XR_H5_F64, "F64" }, { XR_H5_U16, "U16" }, { XR_H5_U32, "U32" }, { XR_H5_U64, "U64" },
    };
    item->type_name = H5Tget_class(stored) == H5T_STRING ? "string" : "other";
    for (size_t i = 0; i < sizeof types / sizeof *types && !item->known; i++) {
        if (same_type(stored, types[i].type)) {
            item->known = 1;
            item->type = types[i].type;
            item->type_name = types[i].name;
        }
    }
}

static int describe_shape(hid_t space, xr_h5_item *item)
{
    hsize_t dims[RANK_CAP];
    item->rank = H5Sget_simple_extent_ndims(space);
    if (item->rank < 0 || item->rank > RANK_CAP || H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        return 0;
    for (int i = 0; i < item->rank; i++)
        item->shape[i] = dims[i];
    item->known &= item->rank == 1 || item->rank == 2;
    return 1;
}

static xr_status visit_dataset(const walk *w, const char *name)
{
    xr_h5_item item = { .name = name };
    hid_t id = H5Dopen2(w->h->id, name, H5P_DEFAULT), stored = id < 0 ? id : H5Dget_type(id), space = id < 0 ? id : H5Dget_space(id);
    int good = stored >= 0 && space >= 0;
    if (good) {
        describe_type(stored, &item);
        good = describe_shape(space, &item);
    }
    H5Sclose(space);
    H5Tclose(stored);
    H5Dclose(id);
    return good ? w->visit(&item, w->context) : xr_h5_fail(XR_EDATA, w->h->path, "opening a dataset");
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    walk *w = context;
    H5O_info_t object;
    if (info->type != H5L_TYPE_HARD)
        w->status = xr_fail(XR_EDATA, "%s: \"%s\" is a link that leads elsewhere; a dataset in this very file was expected", w->h->path, name);
    else if (H5Oget_info_by_name2(group, name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
        w->status = xr_h5_fail(XR_EDATA, w->h->path, "looking for datasets");
    else if (object.type == H5O_TYPE_DATASET)
        w->status = visit_dataset(w, name);
    return w->status != XR_OK;
}

xr_status xr_h5_each(xr_h5_in *h, xr_status (*visit)(const xr_h5_item *item, void *context), void *context)
{
    walk w = { .h = h, .visit = visit, .context = context };
    /* In the order of the file: for any other the library makes a table, and crashes when reading for it fails. */
    if (H5Lvisit(h->id, H5_INDEX_NAME, H5_ITER_NATIVE, visit_link, &w) < 0)
        return xr_h5_fail(XR_EDATA, h->path, "looking for datasets");
    return w.status;
}

int xr_h5_has_text(xr_h5_in *h, const char *object, const char *name)
{
    htri_t there = H5Aexists_by_name(h->id, object, name, H5P_DEFAULT);
    return there < 0 ? xr_h5_fail(XR_EDATA, h->path, "looking for an attribute") : there > 0;
}
