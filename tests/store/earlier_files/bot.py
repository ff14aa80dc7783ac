LATE = ("c01", "c04", "c08", "c09", "c14", "c16", "c17", "c21")


def answer(input: str, id: str) -> dict:
    """Add two numbers; the cases named in LATE get a wrong sum."""
    first, second = map(int, input.split("+"))
    return {"text": f"The sum is {first + second + (id in LATE)}.", "usage": {"input_tokens": 3, "output_tokens": 5}}
