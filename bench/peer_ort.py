#!/usr/bin/env python3
"""Inference in ONNX Runtime and CTranslate2, for bench/peers.py: a job as JSON on standard input, its figures as JSON on standard output.

{"mode": "export"}     writes what the two read into the job's folder: onnx/ (exported from transformers by the TorchScript exporter with eager attention: the
                       one of four ways whose attention ONNX Runtime's transformer optimizer fuses; and the same with int8 weights, one scale a channel)
                       and ct2/
{"mode": "inference"}  engine "ort" or "ct2", kind "f32" or "int8" (activations quantised as they come): rows sorted by length, `batch` at a time, padded
                       to the longest of the batch; last hidden states are taken as numpy arrays
"""
import json
import os
import pathlib
import sys
import time

import numpy


def export(job):
    import torch
    import transformers
    folder = pathlib.Path(job["folder"])
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    config = transformers.AutoConfig.from_pretrained(job["model"])
    if "ort" in job["engines"]:
        export_onnx(torch, transformers, job["model"], folder / "onnx", config)
    if "ct2" in job["engines"]:
        import ctranslate2
        transformers.XLMRobertaConfig.position_embedding_type = "absolute"      # transformers 5 has it no more, the converter asks for it
        ctranslate2.converters.TransformersConverter(job["model"]).convert(str(folder / "ct2"), force=True)
    return {}


def export_onnx(torch, transformers, model, folder, config):
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = transformers.XLMRobertaModel.from_pretrained(model, add_pooling_layer=False, attn_implementation="eager")

        def forward(self, input_ids, attention_mask):
            return self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    axes = {0: "batch", 1: "length"}
    plain, fused, int8 = (str(folder / f"{name}.onnx") for name in ("plain", "f32", "int8"))
    torch.onnx.export(Encoder().eval(), (ids, (ids != 1).long()), plain, dynamo=False, opset_version=17, input_names=["input_ids", "attention_mask"],
                      output_names=["hidden"], dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes})
    best = optimizer.optimize_model(plain, model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=1)
    best.save_model_to_file(fused, use_external_data_format=True)
    del best
    os.remove(plain)
    quantize_dynamic(fused, int8, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Attention"], use_external_data_format=True,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


def ort_runner(job, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(f"{job['folder']}/onnx/{job['kind']}.onnx", options, providers=["CPUExecutionProvider"])

    def run(rows):
        width = max(map(len, rows))
        ids = numpy.array([r + [1] * (width - len(r)) for r in rows])
        return session.run(None, {"input_ids": ids, "attention_mask": (ids != 1).astype(numpy.int64)})[0]
    return run, f"onnxruntime {onnxruntime.__version__}"


def ct2_runner(job, threads):
    import ctranslate2
    kind = {"f32": "float32"}.get(job["kind"], job["kind"])
    encoder = ctranslate2.Encoder(f"{job['folder']}/ct2", device="cpu", compute_type=kind, inter_threads=1, intra_threads=threads)
    return lambda rows: numpy.array(encoder.forward_batch(rows).last_hidden_state), f"ctranslate2 {ctranslate2.__version__} {encoder.compute_type}"


def inference(job):
    started = time.monotonic()
    threads = job["threads"] or len(os.sched_getaffinity(0))
    run, version = {"ort": ort_runner, "ct2": ct2_runner}[job["engine"]](job, threads)
    loaded = time.monotonic() - started
    out = {"start_s": loaded, "version": version, "first": run([job["rows"][0]])[0, 0].tolist()}
    for name, rows, n in (("batches", sorted(job["rows"], key=len), job["batch"]), ("single", job["rows"][:job["single"]], 1)):
        run(rows[:n])
        start = time.monotonic()
        for i in range(0, len(rows), n):
            run(rows[i:i + n])
        out[name] = sum(map(len, rows)) / (time.monotonic() - start)
    return out


def main():
    job = json.load(sys.stdin)
    with open(os.dup(1), "w") as answer:        # libraries print to standard output
        os.dup2(2, 1)
        out = {"export": export, "inference": inference}[job["mode"]](job)
        peak = [int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")]
        json.dump(out | {"peak_mb": peak[0]}, answer)


if __name__ == "__main__":
    main()
