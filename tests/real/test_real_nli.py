"""The interface of local entailment, with transformers and torch themselves: a small model in each order of classes.

Skipped without them. By hand:

    python -m venv .venv-nli
    .venv-nli/bin/pip install -e '.[nli]'
    EVALKIT_REAL_NLI=.venv-nli/bin/python pytest tests/real/test_real_nli.py

The model is trained on the fixed pairs in some seconds, so it understands nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

PYTHON = os.environ.get("EVALKIT_REAL_NLI", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="EVALKIT_REAL_NLI names no Python with transformers and torch")
ORDERS = (
    ("contradiction", "neutral", "entailment"),
    ("contradiction", "entailment", "neutral"),
    ("entailment", "neutral", "contradiction"),
)
SCRIPT = """\
import json, re, sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from evalkit.errors import InputError
from evalkit.scorers.judges.local_entailment import NAMES, PROBES, NliModel, load_entailment

folder, order = Path(sys.argv[1]), sys.argv[2].split(",")
words = sorted({word for pair in PROBES for text in pair[:2] for word in re.findall(r"\\w+|[^\\w\\s]", text.lower())})
vocabulary = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
inner.normalizer = normalizers.Lowercase()
inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
ends = [("[CLS]", 2), ("[SEP]", 3)]
inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
    model_max_length=64,
)
torch.manual_seed(0)
model = BertForSequenceClassification(BertConfig(
    vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
    max_position_embeddings=128, num_labels=3, id2label=dict(enumerate(order)),
    label2id={name: at for at, name in enumerate(order)},
))
inputs = tokenizer([p for p, _, _ in PROBES], [c for _, c, _ in PROBES], padding=True, return_tensors="pt")
right = torch.tensor([order.index(NAMES[at]) for _, _, at in PROBES])
steps = torch.optim.Adam(model.parameters(), 1e-2)
for _ in range(200):
    steps.zero_grad()
    torch.nn.functional.cross_entropy(model(**inputs).logits, right).backward()
    steps.step()
model.save_pretrained(folder / "nli")
tokenizer.save_pretrained(folder / "nli")
loaded = load_entailment(NliModel(path="nli"), folder, "nli")
found = loaded.entail([(premise, claim) for premise, claim, _ in PROBES])
long = loaded.entail([(" ".join(["A cat sleeps."] * 60) + " " + PROBES[0][0], PROBES[0][1])])
config = json.loads((folder / "nli" / "config.json").read_text())
config["id2label"] = {str(at): name for at, name in enumerate([*order[1:], order[0]])}
(folder / "nli" / "config.json").write_text(json.dumps(config))
try:
    load_entailment(NliModel(path="nli"), folder, "nli")
    said = ""
except InputError as error:
    said = str(error)
print(json.dumps({"found": found, "n_long": len(long), "swapped": said}))
"""


@pytest.mark.parametrize("order", ORDERS, ids=",".join)
def test_a_model_is_loaded_in_its_order_of_classes(order: tuple[str, ...], tmp_path: Path) -> None:
    """It gets the fixed pairs right, reads a premise in windows, and is refused if its names are swapped."""
    ended = subprocess.run(
        [PYTHON, "-c", SCRIPT, str(tmp_path), ",".join(order)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    for at, probabilities in enumerate(said["found"]):
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert max(range(3), key=probabilities.__getitem__) == at
    assert said["n_long"] == 1
    assert "the names in its `id2label` may be swapped" in said["swapped"]
