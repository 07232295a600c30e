"""multilingual-e5-small out of the wheel's file: the format read as it is written, and the words that texts need."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from core.errors import InputError
from newstide.cli import newstide
from trainer.compress.vocabulary import prune_pieces
from trainer.learn.backbone import load_encoder
from trainer.learn.backbone_file import save_backbone
from trainer.learn.packed_e5 import read_e5
from trainer.learn.tokenizer import load_tokenizer, mask_number

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 32, 1, 2, 64, 16
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "亏", "损", "亏损", "收", "窄", "a", "▁a", "ж", "▁loss", "%", "<mask>"]


def packed(weights: NDArray[np.float32]) -> tuple[bytes, NDArray[np.float32]]:
    """`weights` as blocks of four bits, and what these blocks say."""
    blocks = weights.reshape(-1, 32)
    scales = (np.abs(blocks).max(1) / 7).astype(np.float16)
    numbers = np.clip(np.round(blocks / scales[:, None].astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    halves = numbers[:, :16] | numbers[:, 16:] << 4
    body = b"".join(scale.tobytes() + half.tobytes() for scale, half in zip(scales, halves, strict=True))
    return body, ((numbers.astype(np.float32) - 8) * scales[:, None]).reshape(weights.shape)


def write_model(path: Path) -> dict[str, NDArray[np.float32]]:
    """A small model in the file's format; its tensors as they are to be read."""
    generator = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (len(PIECES), WIDTH),
        "emb.pos": (POSITIONS, WIDTH),
        "emb.type": (1, WIDTH),
        "emb.ln.w": (WIDTH,),
        "emb.ln.b": (WIDTH,),
    }
    for part, rows, columns in (
        *((name, WIDTH, WIDTH) for name in ("q", "k", "v", "ao")),
        ("fi", INNER, WIDTH),
        ("fo", WIDTH, INNER),
    ):
        shapes |= {f"l0.{part}.w": (rows, columns), f"l0.{part}.b": (rows,)}
    for part in ("aln", "oln"):
        shapes |= {f"l0.{part}.w": (WIDTH,), f"l0.{part}.b": (WIDTH,)}
    words = [piece.encode() for piece in PIECES]
    head = b"E5S1" + struct.pack("<i7ifi", 1, WIDTH, LAYERS, HEADS, INNER, len(PIECES), POSITIONS, 1, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, words)))
    head += np.cumsum([0, *map(len, words)], dtype="<u4").tobytes()
    head += np.array([-1.0 - number / 10 for number in range(len(PIECES))], dtype="<f4").tobytes()
    head += b"".join(words) + struct.pack("<iI", 0, 0)
    found, bodies = {}, []
    for name, shape in shapes.items():
        values = generator.normal(size=shape).astype(np.float32)
        blocks = name == "emb.word" or (name.endswith(".w") and len(shape) == 2)
        body, found[name] = packed(values) if blocks else (values.tobytes(), values)
        bodies.append((name, int(blocks), values.size, body))
    size = len(head) + 4 + sum(2 + len(name) + 1 + 4 + 16 for name, *_ in bodies)
    directory, data = struct.pack("<i", len(bodies)), b""
    for name, kind, count, body in bodies:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, count, size + len(data), len(body))
        data += body
    path.write_bytes(head + directory + data)
    return found


def test_the_model_is_read_as_its_file_says(tmp_path: Path) -> None:
    tensors = write_model(tmp_path / "e5.bin")
    encoder, tokenizer = read_e5(tmp_path / "e5.bin")
    shape = encoder.architecture
    assert (shape.vocabulary, shape.positions, shape.width, len(shape.layers)) == (
        len(PIECES),
        POSITIONS,
        WIDTH,
        LAYERS,
    )
    assert (shape.layers[0].heads, shape.layers[0].inner) == (HEADS, INNER)
    state = encoder.state_dict()
    assert np.array_equal(state["words.weight"], tensors["emb.word"])
    assert np.array_equal(state["positions.weight"], tensors["emb.pos"] + tensors["emb.type"])
    assert np.array_equal(state["layers.0.narrow.weight"], tensors["l0.fo.w"])
    projection = np.concatenate([tensors[f"l0.{name}.w"] for name in "qkv"])
    assert np.array_equal(state["layers.0.projection.weight"], projection)
    found = tokenizer.encode("亏损　收窄ａ zzz")  # a wide space, a wide letter, letters that it does not know
    assert found.tokens[:6] == ["<s>", "▁", "亏损", "▁", "收", "窄"]
    assert found.tokens[-1] == "</s>"
    assert 3 in found.ids
    assert mask_number(tokenizer, "here") == len(PIECES) - 1


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "e5.bin"
    write_model(whole)
    for content, fault in (
        (b"PK\3\4", "first bytes"),
        (whole.read_bytes()[:900], "no packed e5 model"),
        (b"E5S1", "no"),
    ):
        (tmp_path / "broken.bin").write_bytes(content)
        with pytest.raises(InputError, match=fault):
            read_e5(tmp_path / "broken.bin")
    with pytest.raises(InputError, match=r"missing\.bin"):
        read_e5(tmp_path / "missing.bin")


def test_pieces_that_no_text_needs_are_left_out(tmp_path: Path) -> None:
    write_model(tmp_path / "e5.bin")
    _, whole = read_e5(tmp_path / "e5.bin")
    smaller, kept = prune_pieces(whole, ["亏损收", "亏损"], 14)
    pieces = smaller.get_vocab()
    assert [whole.id_to_token(number) for number in kept] == sorted(pieces, key=pieces.__getitem__)
    # Special pieces, ASCII, every character of the script that the texts are in, the commonest; no Cyrillic, no "loss".
    assert set(PIECES) - set(pieces) == {"ж", "▁loss"}
    assert smaller.encode("亏损窄").tokens == whole.encode("亏损窄").tokens
    assert smaller.encode("ж").ids[2] == pieces["<unk>"]


def test_the_command_writes_a_backbone_with_the_words_of_its_texts(tmp_path: Path) -> None:
    write_model(tmp_path / "e5.bin")
    read, words = read_e5(tmp_path / "e5.bin")
    save_backbone(read, words.to_str(), tmp_path / "e5")
    (tmp_path / "texts.jsonl").write_text('{"text": "亏损收窄"}\n', encoding="utf-8")
    arguments = ["backbone", str(tmp_path / "e5"), "--out", str(tmp_path / "small"), "--texts"]
    arguments += [str(tmp_path / "texts.jsonl"), "--vocabulary", "14"]
    done = CliRunner().invoke(newstide, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "14 of 16 word pieces" in done.output
    small, whole = (load_encoder(tmp_path / name) for name in ("small", "e5"))
    texts = [load_tokenizer(tmp_path / name).encode("亏损收窄").ids for name in ("small", "e5")]
    states = [
        encoder(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))
        for encoder, ids in zip((small, whole), texts, strict=True)
    ]
    assert torch.equal(*states)
    with pytest.raises(InputError, match="there already"):
        CliRunner().invoke(newstide, arguments, catch_exceptions=False)
