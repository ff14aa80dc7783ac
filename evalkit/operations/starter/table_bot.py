"""The system under test: call yours here. `system:` in the suite may name a URL, a model or a command instead."""


def answer(input: str) -> str:
    """Answer one question."""
    raise RuntimeError("BOT_FILE: call your system here, and return its answer")
