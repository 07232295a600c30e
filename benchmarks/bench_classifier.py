"""Messages per second of the classifier on real tweets, cleaning and tokenizer included.

    python benchmarks/bench_classifier.py [--bundle DIR] [--seconds 10] [--seed 0] [--json]

Each figure comes from fresh processes that go through the same shuffled texts in batches of 256, as a worker does, with
the cache of repeated texts off (and once on, in the order of the stream). The yardstick is the plain 32-bit graph of
the same network in the same run, so a busy or slow machine shows in both.
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
from pathlib import Path
from typing import Any

from core.bundle import Bundle, Manifest, TaskSpec, load_bundle, write_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.settings import PROJECT

TWEETS = PROJECT.parent / "shared" / "data" / "stocknet_tweets_2014_2016" / "stocknet_tweets.jsonl.gz"
BATCH = 256
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
    bundle = load_bundle(options.bundle)
    classifier = Classifier(bundle, threads=options.threads, **({} if options.cache else {"cache_texts": 0}))
    del bundle
    classifier.predict(texts[:BATCH])
    print("ready", flush=True)
    sys.stdin.readline()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < options.seconds and (done < len(texts) or not options.cache):
        place = done % len(texts)
        done += len(classifier.predict(texts[place : place + BATCH])[classifier.tasks[0]])
    seconds = time.perf_counter() - start
    print(json.dumps({"rate": done / seconds, "peak_rss_mb": peak_memory(), "texts": done}), flush=True)


def peak_memory() -> float:
    """Largest resident size of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # The figure of getrusage begins at the parent's peak when a process is spawned.
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(
    options: argparse.Namespace, bundle: Path, threads: int, processes: int, cache: bool = False
) -> dict[str, Any]:
    """Total messages/s and largest peak memory of `processes` fresh processes that begin together."""
    command = [sys.executable, __file__, "--work", "--bundle", str(bundle), "--texts", str(options.texts)]
    command += ["--threads", str(threads), "--seconds", str(options.seconds), *(["--cache"] if cache else [])]
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
        "peak_rss_mb": round(max(result["peak_rss_mb"] for result in results), 1),
    }


def write_plain(directory: Path) -> Path:
    """A bundle with the backbone as a plain 32-bit graph: the same network as far as speed goes."""
    from core.taxonomy import load_taxonomy
    from trainer.compress.graph import write_graph
    from trainer.learn.backbone import load_encoder, packaged_backbone
    from trainer.learn.batches import load_tokenizer
    from trainer.learn.network import Network

    backbone = packaged_backbone()
    labels = load_taxonomy().tasks
    network = Network(load_encoder(backbone), labels)
    graph = write_graph(network, 128)
    manifest = Manifest(1, "plain", {task: TaskSpec(list(names)) for task, names in labels.items()}, 128, "plain")
    bundle: Bundle = write_bundle(
        directory / "plain",
        manifest,
        graph.SerializeToString(),
        load_tokenizer(backbone).to_str().encode(),
        "# plain\n",
    )
    return bundle.path or directory / "plain"


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


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """All measurements of one run."""
    result: dict[str, Any] = {"machine": processor(), "seed": options.seed, "command": " ".join(sys.argv)}
    result["model"] = load_bundle(options.bundle).name
    settings = {"1 thread": (1, 1), "2 threads": (2, 1), "2 processes x 1 thread": (1, 2)}
    with tempfile.TemporaryDirectory() as scratch:
        bundles = {"int8": options.bundle, "plain fp32": write_plain(Path(scratch))}
        for variant, bundle in bundles.items():
            result[variant] = {name: measure(options, bundle, *setting) for name, setting in settings.items()}
    result["int8, cache on, stream order"] = {"1 thread": measure(options, options.bundle, 1, 1, cache=True)}
    result["ratio"] = {n: round(result["int8"][n]["rate"] / result["plain fp32"][n]["rate"], 2) for n in settings}
    result["machine"]["load_after"] = list(os.getloadavg())
    return result


def show(result: dict[str, Any]) -> None:
    machine = result["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['flags'])}")
    print(f"load before {machine['load'][0]:.2f}, after {machine['load_after'][0]:.2f} (own processes included)")
    print(f"model {result['model']}, seed {result['seed']}, command: {result['command']}")
    for variant in ("plain fp32", "int8", "int8, cache on, stream order"):
        for name, figures in result[variant].items():
            rate, memory = figures["rate"], figures["peak_rss_mb"]
            print(f"{variant:30} {name:24} {rate:8.0f} messages/s  {memory:6.0f} MB peak per process")
    print("int8 against plain fp32: " + ", ".join(f"{name} {ratio}x" for name, ratio in result["ratio"].items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--texts", type=Path, default=TWEETS)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    for hidden in ("--work", "--cache"):
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
