"""Messages per second of the classifier on real tweets, cleaning and tokenizer included.

    python benchmarks/bench_classifier.py [--bundle DIR] [--seconds 10] [--seed 0] [--json]

Each figure comes from fresh processes that go through the same shuffled texts in batches of 256, as a worker does, with
the cache of repeated texts off (and once on, in the order of the stream). Beside the bundle run, in the same call:

- the backbone of six layers as the same kind of graph, in 32-bit floats and in eight bits: what compression gained;
- a plain export of it, quantized dynamically, texts padded in batches of 32: what most people would run.

A busy or slow machine shows in all of them; the ratios are what to compare between machines.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from core.bundle import Manifest, TaskSpec, load_bundle, write_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.settings import PROJECT
from core.text import model_input

TWEETS = PROJECT.parent / "shared" / "data" / "stocknet_tweets_2014_2016" / "stocknet_tweets.jsonl.gz"
BATCH = 256
PLAIN_BATCH = 32
LENGTH = 128
TEXTS = 20_000
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def load_texts(path: Path, seed: int, stream_order: bool) -> list[str]:
    """TEXTS texts of the stocknet file: a shuffled sample of all, or a stretch in stream order."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; pass --texts FILE.jsonl.gz with a `text` per line")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    if stream_order:
        return texts[:TEXTS]
    random.Random(seed).shuffle(texts)
    return texts[:TEXTS]


def work(options: argparse.Namespace) -> None:
    """One measured process: get ready, wait for a line on stdin, classify for the given time, print one JSON line."""
    texts = load_texts(options.texts, options.seed, options.cache)
    if options.exported:
        size, predict = PLAIN_BATCH, exported_classifier(options.bundle, options.threads)
    else:
        classifier = Classifier(
            load_bundle(options.bundle), threads=options.threads, **({} if options.cache else {"cache_texts": 0})
        )
        size, predict = BATCH, classifier.predict
    predict(texts[:size])
    print("ready", flush=True)
    sys.stdin.readline()
    done, start, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < options.seconds and (done < len(texts) or not options.cache):
        place = done % len(texts)
        batch = texts[place : place + size]
        predict(batch)
        done += len(batch)
    seconds = time.perf_counter() - start
    cpu_us = 1e6 * (time.process_time() - used) / done
    figures = {"rate": done / seconds, "cpu_us": cpu_us, "peak_rss_mb": peak_memory(), "texts": done}
    print(json.dumps(figures), flush=True)


def exported_classifier(directory: Path, threads: int) -> Callable[[list[str]], Any]:
    """The plain export in `directory`, run the plain way: pad to the longest of the batch, one call."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(LENGTH)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(directory / "dynamic.onnx", options, providers=["CPUExecutionProvider"])

    def predict(texts: list[str]) -> Any:
        encoded = tokenizer.encode_batch([model_input(text) for text in texts])
        ids = np.array([encoding.ids for encoding in encoded], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encoded], np.int64)
        return session.run(None, {"ids": ids, "mask": mask})

    return predict


def peak_memory() -> float:
    """Largest resident size of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # The figure of getrusage begins at the parent's peak when a process is spawned.
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(
    options: argparse.Namespace,
    bundle: Path,
    threads: int,
    processes: int,
    *,
    cache: bool = False,
    exported: bool = False,
) -> dict[str, Any]:
    """Total messages/s, CPU a message and largest peak memory of `processes` fresh processes that begin together."""
    command = [sys.executable, __file__, "--work", "--bundle", str(bundle), "--texts", str(options.texts)]
    command += ["--threads", str(threads), "--seconds", str(options.seconds)]
    command += [*(["--cache"] if cache else []), *(["--exported"] if exported else [])]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    children = []
    for number in range(processes):
        seeded = [*command, "--seed", str(options.seed + number)]
        children.append(
            subprocess.Popen(seeded, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        )
    for child in children:
        if child.stdout is None or child.stdout.readline().strip() != "ready":
            raise SystemExit("a measured process did not start; its error stands above")
    for child in children:
        if child.stdin is not None:
            child.stdin.write("go\n")
            child.stdin.flush()
    results = [json.loads(child.communicate()[0]) for child in children]
    return {
        "rate": round(sum(result["rate"] for result in results), 1),
        "cpu_us": round(sum(result["cpu_us"] for result in results) / processes, 1),
        "peak_rss_mb": round(max(result["peak_rss_mb"] for result in results), 1),
    }


def write_yardsticks(directory: Path, texts: list[str]) -> dict[str, Path]:
    """The backbone with untaught heads, which is as fast as a taught one: the house's graph in 32 and 8 bits as
    bundles, and a plain export, dynamically quantized."""
    import torch
    from onnxruntime.quantization import quantize_dynamic
    from transformers import AutoModel

    from core.taxonomy import load_taxonomy
    from trainer.compress.calibration import measure_ranges
    from trainer.compress.graph import write_graph
    from trainer.data.examples import Example
    from trainer.learn.backbone import load_encoder, packaged_backbone
    from trainer.learn.batches import encode
    from trainer.learn.network import Network, pool
    from trainer.learn.tokenizer import load_tokenizer

    backbone = packaged_backbone()
    labels = load_taxonomy().tasks
    tokenizer = load_tokenizer(backbone)
    network = Network(load_encoder(backbone), labels).eval()
    data = encode([Example(model_input(text), {}, "tweets") for text in texts[:500]], tokenizer, labels, LENGTH)
    manifest = Manifest(1, "plain", {task: TaskSpec(list(names)) for task, names in labels.items()}, LENGTH, "plain")
    paths = {}
    for name, ranges in (("6 layers, fp32", None), ("6 layers, int8", measure_ranges(network, data))):
        graph = write_graph(network, LENGTH, ranges).SerializeToString()
        paths[name] = directory / f"yardstick-{len(paths)}"
        write_bundle(paths[name], manifest, graph, tokenizer.to_str().encode(), "# yardstick\n")

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(backbone, attn_implementation="eager")
            self.heads = network.heads

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
            pooled = pool(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
            return tuple(head(pooled) for head in self.heads.values())

    paths["plain export, dynamic int8"] = directory
    axes = {name: {0: "batch", 1: "length"} for name in ("ids", "mask")}
    example = torch.ones((2, 8), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that writes one file is called legacy
        torch.onnx.export(
            Plain().eval(),
            (example, example),
            str(directory / "plain.onnx"),
            input_names=["ids", "mask"],
            dynamic_axes=axes,
            dynamo=False,
        )
    quantize_dynamic(directory / "plain.onnx", directory / "dynamic.onnx")
    tokenizer.save(str(directory / "tokenizer.json"))
    return paths


def processor() -> dict[str, Any]:
    """Model and the flags that decide the speed of eight-bit products, and how busy the machine is."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        info = ""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    flags = [flag for flag in FLAGS if flag in values.get("flags", "").split()]
    load = list(os.getloadavg())
    return {
        "cpu": values.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "flags": flags,
        "load": load,
    }


def in_words(machine: dict[str, Any]) -> str:
    """What `processor` found, in a line."""
    return f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['flags'])}"


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """All measurements of one run."""
    result: dict[str, Any] = {"machine": processor(), "seed": options.seed, "command": " ".join(sys.argv)}
    name = load_bundle(options.bundle).name
    result["model"] = name
    settings = {"1 thread": (1, 1), "2 threads": (2, 1), "2 processes x 1 thread": (1, 2)}
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_yardsticks(Path(scratch), load_texts(options.texts, options.seed, False))
        rows: dict[str, dict[str, Any]] = {}
        for variant, path in {**paths, name: options.bundle}.items():
            exported = path == Path(scratch)
            rows[variant] = {
                how: measure(options, path, *setting, exported=exported) for how, setting in settings.items()
            }
    rows[f"{name}, cache on, stream order"] = {"1 thread": measure(options, options.bundle, 1, 1, cache=True)}
    result["variants"] = rows
    result["ratio"] = {
        variant: {how: round(rows[name][how]["rate"] / rows[variant][how]["rate"], 2) for how in settings}
        for variant in paths
    }
    result["machine"]["load_after"] = list(os.getloadavg())
    return result


def show(result: dict[str, Any]) -> None:
    machine = result["machine"]
    print(in_words(machine))
    print(f"load before {machine['load'][0]:.2f}, after {machine['load_after'][0]:.2f} (own processes included)")
    print(f"model {result['model']}, seed {result['seed']}, command: {result['command']}")
    for variant, row in result["variants"].items():
        for how, figures in row.items():
            rate, memory = figures["rate"], figures["peak_rss_mb"]
            print(f"{variant:42} {how:24} {rate:8.0f} messages/s  {memory:6.0f} MB peak per process")
    for variant, ratios in result["ratio"].items():
        figures = ", ".join(f"{how} {ratio}x" for how, ratio in ratios.items())
        print(f"{result['model']} against {variant}: {figures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--texts", type=Path, default=TWEETS)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    for hidden in ("--work", "--cache", "--exported"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    result = compare(options)
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
