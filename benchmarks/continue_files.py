"""Files of the scheduled training that docs/training.md records: tweets to replay, labels, a frozen test set.

    python -m benchmarks.continue_files --base DIR --dataset DIR --out DIR

`--base` is the directory of the public corpora; `--dataset` one that was built of trainer/data/public.toml, whose test
part joins the frozen test set. Of the labelled tweets a part drawn by the seed are what analysts say; all others are
judged on.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ANNOTATIONS = Path(__file__).parents[1] / "data" / "annotations" / "stocknet_tweets.jsonl"
TWEETS = "stocknet_tweets_2014_2016/stocknet_tweets.jsonl.gz"
SOURCE = "stocknet-tweets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--before", type=int, default=3_000, help="tweets that are in the store before the training")
    parser.add_argument("--during", type=int, default=2_000, help="tweets that come meanwhile")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    labels = {line.pop("text_sha256"): line for line in map(json.loads, ANNOTATIONS.read_text().splitlines())}
    with gzip.open(options.base / TWEETS, "rt", encoding="utf-8") as file:
        tweets = [json.loads(line) for line in file]
    labelled: dict[str, dict[str, Any]] = {}
    for tweet in tweets:
        text = " ".join(tweet["text"].split())
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest in labels:
            labelled[digest] = {"text": text, **labels[digest], "source": SOURCE}
    lines = sorted(labelled.values(), key=lambda line: str(line["text"]))
    random.Random(options.seed).shuffle(lines)
    tweets.sort(key=lambda tweet: tweet["ts"])
    options.out.mkdir(parents=True, exist_ok=True)
    split = len(tweets) // 2
    _write(options.out / "before.jsonl", tweets[split - options.before : split])
    _write(options.out / "during.jsonl", tweets[split : split + options.during])
    _write(options.out / "labels.jsonl", lines[: options.labels])
    known = [json.loads(line) for line in (options.dataset / "test.jsonl").read_text().splitlines()]
    _write(options.out / "test.jsonl", [*lines[options.labels :], *known])
    print(f"{options.labels} labels; to judge on: {len(lines) - options.labels} tweets, {len(known)} other texts")


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
