/* What the tensors of a pass are called, for messages: those that are made on the tape have no names of their own. */
#ifndef XR_TRAIN_NAMING_H
#define XR_TRAIN_NAMING_H

#include "model/model.h"

enum { XR_TENSOR_NAME = 256 };

/* A parameter by its name in the model's files; a node by its op and the parameters it works with, "linear of roberta.encoder.layer.0.attention.self.query",
 * or the layer it is in, "attention of roberta.encoder.layer.0", "tanh of the head". `of`: a node that reads it, which tells where a leaf without a
 * name is; may be NULL. */
void xr_tensor_name(char name[XR_TENSOR_NAME], const xr_model *m, const xr_tensor *n, const xr_tensor *of);
const xr_param *xr_tensor_param(const xr_model *m, const xr_tensor *n);    /* NULL: it is none */

#endif
