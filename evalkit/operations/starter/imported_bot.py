"""The system under test: call yours here. The case is JSON on standard input; what is printed is the answer."""

import json
import sys

case = json.load(sys.stdin)
sys.exit(f"bot.py: call your system here with {sorted(case)}, and print its answer")
